//! Every key that works here and everywhere, and what the signs mean: read from the one table.

use ratatui::layout::Rect;

use crate::domain::progress::StepState;
use crate::tui::act::refusal;
use crate::tui::keys::{Binding, Where};
use crate::tui::model::Model;
use crate::tui::theme::{Role, of_state};
use crate::tui::widgets::paper::{Ink, Paper, ink, muted, pad, plain, width, wrap};
use crate::tui::words;

pub(super) fn draw(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let popup = popup(area);
    paper.blank(popup);
    let boxed = std::mem::replace(&mut paper.boxed, true);
    let right = vec![muted("? or esc close")];
    let inner = paper.pane(popup, vec![ink(format!("Help: {}", title(model)), Role::Strong)], right, true);
    paper.boxed = boxed;
    let lines = lines(model, usize::from(inner.width));
    let more = lines.len() > model.scroll.help + usize::from(inner.height);
    paper.lines(inner, 0, lines.into_iter().skip(model.scroll.help).collect());
    if more && inner.height > 1 {
        let last = Rect { y: inner.bottom() - 1, height: 1, ..inner };
        paper.blank(last);
        paper.ends(last, 0, Vec::new(), vec![muted("more ↓")]);
    }
}

fn popup(area: Rect) -> Rect {
    let columns = area.width.min(if area.width >= 100 { 92 } else { 80 });
    // The footer stays: it says how to get out.
    let rows = area.height.saturating_sub(1).clamp(1, 30);
    Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + area.height.saturating_sub(1 + rows) / 2,
        width: columns,
        height: rows,
    }
}

/// How far it can be scrolled.
pub(super) fn extent(model: &Model, area: Rect) -> usize {
    let popup = popup(area);
    let columns = usize::from(popup.width.saturating_sub(4));
    lines(model, columns).len().saturating_sub(usize::from(popup.height.saturating_sub(2)))
}

fn title(model: &Model) -> &'static str {
    let at = model.under();
    if at == Where::OVERVIEW {
        "overview"
    } else if at == Where::STEP {
        "step"
    } else if at == Where::RAMP {
        "live ramp"
    } else if at == Where::HISTORY {
        "history"
    } else {
        "verdict"
    }
}

/// Two columns when there is room for them.
fn lines(model: &Model, columns: usize) -> Vec<Vec<Ink>> {
    let at = model.screen();
    let here = |b: &&Binding| b.at.meets(at) && !b.long.is_empty();
    let (general, special): (Vec<_>, Vec<_>) =
        model.keys.bindings().iter().filter(here).partition(|b| b.at.meets(Where::RAMP) && b.at.meets(Where::OVERVIEW));
    if columns < 70 {
        let mut all = section(model, "Here", &special, columns);
        all.push(Vec::new());
        all.extend(section(model, "Everywhere", &general, columns));
        all.push(Vec::new());
        all.extend(signs(columns));
        return all;
    }
    let half = columns / 2 - 1;
    let mut left = section(model, "Here", &special, half);
    left.push(Vec::new());
    left.extend(signs(half));
    let mut right = section(model, "Everywhere", &general, columns - half - 2);
    let rows = left.len().max(right.len());
    left.resize_with(rows, Vec::new);
    right.resize_with(rows, Vec::new);
    left.into_iter()
        .zip(right)
        .map(|(mut line, other)| {
            let used: usize = line.iter().map(|i| width(&i.text)).sum();
            line.push(plain(" ".repeat((half + 2).saturating_sub(used))));
            line.extend(other);
            line
        })
        .collect()
}

fn section(model: &Model, name: &str, bindings: &[&Binding], columns: usize) -> Vec<Vec<Ink>> {
    const KEY: usize = 11;
    let mut lines = vec![vec![ink(name, Role::Strong)]];
    for binding in bindings {
        let off = refusal(model, binding.action);
        let role = if off.is_some() { Role::Muted } else { Role::Focus };
        let text = if off.is_some() { format!("{} (not now)", binding.long) } else { binding.long.to_owned() };
        for (i, part) in wrap(&text, columns.saturating_sub(KEY)).into_iter().enumerate() {
            let key = if i == 0 { &*binding.label } else { "" };
            lines.push(vec![ink(pad(key, KEY), role), if off.is_some() { muted(part) } else { plain(part) }]);
        }
    }
    lines
}

fn signs(columns: usize) -> Vec<Vec<Ink>> {
    let meaning = [
        (StepState::Proven, "its checks passed and its ramp met the SLO"),
        (StepState::Held, "measured, and not good enough"),
        (StepState::Open, "may be taken"),
        (StepState::Locked, "the step before it is not proven or waived"),
        (StepState::Running, "is being checked or loaded"),
        (StepState::Waived, "counted as done by a signature"),
        (StepState::Stale, "proven, but its basis changed since"),
        (StepState::Regressed, "proven once, shown broken since"),
    ];
    let mut lines = vec![vec![ink("Signs", Role::Strong)]];
    for (state, text) in meaning {
        let (sign, role) = of_state(state);
        for (i, part) in wrap(text, columns.saturating_sub(12)).into_iter().enumerate() {
            lines.push(if i == 0 {
                vec![ink(sign, role), plain(format!(" {:<10}", state.word())), muted(part)]
            } else {
                vec![plain(" ".repeat(12)), muted(part)]
            });
        }
    }
    lines.push(Vec::new());
    let note = format!("Checks say pass, fail, weak, unknown or n/a. Only {} and {} open a gate.", "pass", "n/a");
    lines.extend(wrap(&words::tame(&note), columns).into_iter().map(|t| vec![muted(t)]));
    lines
}
