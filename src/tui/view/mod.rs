//! From the model to cells: which layout, what is around every screen, which screen. No IO, nothing is changed.
//!
//! Three layouts: from 100x30 a rail beside bordered panes; from 60x20 one pane at a time under a strip of steps;
//! below that one card. No size is refused.

mod card;
mod frame;
mod help;
mod history;
mod overview;
mod popup;
mod rail;
mod ramp;
mod series;
mod step;
mod verdict;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::model::{Model, Over, Place};
use super::mouse::Zone;
use super::widgets::ascii;
use super::widgets::paper::Paper;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Card,
    Narrow,
    Wide,
}

impl Layout {
    fn of(model: &Model, area: Rect) -> Self {
        if area.width >= 100 && area.height >= 30 && !model.zoomed {
            Self::Wide
        } else if area.width >= 60 && area.height >= 20 {
            Self::Narrow
        } else {
            Self::Card
        }
    }
}

/// Draws the whole screen.
pub fn draw(model: &Model, area: Rect, buf: &mut Buffer) {
    paint(model, area, buf);
}

/// What a click at this column and row means.
pub(super) fn zone(model: &Model, column: u16, row: u16) -> Option<Zone> {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let zones = paint(model, area, &mut Buffer::empty(area));
    zones.into_iter().rev().find(|(part, _)| part.contains((column, row).into())).map(|(_, zone)| zone)
}

fn paint(model: &Model, area: Rect, buf: &mut Buffer) -> Vec<(Rect, Zone)> {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return Vec::new();
    }
    let layout = Layout::of(model, area);
    let mut paper = Paper::new(buf, model.look, layout == Layout::Wide);
    if layout == Layout::Card {
        card::draw(model, &mut paper, area);
    } else {
        frame::header(model, &mut paper, area);
        let body = body(model, area, layout);
        match model.place() {
            Place::Overview => overview::draw(model, &mut paper, body),
            Place::Step(id) => step::draw(model, &mut paper, body, id),
            Place::Ramp => ramp::draw(model, &mut paper, body),
            Place::Verdict(id) => verdict::draw(model, &mut paper, body, id),
            Place::History => history::draw(model, &mut paper, body),
        }
        if layout == Layout::Wide && model.place() != Place::Ramp {
            rail::draw(model, &mut paper, Rect { width: rail::WIDTH, ..inside(area) });
        }
        if layout == Layout::Narrow && model.place() != Place::Ramp {
            rail::strip(model, &mut paper, Rect { height: 1, ..inside(area) });
        }
    }
    if model.over.is_some() {
        // What lies below takes no clicks.
        paper.zones.clear();
    }
    match &model.over {
        Some(Over::Help) => help::draw(model, &mut paper, area),
        Some(Over::Ask(question)) => frame::ask(model, &mut paper, area, *question),
        Some(Over::Commands(palette)) => popup::palette(model, &mut paper, area, palette),
        Some(Over::Waive(form)) => popup::waive(model, &mut paper, area, form),
        None => {}
    }
    frame::footer(model, &mut paper, area);
    if model.look.ascii {
        ascii::flatten(paper.buf);
    }
    paper.zones
}

/// Between header and footer.
fn inside(area: Rect) -> Rect {
    Rect { y: area.y + 1, height: area.height.saturating_sub(2), ..area }
}

/// What a screen may fill: beside the rail, under the strip; the ramp takes all of it.
fn body(model: &Model, area: Rect, layout: Layout) -> Rect {
    let room = inside(area);
    match (model.place(), layout) {
        (Place::Ramp, _) | (_, Layout::Card) => room,
        (_, Layout::Wide) => Rect { x: room.x + rail::WIDTH, width: room.width.saturating_sub(rail::WIDTH), ..room },
        (_, Layout::Narrow) => Rect { y: room.y + 1, height: room.height.saturating_sub(1), ..room },
    }
}

/// What a copy of this screen would hold: the first code in sight, or what the check says to do.
pub(super) fn in_sight(model: &Model) -> Option<String> {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let layout = Layout::of(model, area);
    match model.place() {
        Place::Step(id) => step::in_sight(model, body(model, area, layout), layout == Layout::Wide, id),
        _ => None,
    }
}

/// The thing to do in the playbook that is open from the top of its pane on; backwards, the last one that is ticked.
pub(super) fn task(model: &Model, ticked: bool) -> Option<String> {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let layout = Layout::of(model, area);
    match model.place() {
        Place::Step(id) => step::task(model, body(model, area, layout), layout == Layout::Wide, id, ticked),
        _ => None,
    }
}

/// True when a verdict is longer than its screen.
pub(super) fn verdict_scrolls(model: &Model) -> bool {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let layout = Layout::of(model, area);
    match model.place() {
        Place::Verdict(id) => verdict::extent(model, body(model, area, layout), layout == Layout::Wide, id) > 0,
        _ => false,
    }
}

/// Keeps scroll positions inside what there is to see. Called after a key or another size.
pub(super) fn clamp(model: &mut Model) {
    let area = Rect::new(0, 0, model.size.0, model.size.1);
    let layout = Layout::of(model, area);
    let body = body(model, area, layout);
    let boxed = layout == Layout::Wide;
    if let Place::Step(id) = model.place() {
        let limits = step::extent(model, body, boxed, id);
        model.scroll.playbook = model.scroll.playbook.min(limits.0);
        model.scroll.evidence = model.scroll.evidence.min(limits.1);
    }
    if let Place::Verdict(id) = model.place() {
        model.scroll.verdict = model.scroll.verdict.min(verdict::extent(model, body, boxed, id));
    }
    if model.over == Some(Over::Help) {
        model.scroll.help = model.scroll.help.min(help::extent(model, area));
    }
}
