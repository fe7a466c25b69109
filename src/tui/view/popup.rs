//! What is typed into: the palette of commands, and the form of a waiver. Both lie over the screen and keep its footer.

use ratatui::layout::Rect;

use super::step::named;
use crate::tui::model::Model;
use crate::tui::mouse::Zone;
use crate::tui::palette::{self, Palette};
use crate::tui::theme::Role;
use crate::tui::waive::Form;
use crate::tui::widgets::paper::{Ink, Paper, fit, ink, muted, pad, wrap};
use crate::tui::widgets::typed::entered;
use crate::tui::words;

/// Rows of commands.
const ROWS: u16 = 14;

pub(super) fn palette(model: &Model, paper: &mut Paper<'_>, area: Rect, typed: &Palette) {
    let found = palette::entries(model, &typed.text);
    let inner = popup(
        paper,
        area,
        78,
        ROWS + 4,
        "Commands",
        &format!("{} of {}", typed.at.min(found.len().saturating_sub(1)) + usize::from(!found.is_empty()), found.len()),
    );
    let columns = usize::from(inner.width);
    paper.line(inner, 0, entered(&typed.text, true, columns));
    let rows = usize::from(inner.height.saturating_sub(1)).max(1);
    let at = typed.at.min(found.len().saturating_sub(1));
    let from = (at + 1).saturating_sub(rows);
    if found.is_empty() {
        paper.line(inner, 1, vec![muted("nothing is called so; backspace, or esc")]);
    }
    for (row, (index, entry)) in (1..).zip(found.iter().enumerate().skip(from).take(rows)) {
        let here = index == at;
        let role = match (&entry.off, here) {
            (Some(_), _) => Role::Muted,
            (None, true) => Role::Strong,
            (None, false) => Role::Text,
        };
        let left = vec![ink(if here { "▸ " } else { "  " }, Role::Focus), ink(entry.words.clone(), role)];
        // A command that cannot work says why while it is pointed at.
        let right = match &entry.off {
            Some(why) if here => vec![muted(fit(why, columns / 2))],
            Some(_) => vec![muted("not now")],
            None => vec![ink(entry.key.clone(), Role::Focus)],
        };
        paper.ends(inner, row, left, right);
        paper.zone(inner, row, Zone::Entry(index));
    }
}

pub(super) fn waive(model: &Model, paper: &mut Paper<'_>, area: Rect, form: &Form) {
    let step = words::name(model, form.step);
    let columns = usize::from(area.width.saturating_sub(8).min(74));
    let mut lines: Vec<Vec<Ink>> = Vec::new();
    let what = match &form.check {
        Some(check) => format!("{} alone; its step's other checks count as before", words::tame(&check.0)),
        None => "the whole step: steps after it open, and it proves nothing".to_owned(),
    };
    named(&mut lines, "what", &what, columns, Role::Text);
    let first = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    for (index, (name, text)) in Form::NAMES.iter().zip(&form.fields).enumerate() {
        let here = index == form.at;
        let mut line = vec![ink(pad(name, 10), if here { Role::Focus } else { Role::Muted })];
        line.extend(entered(text, here, columns.saturating_sub(10)));
        lines.push(line);
    }
    lines.push(Vec::new());
    let (said, role) = match &form.said {
        Some(said) => (said.as_str(), Role::Warn),
        None => ("It is marked ~ everywhere, stands in every report, and locks again after its last day.", Role::Muted),
    };
    lines.extend(wrap(said, columns).into_iter().map(|line| vec![ink(line, role)]));
    let title = match &form.check {
        Some(check) => format!("Waive {} of step {}", words::tame(&check.0), form.step),
        None => format!("Waive step {step}"),
    };
    let rows = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let inner = popup(paper, area, 78, rows, &title, "");
    for (row, index) in (first..).zip(0..Form::NAMES.len()) {
        paper.zone(inner, row, Zone::Field(index));
    }
    paper.lines(inner, 0, lines);
}

fn popup(paper: &mut Paper<'_>, area: Rect, columns: u16, rows: u16, title: &str, right: &str) -> Rect {
    let columns = area.width.min(columns);
    // The footer stays: it says how to get out.
    let rows = rows.min(area.height.saturating_sub(1)).max(1);
    let popup = Rect {
        x: area.x + (area.width - columns) / 2,
        y: area.y + area.height.saturating_sub(1 + rows) / 2,
        width: columns,
        height: rows,
    };
    paper.blank(popup);
    let boxed = std::mem::replace(&mut paper.boxed, true);
    let right = if right.is_empty() { Vec::new() } else { vec![muted(right.to_owned())] };
    let inner = paper.pane(popup, vec![ink(title.to_owned(), Role::Strong)], right, true);
    paper.boxed = boxed;
    inner
}
