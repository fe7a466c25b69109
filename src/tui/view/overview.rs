//! Where am I, and what next: the capacity proven step by step, the next thing to do, what happened last.

use ratatui::layout::Rect;

use super::frame;
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::tui::keys::Action;
use crate::tui::model::Model;
use crate::tui::mouse::Zone;
use crate::tui::theme::Role;
use crate::tui::widgets::bar;
use crate::tui::widgets::paper::{Ink, Paper, cut, ink, muted, pad, pad_left, plain, wrap};
use crate::tui::words;

/// Columns of a step's name before its bar.
const NAME: usize = 20;
/// Columns of the figures after it.
const FIGURES: usize = 22;

pub(super) fn draw(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let edge = u16::from(paper.boxed);
    // Ten steps and an axis under a title.
    let capacity = 12 + edge;
    let advice = if paper.boxed { 9 } else { 6 };
    let (top, rest) = cut(area, capacity);
    let (middle, bottom) = cut(rest, advice.min(rest.height));
    capacity_pane(model, paper, top);
    next_pane(model, paper, middle);
    if paper.boxed && bottom.height >= 8 {
        let (checks, log) = cut(bottom, bottom.height / 2 + 1);
        checks_pane(model, paper, checks);
        log_pane(model, paper, log);
    } else {
        log_pane(model, paper, bottom);
    }
}

fn capacity_pane(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let limit = words::limit(model.slo.p95_ms);
    let right =
        if paper.boxed { format!("users held at p95 < {limit} ms") } else { "users held at the SLO".to_owned() };
    let title = if paper.boxed { "Capacity proven, step by step" } else { "Capacity proven" };
    let inner = paper.pane(area, vec![plain(title)], vec![muted(right)], false);
    let inner = Rect { x: inner.x.saturating_sub(1), width: inner.width + 1, ..inner };
    let columns = usize::from(inner.width).saturating_sub(NAME + FIGURES + 6);
    let goal = f64::from(model.goal_users().max(1));
    for (row, id) in (0..).zip(StepId::all()) {
        let here = id == model.cursor;
        let (sign, role) = frame::sign(model, id);
        let short = model.step(id).map_or(String::new(), |s| words::tame(&s.short));
        let name = format!("{} {}", pad_left(&id.to_string(), 2), pad(&short, NAME - 3));
        let name_role = match model.state(id) {
            StepState::Locked => Role::Muted,
            _ if here => Role::Strong,
            _ => Role::Text,
        };
        let mut left =
            vec![ink(if here { "▸" } else { " " }, Role::Focus), ink(sign, role), ink(format!(" {name} "), name_role)];
        let (bar, figures) = worth(model, id, goal, columns);
        left.extend(bar);
        paper.ends(inner, row, left, figures);
        paper.zone(inner, row, Zone::Key(Action::Step(id.number())));
    }
    axis(paper, inner, columns, model.goal_users());
}

/// A step's bar and its figures. A bar is what was measured; dashes are what is still to come.
fn worth(model: &Model, id: StepId, goal: f64, columns: usize) -> (Vec<Ink>, Vec<Ink>) {
    let state = model.state(id);
    let record = model.climb.progress.steps.get(&id);
    let users = match state {
        StepState::Running => {
            model.climb.ramp.as_ref().filter(|r| r.step == id && !r.ended).and_then(|r| r.last()).map(|p| p.users)
        }
        StepState::Proven | StepState::Stale | StepState::Regressed | StepState::Held => record.and_then(|r| r.users),
        StepState::Locked | StepState::Open | StepState::Waived => None,
    };
    let role = match state {
        StepState::Proven => Role::Pass,
        StepState::Running => Role::Focus,
        StepState::Held | StepState::Regressed => Role::Fail,
        _ => Role::Warn,
    };
    let gate = f64::from(model.gate_users(id)) / goal;
    let bar = match users {
        Some(users) => {
            let room = columns.saturating_sub(6);
            vec![ink(bar::solid(f64::from(users) / goal, room), role), plain(format!(" {users}"))]
        }
        None => {
            let dashes = bar::solid(gate, columns.saturating_sub(6)).chars().count().max(1);
            let word = match state {
                StepState::Waived => " waived".to_owned(),
                _ => format!(" {}", model.gate_users(id)),
            };
            vec![muted("╌".repeat(dashes)), muted(word)]
        }
    };
    let live = model.climb.ramp.as_ref().filter(|r| r.step == id && !r.ended).and_then(|r| r.last());
    let figures = match (state, live) {
        (StepState::Running, Some(pulse)) => figures(pulse.hold_p95_ms.or(pulse.p95_ms), None),
        (StepState::Locked | StepState::Open | StepState::Waived, _) => Vec::new(),
        _ => record.map_or(Vec::new(), |r| figures(r.p95_ms.map(|p| p[0]), r.error_percent.map(|e| e[0]))),
    };
    (bar, figures)
}

fn figures(p95: Option<f64>, errors: Option<f64>) -> Vec<Ink> {
    let p95 = p95.map_or(String::new(), |v| format!("p95 {}", pad_left(&words::ms(v), 5)));
    let errors = errors.map_or(String::new(), |v| format!("{} %", words::percent(v)));
    if p95.is_empty() && errors.is_empty() {
        return Vec::new();
    }
    vec![muted(format!("{p95}  {} ", pad_left(&errors, 8)))]
}

fn axis(paper: &mut Paper<'_>, inner: Rect, columns: usize, goal: u32) {
    let room = columns.saturating_sub(6);
    if inner.height < 11 || room < 20 || goal == 0 {
        return;
    }
    let mut text = vec![' '; room + 8];
    for quarter in 0..=4usize {
        let label = (u64::from(goal) * quarter as u64 / 4).to_string();
        let at = (room * quarter / 4).saturating_sub(if quarter == 0 { 0 } else { label.len() / 2 });
        for (i, c) in label.chars().enumerate() {
            if let Some(cell) = text.get_mut(at + i) {
                *cell = c;
            }
        }
    }
    let indent = " ".repeat(NAME + 4);
    paper.line(inner, 10, vec![muted(indent + text.iter().collect::<String>().trim_end())]);
}

/// What to do next, or what to know about the step under the cursor.
fn next_pane(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let id = model.cursor;
    let done = model.next_step().is_none();
    let title = if model.next_step() == Some(id) { "Do this next".to_owned() } else { format!("About step {id}") };
    let inner = paper.pane(area, vec![ink(title, Role::Strong)], Vec::new(), false);
    let columns = usize::from(inner.width);
    let (sign, role) = frame::sign(model, id);
    let (head, body) = words::advice(model, id);
    let mut lines = vec![vec![ink(sign, role), plain(" "), ink(head, Role::Strong)]];
    if done {
        lines.push(vec![ink(format!("  The climb is done: {} users proven.", model.proven_users()), Role::Pass)]);
    }
    for sentence in body {
        let fails = sentence.starts_with('✗');
        for line in wrap(&sentence, columns.saturating_sub(3)) {
            lines.push(vec![plain("  "), ink(line, if fails { Role::Fail } else { Role::Text })]);
        }
    }
    // The keys keep their row whatever the sentences need.
    let keys = usize::from(inner.height).saturating_sub(1);
    if lines.len() > keys {
        lines.truncate(keys.saturating_sub(1));
        lines.push(vec![muted("  … enter shows the rest")]);
    }
    paper.lines(inner, 0, lines);
    if inner.height > 1 {
        paper.line(inner, inner.height - 1, hints(model, id));
    }
}

fn hints(model: &Model, id: StepId) -> Vec<Ink> {
    let hint = |key: &str, words: &str| [ink(format!("  {key} "), Role::Focus), muted(format!("{words} "))];
    let mut inks = Vec::new();
    match model.state(id) {
        StepState::Locked => {
            inks.extend(hint("enter", "read ahead"));
            if let Some(next) = model.next_step() {
                inks.extend(hint(&key_of(next), &format!("go to step {next}")));
            }
        }
        StepState::Running => {
            inks.extend(hint("v", "watch"));
            inks.extend(hint("s", "stop"));
        }
        state => {
            let checks = model.step(id).map_or(0, |s| s.checks.len());
            inks.extend(hint("enter", "playbook"));
            inks.extend(hint("r", &format!("run its {checks} checks")));
            inks.extend(hint("R", &format!("run it whole, {} users", model.gate_users(id))));
            if state != StepState::Open && model.climb.has_verdict(id) {
                inks.extend(hint("v", "verdict"));
            }
        }
    }
    inks
}

/// The digit that goes to a step.
fn key_of(id: StepId) -> String {
    (id.number() % 10).to_string()
}

/// The checks of the step under the cursor in one line each.
fn checks_pane(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let Some(step) = model.step(model.cursor) else { return };
    let count = format!("{} of {} answered", words::answered(model, step.id), step.checks.len());
    let inner = paper.pane(area, vec![plain(format!("Checks of step {}", step.id))], vec![muted(count)], false);
    for (row, line) in (0..).zip(&step.checks) {
        let (left, right) = super::step::check_row(model, step.id, line);
        paper.ends(inner, row, left, right);
    }
    if step.checks.is_empty() {
        paper.line(inner, 0, vec![muted("none; only its ramp decides")]);
    }
}

/// The newest notes, newest last.
fn log_pane(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let inner = paper.pane(area, vec![plain("Log")], Vec::new(), false);
    log(model, paper, inner);
}

/// As many of the newest log lines as fit.
pub(super) fn log(model: &Model, paper: &mut Paper<'_>, inner: Rect) {
    let lines = &model.climb.log;
    if lines.is_empty() {
        paper.line(inner, 0, vec![muted("nothing has run in this session yet")]);
        return;
    }
    let from = lines.len().saturating_sub(usize::from(inner.height));
    for (row, (at, text)) in (0..).zip(&lines[from..]) {
        paper.line(inner, row, vec![muted(words::time(model, *at)), plain("  "), plain(text.clone())]);
    }
}
