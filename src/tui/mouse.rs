//! What the mouse does while it is on: whatever was drawn says what a click there means. No IO.

use crossterm::event::{MouseButton, MouseEvent, MouseEventKind};

use super::act::{act, travel};
use super::keys::Action;
use super::model::{Model, Over, Pane, Place};
use super::update::Out;
use super::view;

/// Lines of text that one notch of the wheel moves.
const NOTCH: isize = 3;

/// What a part of the screen stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// What a key does.
    Key(Action),
    /// A pane of the step screen.
    Pane(Pane),
    /// A row of the checks.
    Check(usize),
    /// A row of the history.
    Ramp(usize),
    /// A row of the palette.
    Entry(usize),
    /// A field of a form.
    Field(usize),
}

/// Takes one event of the mouse in.
pub(super) fn pointed(model: &mut Model, event: MouseEvent) -> Vec<Out> {
    let zone = view::zone(model, event.column, event.row);
    match event.kind {
        MouseEventKind::ScrollUp => roll(model, zone, -1),
        MouseEventKind::ScrollDown => roll(model, zone, 1),
        MouseEventKind::Down(MouseButton::Left) => return zone.map_or_else(Vec::new, |zone| click(model, zone)),
        _ => {}
    }
    Vec::new()
}

/// The wheel moves what is under it: a text by lines, a list by rows.
fn roll(model: &mut Model, zone: Option<Zone>, by: isize) {
    match zone {
        Some(Zone::Pane(pane)) if model.over.is_none() => model.pane = pane,
        Some(Zone::Check(_)) if model.over.is_none() => model.pane = Pane::Checks,
        _ => {}
    }
    let text = match (&model.over, model.place()) {
        (Some(over), _) => *over == Over::Help,
        (None, Place::Step(_)) => model.pane != Pane::Checks,
        (None, place) => matches!(place, Place::Verdict(_)),
    };
    travel(model, if text { by * NOTCH } else { by });
}

fn click(model: &mut Model, zone: Zone) -> Vec<Out> {
    match zone {
        Zone::Key(action) => return act(model, action),
        Zone::Pane(pane) => model.pane = pane,
        Zone::Check(at) if model.check == at && model.pane == Pane::Checks => return act(model, Action::Open),
        Zone::Check(at) => {
            model.pane = Pane::Checks;
            model.check = at;
            model.scroll.evidence = 0;
        }
        Zone::Ramp(at) if model.at == at => return act(model, Action::Open),
        Zone::Ramp(at) => model.at = at,
        Zone::Entry(at) => {
            if let Some(Over::Commands(palette)) = &mut model.over {
                palette.at = at;
                return act(model, Action::Yes);
            }
        }
        Zone::Field(at) => {
            if let Some(Over::Waive(form)) = &mut model.over {
                form.at = at;
            }
        }
    }
    Vec::new()
}
