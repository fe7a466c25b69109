//! Where am I: ten steps with sign, word and worth, as a rail or as a strip.

use ratatui::layout::Rect;

use super::frame;
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::tui::keys::Action;
use crate::tui::model::Model;
use crate::tui::mouse::Zone;
use crate::tui::theme::{Role, of_state};
use crate::tui::widgets::paper::{Ink, Paper, ink, muted, pad_left, plain};
use crate::tui::words;

/// Columns of the rail.
pub(super) const WIDTH: u16 = 30;

/// Columns of a step in the strip.
const CELL: u16 = 5;

/// The rail: two lines a step, and the signs explained below when there is room.
pub(super) fn draw(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let done = StepId::all().filter(|id| model.state(*id).is_done()).count();
    let inner =
        paper.pane(area, vec![plain("Steps")], vec![muted(format!("{done} of {}", StepId::all().count()))], false);
    // The cursor stands in the column between border and text.
    let inner = Rect { x: inner.x.saturating_sub(1), width: inner.width + 1, ..inner };
    let here = model.subject();
    let mut row = 0;
    for id in StepId::all() {
        let (sign, role) = frame::sign(model, id);
        let title = model.step(id).map_or(String::new(), |s| words::tame(&s.short));
        let title_role = match model.state(id) {
            StepState::Locked => Role::Muted,
            _ if id == here => Role::Strong,
            _ => Role::Text,
        };
        let cursor = if id == here { "▸" } else { " " };
        let number = pad_left(&id.to_string(), 3);
        paper.line(
            inner,
            row,
            vec![
                ink(cursor, Role::Focus),
                ink(sign, role),
                ink(format!("{number} "), title_role),
                ink(title, title_role),
            ],
        );
        paper.line(inner, row + 1, vec![muted(format!("      {}", words::rail(model, id)))]);
        for part in [row, row + 1] {
            paper.zone(inner, part, Zone::Key(Action::Step(id.number())));
        }
        row += 2;
    }
    legend(model, paper, inner, row);
}

fn legend(model: &Model, paper: &mut Paper<'_>, inner: Rect, from: u16) {
    let proven = format!(" proven {} of {} users", model.proven_users(), model.goal_users());
    if inner.height < from + 2 {
        return;
    }
    if inner.height >= from + 6 {
        paper.line(
            inner,
            inner.height - 6,
            vec![plain(" "), muted("─".repeat(usize::from(inner.width.saturating_sub(1))))],
        );
        let rows = [
            [StepState::Proven, StepState::Held, StepState::Open],
            [StepState::Locked, StepState::Running, StepState::Stale],
        ];
        for (i, states) in (0..).zip(rows) {
            paper.line(inner, inner.height - 5 + i, named(&states));
        }
        paper.line(inner, inner.height - 3, named(&[StepState::Waived, StepState::Regressed]));
    }
    paper.line(inner, inner.height - 1, vec![ink(proven, Role::Strong)]);
}

fn named(states: &[StepState]) -> Vec<Ink> {
    let mut inks = Vec::new();
    for (i, state) in states.iter().enumerate() {
        let (sign, role) = of_state(*state);
        let word = if i + 1 < states.len() { format!(" {:<8}", state.word()) } else { format!(" {}", state.word()) };
        inks.extend([ink(sign, role), muted(word)]);
    }
    inks
}

/// The strip: one sign a step, the one in question in brackets.
pub(super) fn strip(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let here = model.subject();
    let mut inks = Vec::new();
    for (at, id) in (0..).zip(StepId::all()) {
        let (sign, role) = frame::sign(model, id);
        let part = Rect { x: area.x.saturating_add(at * CELL), width: CELL, ..area };
        paper.zone(part.intersection(area), 0, Zone::Key(Action::Step(id.number())));
        let number = pad_left(&id.to_string(), 2);
        if id == here {
            inks.push(ink(if id.number() < 10 { " [" } else { "[" }, Role::Focus));
            inks.push(ink(id.to_string(), Role::Strong));
            inks.push(ink(sign, role));
            inks.push(ink("]", Role::Focus));
        } else {
            inks.push(plain(" "));
            inks.push(muted(number));
            inks.push(ink(sign, role));
            inks.push(plain(" "));
        }
    }
    paper.ends(area, 0, inks, vec![muted(format!("proven {} ", model.proven_users()))]);
}
