//! The smallest layout: where, in what state, the one number, the next key. No size is refused.

use ratatui::layout::Rect;

use super::frame;
use super::step::{self, sheet};
use super::verdict;
use crate::tui::model::{Model, Pane, Place};
use crate::tui::theme::Role;
use crate::tui::widgets::bar;
use crate::tui::widgets::paper::{Ink, Paper, ink, muted, plain, wrap};
use crate::tui::words;

pub(super) fn draw(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let id = model.subject();
    let columns = usize::from(area.width);
    let (sign, role) = frame::sign(model, id);
    let mut head = frame::marks(model);
    head.extend([
        ink(sign, role),
        plain(" "),
        ink(words::name(model, id), Role::Strong),
        plain(" "),
        ink(model.state(id).word(), role),
    ]);
    paper.line(area, 0, head);
    let keys = u16::from(area.height > 1);
    let room = Rect { y: area.y + 1, height: area.height.saturating_sub(1 + keys), ..area };
    match model.place() {
        Place::Step(id) if model.pane != Pane::Playbook => return step::draw(model, paper, room, id),
        Place::Verdict(id) => return verdict::draw(model, paper, room, id),
        _ => {}
    }
    let body = match (model.place(), &model.climb.ramp) {
        (Place::Ramp, Some(_)) => ramp_lines(model, columns),
        (Place::Step(_), _) => sheet(model, id, columns).lines.into_iter().skip(model.scroll.playbook).collect(),
        (Place::History, _) => super::history::lines(model),
        _ => words::advice(model, id).1.iter().flat_map(|s| wrap(s, columns)).map(|line| vec![plain(line)]).collect(),
    };
    paper.lines(room, 0, body);
}

fn ramp_lines(model: &Model, columns: usize) -> Vec<Vec<Ink>> {
    let Some(ramp) = &model.climb.ramp else { return Vec::new() };
    let last = ramp.last();
    let p95 = last.and_then(|p| p.hold_p95_ms.or(p.p95_ms));
    let limit = ramp.slo.p95_ms;
    let role = if p95.is_some_and(|v| v >= limit) { Role::Warn } else { Role::Strong };
    let shown = p95.map_or_else(|| "-".to_owned(), |v| format!("{} ms", words::ms(v)));
    let (done, left) = bar::thin(f64::from(ramp.second()) / ramp.end().max(1.0), columns);
    vec![
        vec![ink(format!("p95 {shown}"), role), muted(format!(" < {}", words::limit(limit)))],
        vec![plain(format!("{} {}", words::phase(ramp.phase), words::clock(ramp.second())))],
        vec![plain(format!("{} of {} users", last.map_or(0, |p| p.users), ramp.plan.users))],
        vec![plain(format!("{} errors", last.map_or(0, |p| p.total_errors)))],
        vec![ink(done, Role::Focus), muted(left)],
    ]
}
