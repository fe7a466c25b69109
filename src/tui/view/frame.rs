//! What is around every screen: the header with its marks, the footer with the keys that work here, a question.

use ratatui::layout::Rect;

use super::step::named;
use crate::domain::ids::StepId;
use crate::tui::act::refusal;
use crate::tui::keys::{Action, Binding};
use crate::tui::model::{Model, Place, Question};
use crate::tui::mouse::Zone;
use crate::tui::replay::Replay;
use crate::tui::theme::{self, Role};
use crate::tui::widgets::paper::{Ink, Paper, ink, muted, plain, width, wrap};
use crate::tui::words;

/// Crumbs on the left, the promise on the right, DEMO and QUICK the whole time.
pub(super) fn header(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let line = Rect { height: 1, ..area };
    let slo = match (model.place(), &model.climb.ramp) {
        (Place::Ramp, Some(ramp)) => &ramp.slo,
        _ => &model.slo,
    };
    let (p95, errors) = (words::limit(slo.p95_ms), words::limit(slo.error_percent));
    let promise = if area.width >= 100 {
        format!("SLO p95 < {p95} ms · errors < {errors} % ")
    } else {
        format!("p95<{p95}ms err<{errors}% ")
    };
    let mut left = vec![plain(" ")];
    left.extend(marks(model));
    left.push(ink("rampup", Role::Strong));
    for crumb in crumbs(model, area.width >= 100) {
        left.push(muted(" ▸ "));
        left.push(crumb);
    }
    let right = match &model.replay {
        Some(replay) => tape(replay),
        None => vec![muted(promise)],
    };
    paper.ends(line, 0, left, right);
}

/// Where a recording is: its run, its second, how fast it plays.
fn tape(replay: &Replay) -> Vec<Ink> {
    let (second, length, speed) = replay.place();
    let how = if replay.playing {
        format!("{speed}×")
    } else if replay.over() {
        "end".to_owned()
    } else {
        "paused".to_owned()
    };
    let at = format!("{} of {} {how} ", words::clock(second), words::clock(length));
    vec![muted(format!("{}  ", words::tame(replay.run.as_str()))), plain(at)]
}

/// Practice is said wherever something is shown.
pub(super) fn marks(model: &Model) -> Vec<Ink> {
    let mut marks = Vec::new();
    let marks_of = [(model.replay.is_some(), "REPLAY"), (model.demo.is_some(), "DEMO"), (model.quick, "QUICK")];
    for (on, mark) in marks_of {
        if on {
            marks.push(ink(mark, Role::Warn));
            marks.push(plain("  "));
        }
    }
    marks
}

fn crumbs(model: &Model, wide: bool) -> Vec<Ink> {
    let mut crumbs = Vec::new();
    if wide || model.place() == Place::Overview {
        crumbs.push(plain(model.site.clone()));
    }
    match model.place() {
        Place::Overview => {
            if wide && !model.target.is_empty() {
                crumbs.push(muted(model.target.clone()));
            }
        }
        Place::Step(id) => crumbs.push(plain(words::name(model, id))),
        Place::Verdict(id) => {
            crumbs.push(plain(words::name(model, id)));
            crumbs.push(plain("verdict"));
        }
        Place::History => crumbs.push(plain("history")),
        Place::Ramp => {
            if let Some(ramp) = &model.climb.ramp {
                crumbs.push(plain(words::name(model, ramp.step)));
                let at = words::clock(ramp.second());
                if let Some(second) = model.glance {
                    crumbs.push(ink(format!("view at {}", words::clock(second)), Role::Warn));
                }
                crumbs.push(if ramp.ended {
                    plain(format!("ended after {at}"))
                } else {
                    let (sign, role) = turning(model);
                    ink(format!("{sign} running {at}"), role)
                });
            }
        }
    }
    crumbs
}

/// The sign of something that runs; it turns once a second.
pub(super) fn turning(model: &Model) -> (&'static str, Role) {
    const SIGNS: [&str; 4] = ["◐", "◓", "◑", "◒"];
    (SIGNS[model.beat % SIGNS.len()], Role::Focus)
}

/// Sign and role of a step as it is now.
pub(super) fn sign(model: &Model, id: StepId) -> (&'static str, Role) {
    if model.climb.running == Some(id) { turning(model) } else { theme::of_state(model.state(id)) }
}

/// Keys that work here, or a toast while there is one.
pub(super) fn footer(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    if area.height < 2 {
        return;
    }
    let line = Rect { y: area.bottom() - 1, height: 1, ..area };
    if let Some(toast) = &model.toast {
        let (sign, role) = if toast.refused { (" ! ", Role::Warn) } else { (" ▸ ", Role::Focus) };
        paper.line(line, 0, vec![ink(sign, role), plain(toast.text.clone())]);
        return;
    }
    let (inks, places) = keys(model, usize::from(area.width));
    paper.line(line, 0, inks);
    for (from, columns, action) in places {
        let part = Rect { x: line.x.saturating_add(from), width: columns, ..line };
        paper.zone(part.intersection(line), 0, Zone::Key(action));
    }
}

/// The footer's words, and from which column on so many mean what: as many as fit whole, help always. Keys that cannot work now are left to the help.
fn keys(model: &Model, columns: usize) -> (Vec<Ink>, Vec<(u16, u16, Action)>) {
    let at = model.focus();
    let shown: Vec<_> = model
        .keys
        .bindings()
        .iter()
        .filter(|b| b.at.meets(at) && !b.short.is_empty() && refusal(model, b.action).is_none())
        .collect();
    let wide = |label: &str, short: &str| width(label) + width(short) + 3;
    let (helps, others): (Vec<&Binding>, Vec<&Binding>) = shown.into_iter().partition(|b| b.action == Action::Help);
    let mut room = columns.saturating_sub(helps.iter().map(|b| wide(&b.label, b.short)).sum::<usize>());
    let mut inks = vec![plain(" ")];
    let mut places = Vec::new();
    let mut from = 1_u16;
    let mut put = |label: &str, short: &str, action: Action| {
        let columns = u16::try_from(wide(label, short)).unwrap_or(u16::MAX);
        places.push((from, columns, action));
        from = from.saturating_add(columns);
        inks.push(ink(label, Role::Focus));
        inks.push(muted(format!(" {short}  ")));
    };
    for b in others {
        let short = word(model, b.action, b.short);
        if wide(&b.label, &short) <= room {
            room -= wide(&b.label, &short);
            put(&b.label, &short, b.action);
        }
    }
    for b in helps {
        put(&b.label, b.short, b.action);
    }
    if let Some(last) = inks.last_mut() {
        last.text = last.text.trim_end().to_owned();
    }
    (inks, places)
}

/// The same key says what it does at this moment.
fn word(model: &Model, action: Action, short: &str) -> String {
    match action {
        Action::Verdict if model.ramping() => "live".to_owned(),
        Action::Pause if model.replay.as_ref().is_some_and(Replay::over) => "again".to_owned(),
        Action::Pause if model.glance.is_some() => "to now".to_owned(),
        Action::Pause if model.replay.is_some() && !model.is_playing() => "go on".to_owned(),
        _ => short.to_owned(),
    }
}

/// A question in the middle; everything it would do is said.
pub(super) fn ask(model: &Model, paper: &mut Paper<'_>, area: Rect, question: Question) {
    // The footer stays: it says how to answer.
    let area = Rect { height: area.height.saturating_sub(1).max(1), ..area };
    let columns = area.width.saturating_sub(4).min(72);
    let room = usize::from(columns.saturating_sub(4));
    let (title, lines) = match question {
        Question::Run(step) => (format!("Run step {}?", words::name(model, step)), run_lines(model, step, room)),
        Question::Stop => (
            "Stop what is running?".to_owned(),
            vec![
                vec![plain("No new requests; those under way end within a second.")],
                vec![plain("What was seen is kept. A stopped ramp proves nothing.")],
            ],
        ),
        Question::Quit => (
            "Leave rampup?".to_owned(),
            vec![vec![plain(if model.live().busy || model.live().running.is_some() {
                "Something is running. Leaving stops it; what was seen is kept."
            } else {
                "Progress is on disk; the next start goes on from here."
            })]],
        ),
    };
    let mut set: Vec<Vec<Ink>> = Vec::new();
    for line in lines {
        if let [only] = line.as_slice() {
            set.extend(wrap(&only.text, room).into_iter().map(|text| vec![ink(text, only.role)]));
        } else {
            set.push(line);
        }
    }
    set.push(Vec::new());
    set.push(vec![
        ink("y", Role::Focus),
        plain(" or "),
        ink("enter", Role::Focus),
        plain("  yes      "),
        ink("n", Role::Focus),
        plain(" or "),
        ink("esc", Role::Focus),
        plain("  no"),
    ]);
    let rows = u16::try_from(set.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let popup = Rect {
        x: area.x + (area.width.saturating_sub(columns)) / 2,
        y: area.y + (area.height.saturating_sub(rows)) / 2,
        width: columns,
        height: rows,
    };
    paper.blank(popup);
    let boxed = std::mem::replace(&mut paper.boxed, true);
    let inner = paper.pane(popup, vec![ink(title, Role::Strong)], Vec::new(), true);
    paper.boxed = boxed;
    // A question must stay answerable on a small screen: its last line is its keys.
    let skip = set.len().saturating_sub(usize::from(inner.height));
    let drop_from = set.len().saturating_sub(1 + skip);
    set.drain(drop_from..set.len().saturating_sub(1));
    paper.lines(inner, 0, set);
}

fn run_lines(model: &Model, step: StepId, columns: usize) -> Vec<Vec<Ink>> {
    let mut lines = Vec::new();
    let mut pair = |name: &str, value: &str| named(&mut lines, name, value, columns, Role::Text);
    pair("target", &model.target);
    pair("users", &words::count(u64::from(model.gate_users(step))));
    match model.plans.get(&step) {
        Some((plan, claim)) => {
            let span = |d: std::time::Duration| words::span(d.as_secs_f64());
            let (climb, settle, hold) = (span(plan.climbing()), span(plan.settle_limit), span(plan.hold));
            pair("takes", &format!("about {}", span(claim.takes)));
            pair("", &format!("climb {climb}, settle up to {settle}, hold {hold}"));
            let requests = words::count(claim.requests);
            let shows = claim.error_percent.map_or_else(
                || format!("≈{requests} requests, too few to rule out any error rate"),
                |e| format!("≈{requests} requests; if all succeed, errors are under {e:.2} %"),
            );
            pair("can show", &shows);
            if let Some(most) = plan.beyond.last() {
                let most = words::count(u64::from(*most));
                pair(
                    "then",
                    &format!("rungs up to {most} users in {}, until the promise breaks", span(plan.exploring())),
                );
            }
        }
        None => {
            let hold = model.step(step).map_or(0.0, |s| s.gate.hold.as_secs_f64());
            pair("takes", &format!("climb and settling, then a hold of {} or more", words::span(hold)));
        }
    }
    lines.push(Vec::new());
    let checks = model.step(step).map_or(0, |s| s.checks.len());
    let first = match checks {
        1 => "Its check comes first; when it holds the step".to_owned(),
        checks => format!("Its {checks} checks come first; when one of them holds the step"),
    };
    lines.push(vec![plain(format!("{first}, no load is sent. Only load-test a site you own."))]);
    lines
}
