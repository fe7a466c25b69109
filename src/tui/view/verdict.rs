//! May I go on: the sentence first, then each objective with its bounds, then what else is known, then what to press.

use ratatui::layout::Rect;

use super::frame;
use super::step::named;
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::domain::verdict::{Objective, ObjectiveOutcome, RampOutcome};
use crate::tui::model::{Judged, Model};
use crate::tui::theme::Role;
use crate::tui::widgets::bar;
use crate::tui::widgets::paper::{Ink, Paper, cut, fit, ink, muted, pad, pad_left, plain, width, wrap};
use crate::tui::words;

/// Rows that stay for the measurement, whatever else is said.
const LEAST: u16 = 10;

pub(super) fn draw(model: &Model, paper: &mut Paper<'_>, area: Rect, id: StepId) {
    if paper.boxed { wide(model, paper, area, id) } else { narrow(model, paper, area, id) }
}

/// How far it can be scrolled; a wide screen shows all of it.
pub(super) fn extent(model: &Model, area: Rect, boxed: bool, id: StepId) -> usize {
    if boxed {
        return 0;
    }
    column(model, id, usize::from(area.width)).len().saturating_sub(usize::from(area.height))
}

fn wide(model: &Model, paper: &mut Paper<'_>, area: Rect, id: StepId) {
    let columns = usize::from(area.width.saturating_sub(4));
    let rows = |lines: &[Vec<Ink>]| u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
    let sentence = sentence(model, id, columns);
    let (top, rest) = cut(area, rows(&sentence));
    let inner = paper.pane(top, vec![plain("Verdict")], vec![muted(when(model, id))], false);
    paper.lines(inner, 0, sentence);

    let next = what_now(model, id, columns);
    let (rest, bottom) = cut(rest, rest.height.saturating_sub(rows(&next)));
    let inner = paper.pane(bottom, vec![plain("What now")], Vec::new(), false);
    paper.lines(inner, 0, next);

    let objectives = objectives(model, id, columns);
    let (middle, rest) = cut(rest, rows(&objectives).min(rest.height));
    let inner = paper.pane(middle, vec![plain("Objectives")], vec![muted("all must pass, on the hold")], false);
    paper.lines(inner, 0, objectives);

    let looks = look(model, id, columns);
    let wanted = if looks.is_empty() { 0 } else { rows(&looks).min(rest.height.saturating_sub(LEAST)) };
    let (where_to, rest) = cut(rest, wanted);
    if wanted > 2 {
        let inner = paper.pane(where_to, vec![plain("Where to look")], vec![muted("decides nothing")], false);
        paper.lines(inner, 0, looks);
    }

    if rest.height < 3 {
        return;
    }
    let half = rest.width / 2;
    let left = Rect { width: half, ..rest };
    let right = Rect { x: rest.x + half, width: rest.width - half, ..rest };
    let limit = words::limit(model.slo.p95_ms);
    if !model.climb.judged.contains_key(&id) {
        super::step::check_list(model, paper, left, id);
        let inner = paper.pane(right, vec![plain("The measurement")], Vec::new(), false);
        paper.lines(inner, 0, about(model, id, usize::from(inner.width)));
        return;
    }
    let table = rungs(model, id);
    // Endpoints need four rows to say anything; without them the table takes all.
    let taken = match rows(&table) {
        _ if table.is_empty() => 0,
        wanted if wanted + 4 > left.height => left.height,
        wanted => wanted,
    };
    let (steps, left) = cut(left, taken);
    if taken > 2 {
        let inner =
            paper.pane(steps, vec![plain("Climb in steps")], vec![ink(format!("SLO {limit}"), Role::Slo)], false);
        paper.lines(inner, 0, table);
    }
    if left.height > 2 {
        let inner =
            paper.pane(left, vec![plain("p95 by endpoint, ms")], vec![ink(format!("SLO {limit}"), Role::Slo)], false);
        endpoints(model, paper, inner, id);
    }
    let inner = paper.pane(right, vec![plain("The measurement")], Vec::new(), false);
    paper.lines(inner, 0, about(model, id, usize::from(inner.width)));
}

fn narrow(model: &Model, paper: &mut Paper<'_>, area: Rect, id: StepId) {
    for (row, part) in
        (0..area.height).zip(column(model, id, usize::from(area.width)).into_iter().skip(model.scroll.verdict))
    {
        let line = Rect { y: area.y + row, height: 1, ..area };
        match part {
            Part::Rule(title, right) => paper.rule(line, title, right, Role::Muted),
            Part::Line(inks) => {
                paper.line(Rect { x: line.x + 1, width: line.width.saturating_sub(2), ..line }, 0, inks)
            }
        }
    }
}

enum Part {
    Rule(Vec<Ink>, Vec<Ink>),
    Line(Vec<Ink>),
}

/// All of it under one another, for a screen with one pane.
fn column(model: &Model, id: StepId, columns: usize) -> Vec<Part> {
    let room = columns.saturating_sub(2);
    let mut parts = vec![Part::Rule(vec![plain("Verdict")], vec![muted(when(model, id))])];
    parts.extend(sentence(model, id, room).into_iter().map(Part::Line));
    parts.push(Part::Rule(vec![plain("Objectives")], vec![muted("all must pass, on the hold")]));
    parts.extend(objectives(model, id, room).into_iter().map(Part::Line));
    let looks = look(model, id, room);
    if !looks.is_empty() {
        parts.push(Part::Rule(vec![plain("Where to look")], vec![muted("decides nothing")]));
        parts.extend(looks.into_iter().map(Part::Line));
    }
    parts.push(Part::Rule(vec![plain("What now")], Vec::new()));
    parts.extend(what_now(model, id, room).into_iter().map(Part::Line));
    parts.push(Part::Rule(vec![plain("The measurement")], Vec::new()));
    parts.extend(about(model, id, room).into_iter().map(Part::Line));
    let table = rungs(model, id);
    if !table.is_empty() {
        parts.push(Part::Rule(vec![plain("Climb in steps")], Vec::new()));
        parts.extend(table.into_iter().map(Part::Line));
    }
    if let Some(judged) = model.climb.judged.get(&id).filter(|j| !j.measurement.endpoints.is_empty()) {
        parts.push(Part::Rule(vec![plain("p95 by endpoint, ms")], Vec::new()));
        parts.extend(endpoint_lines(model, judged, room).into_iter().map(Part::Line));
    }
    parts
}

fn when(model: &Model, id: StepId) -> String {
    model.climb.progress.steps.get(&id).map_or(String::new(), |r| words::day(model, r.at))
}

/// True when a step is held by a ramp that could not be decided, and by nothing else.
fn undecided(model: &Model, id: StepId) -> bool {
    let held_by_checks = model.climb.progress.steps.get(&id).is_none_or(|record| !record.held_by.is_empty());
    let outcome = model.climb.judged.get(&id).map(|judged| judged.verdict.outcome);
    !held_by_checks && outcome == Some(RampOutcome::Inconclusive)
}

/// The sentences a person reads first.
pub(super) fn said(model: &Model, id: StepId) -> Vec<String> {
    let mut said = Vec::new();
    if let Some(record) = model.climb.progress.steps.get(&id) {
        said.push(words::tame(&record.sentence));
    }
    if let Some(judged) = model.climb.judged.get(&id) {
        let sentence = words::tame(&judged.verdict.sentence);
        if !said.iter().any(|s| s.contains(&sentence)) {
            said.push(sentence);
        }
    }
    if let Some(why) = model.climb.broken.get(&id) {
        said.push(why.clone());
    }
    if said.is_empty() {
        said.push("Not judged yet.".to_owned());
    }
    said
}

fn sentence(model: &Model, id: StepId, columns: usize) -> Vec<Vec<Ink>> {
    let state = model.state(id);
    let (sign, role) = frame::sign(model, id);
    let head = format!("{sign} {}", state.word().to_uppercase());
    let mut lines = vec![vec![ink(head, role), plain("    "), plain(consequence(model, id))], Vec::new()];
    for sentence in said(model, id) {
        lines.extend(wrap(&sentence, columns).into_iter().map(|line| vec![ink(line, Role::Strong)]));
    }
    if let Some(record) = model.climb.progress.steps.get(&id).filter(|r| !r.held_by.is_empty()) {
        lines.push(Vec::new());
        lines.push(vec![muted("held by")]);
        for why in &record.held_by {
            for (i, line) in wrap(&words::tame(why), columns.saturating_sub(4)).into_iter().enumerate() {
                lines.push(vec![ink(if i == 0 { "  ✗ " } else { "    " }, Role::Fail), plain(line)]);
            }
        }
    }
    lines
}

/// What it means for the step after it, as the states say, not as this screen thinks.
fn consequence(model: &Model, id: StepId) -> String {
    let Some(next) = id.next() else {
        return match model.state(id) {
            StepState::Proven => format!("The climb is done: {} users proven.", model.proven_users()),
            _ => format!("Step {id} is the last one."),
        };
    };
    let name = |id: StepId| {
        let short = model.step(id).map_or(String::new(), |s| format!(", {},", words::tame(&s.short)));
        format!("tep {id}{short}")
    };
    match model.state(next) {
        StepState::Locked => format!("S{} stays locked.", name(next)),
        StepState::Open => format!("S{} is unlocked.", name(next)),
        StepState::Waived => {
            let open = model.next_step().filter(|id| *id > next && model.state(*id) == StepState::Open);
            let then = open.map_or(String::new(), |id| format!("; s{} is unlocked", name(id)));
            format!("S{} is waived{then}.", name(next))
        }
        state => format!("S{} is {}.", name(next), state.word()),
    }
}

fn objectives(model: &Model, id: StepId, columns: usize) -> Vec<Vec<Ink>> {
    let Some(judged) = model.climb.judged.get(&id) else { return recorded(model, id, columns) };
    let name = columns.saturating_sub(50).clamp(8, 26);
    let head = format!(
        "  {}{}{}{}  {}",
        pad("objective", name),
        pad("wanted", 10),
        pad_left("got", 9),
        pad_left("bounds", 14),
        pad_left("room", 12)
    );
    let mut lines = vec![vec![muted(head)]];
    for objective in &judged.verdict.objectives {
        lines.push(objective_line(objective, name));
    }
    if judged.verdict.objectives.is_empty() {
        lines.push(vec![muted("  none was judged")]);
    }
    lines
}

fn objective_line(objective: &Objective, name: usize) -> Vec<Ink> {
    let (sign, role) = match objective.outcome {
        ObjectiveOutcome::Pass => ("✓", Role::Pass),
        ObjectiveOutcome::Fail => ("✗", Role::Fail),
        ObjectiveOutcome::Inconclusive => ("?", Role::Warn),
    };
    let unit = words::tame(&objective.unit);
    let show = |v: f64| if unit == "%" { words::percent(v) } else { words::ms(v) };
    let got = objective.value.map_or_else(|| "no data".to_owned(), |v| format!("{} {unit}", show(v)));
    let bounds = match (objective.low, objective.high) {
        (Some(low), Some(high)) => format!("{} - {}", show(low), show(high)),
        (Some(low), None) => format!("{} - ?", show(low)),
        (None, Some(high)) => format!("? - {}", show(high)),
        (None, None) => "too few".to_owned(),
    };
    let room = match (objective.outcome, objective.more_seconds, objective.high) {
        (ObjectiveOutcome::Inconclusive, Some(more), _) => format!("{more:.0} s more"),
        (ObjectiveOutcome::Inconclusive, None, _) => "undecided".to_owned(),
        (ObjectiveOutcome::Pass, _, Some(high)) => format!("+{}", show(objective.limit - high)),
        (ObjectiveOutcome::Fail, ..) => {
            objective.low.map_or(String::new(), |low| format!("-{}", show(low - objective.limit)))
        }
        _ => String::new(),
    };
    vec![
        ink(sign, role),
        plain(format!(" {}", pad(&words::tame(&objective.name), name))),
        muted(pad(&format!("< {} {unit}", words::limit(objective.limit)), 10)),
        plain(pad_left(&got, 9)),
        muted(pad_left(&bounds, 14)),
        ink(format!("  {}", pad_left(&room, 12)), role),
    ]
}

/// What progress remembers of an earlier session's ramp.
fn recorded(model: &Model, id: StepId, columns: usize) -> Vec<Vec<Ink>> {
    let mut lines = Vec::new();
    let Some(record) = model.climb.progress.steps.get(&id) else {
        return vec![vec![muted("no ramp has been judged")]];
    };
    if let Some([value, low, high]) = record.p95_ms {
        let text = format!("{} ms, between {} and {}", words::ms(value), words::ms(low), words::ms(high));
        named(&mut lines, "p95", &text, columns, Role::Text);
    }
    if let Some([value, low, high]) = record.error_percent {
        let (value, low, high) = (words::percent(value), words::percent(low), words::percent(high));
        named(&mut lines, "errors", &format!("{value} %, between {low} and {high}"), columns, Role::Text);
    }
    if let Some(users) = record.users {
        let text = format!("{users} held, {} requests", words::count(record.requests));
        named(&mut lines, "users", &text, columns, Role::Text);
    }
    if lines.is_empty() {
        lines.push(vec![muted("no ramp was driven; the checks came first")]);
    }
    lines
}

/// What moved first, the knee and the last comparable ramp, in the words of the diagnosis.
fn look(model: &Model, id: StepId, columns: usize) -> Vec<Vec<Ink>> {
    let Some(judged) = model.climb.judged.get(&id) else { return Vec::new() };
    let said = judged.verdict.diagnosis.sentences();
    let line = |(i, sentence): (usize, &String)| {
        let role = if i == 0 { Role::Strong } else { Role::Text };
        wrap(&words::tame(sentence), columns).into_iter().map(move |part| vec![ink(part, role)]).collect::<Vec<_>>()
    };
    said.iter().enumerate().flat_map(line).collect()
}

/// The climb in steps, a line for each number of users.
fn rungs(model: &Model, id: StepId) -> Vec<Vec<Ink>> {
    let knee = model.climb.judged.get(&id).and_then(|judged| judged.verdict.diagnosis.knee.as_ref());
    let Some(knee) = knee else { return Vec::new() };
    let head =
        [("users", 6), ("req/s", 8), ("p95", 7), ("bounds", 14)].map(|(name, room)| pad_left(name, room)).concat();
    let mut lines = vec![vec![muted(head)]];
    for rung in &knee.rungs {
        let show = |value: Option<f64>| value.map_or_else(|| "?".to_owned(), words::ms);
        let over = rung.low.is_some_and(|low| low > model.slo.p95_ms);
        lines.push(vec![
            plain(pad_left(&rung.users.to_string(), 6)),
            plain(pad_left(&words::thousands(rung.rps), 8)),
            ink(pad_left(&show(rung.p95_ms), 7), if over { Role::Warn } else { Role::Text }),
            muted(pad_left(&format!("{} - {}", show(rung.low), show(rung.high)), 14)),
        ]);
    }
    lines
}

fn about(model: &Model, id: StepId, columns: usize) -> Vec<Vec<Ink>> {
    let mut lines = Vec::new();
    let Some(Judged { verdict, measurement }) = model.climb.judged.get(&id) else {
        let run = model.climb.progress.steps.get(&id).map(|r| r.run.to_string());
        match run {
            Some(run) => named(&mut lines, "run", &format!("{run}; its log holds the evidence"), columns, Role::Text),
            None => lines.push(vec![muted("nothing yet")]),
        }
        return lines;
    };
    let role = match verdict.outcome {
        RampOutcome::Pass => Role::Pass,
        RampOutcome::Fail => Role::Fail,
        _ => Role::Warn,
    };
    named(&mut lines, "ramp", words::ramp_outcome(verdict.outcome), columns, role);
    let hold = format!("{} users for {}", measurement.users, words::span(measurement.hold_seconds));
    named(&mut lines, "hold", &hold, columns, Role::Text);
    let errors = measurement.errors.total();
    let plural = if errors == 1 { "" } else { "s" };
    let mut sample = format!("{} requests, {} error{plural}", words::count(measurement.requests), words::count(errors));
    if measurement.blocked > 0 {
        sample += &format!(", {} blocked at the edge", words::count(measurement.blocked));
    }
    named(&mut lines, "sample", &sample, columns, Role::Text);
    if errors > 0 {
        let kinds: Vec<String> = measurement
            .errors
            .0
            .iter()
            .map(|(kind, n)| format!("{} {}", words::count(*n), words::error(*kind)))
            .collect();
        named(&mut lines, "errors", &kinds.join(", "), columns, Role::Text);
    }
    let settled = words::span(measurement.settle_seconds);
    let settled =
        if measurement.settle_limit_reached { format!("{settled}, its limit: never quite steady") } else { settled };
    named(&mut lines, "settled", &settled, columns, Role::Text);
    if let Some((p95, at)) = verdict.worst_window {
        let text = format!("p95 {} ms, 10 s from second {at}", words::ms(p95));
        named(&mut lines, "worst", &text, columns, Role::Text);
    }
    let unwell = format!("unwell in {:.1} % of the seconds", verdict.tainted * 100.0);
    let role = if verdict.tainted > 0.0 { Role::Warn } else { Role::Text };
    named(&mut lines, "generator", if verdict.tainted > 0.0 { &unwell } else { "well all the time" }, columns, role);
    for note in &verdict.notes {
        named(&mut lines, "note", &words::tame(note), columns, Role::Text);
    }
    lines
}

fn endpoints(model: &Model, paper: &mut Paper<'_>, inner: Rect, id: StepId) {
    let Some(judged) = model.climb.judged.get(&id).filter(|j| !j.measurement.endpoints.is_empty()) else {
        paper.line(inner, 0, vec![muted("no ramp in this session")]);
        return;
    };
    let mut lines = endpoint_lines(model, judged, usize::from(inner.width));
    let rows = usize::from(inner.height);
    if lines.len() > rows {
        let more = lines.len() + 1 - rows;
        lines.truncate(rows.saturating_sub(1));
        lines.push(vec![muted(format!("  and {more} faster ones"))]);
    }
    paper.lines(inner, 0, lines);
}

/// Slowest first; the limit is a thin line through all bars.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "screen columns"
)]
fn endpoint_lines(model: &Model, judged: &Judged, columns: usize) -> Vec<Vec<Ink>> {
    let limit = model.slo.p95_ms;
    let mut rows: Vec<(String, f64)> = judged
        .measurement
        .endpoints
        .iter()
        .filter_map(|(name, e)| Some((words::tame(name), e.latency.quantile_ms(0.95)?)))
        .collect();
    rows.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let name = rows.iter().map(|r| width(&r.0)).max().unwrap_or(0).min(columns / 3);
    let room = columns.saturating_sub(name + 9);
    let top = rows.iter().map(|r| r.1).fold(limit * 1.15, f64::max);
    let at = ((limit / top) * room as f64).round() as usize;
    rows.into_iter()
        .map(|(endpoint, p95)| {
            let over = p95 >= limit;
            let role = if over { Role::Warn } else { Role::Focus };
            let bar = bar::solid(p95 / top, room);
            let used = width(&bar);
            let mut line = vec![plain(format!("{} ", pad(&fit(&endpoint, name), name))), ink(bar, role)];
            if used < at {
                line.push(plain(" ".repeat(at - used)));
                line.push(ink("┊", Role::Slo));
                line.push(plain(" ".repeat(room.saturating_sub(at + 1))));
            } else {
                line.push(plain(" ".repeat(room.saturating_sub(used))));
            }
            line.push(ink(pad_left(&words::ms(p95), 7), if over { Role::Warn } else { Role::Text }));
            line
        })
        .collect()
}

fn what_now(model: &Model, id: StepId, columns: usize) -> Vec<Vec<Ink>> {
    let hint =
        |key: &str, text: String| vec![ink(pad(key, 7), Role::Focus), plain(fit(&text, columns.saturating_sub(7)))];
    let mut lines = Vec::new();
    let digit = |id: StepId| (id.number() % 10).to_string();
    match model.state(id) {
        StepState::Proven | StepState::Waived => {
            if let Some(next) = model.next_step() {
                lines.push(hint(&digit(next), format!("go on to step {}", words::name(model, next))));
            }
            lines.push(hint("R", "run it again, to see whether it still holds".to_owned()));
        }
        StepState::Running => lines.push(hint("s", "stop it".to_owned())),
        StepState::Locked => {
            if let Some(next) = model.next_step() {
                lines.push(hint(&digit(next), format!("go to step {}", words::name(model, next))));
            }
        }
        StepState::Stale => {
            lines.push(hint("R", format!("prove it again as it is now, {} users", model.gate_users(id))));
            lines.push(hint("r", "run its checks alone, without load".to_owned()));
        }
        _ if undecided(model, id) => {
            lines.push(hint("R", "run it again: nothing was broken, it was too little to decide".to_owned()));
            lines.push(hint("r", "run its checks alone, without load".to_owned()));
        }
        _ => {
            lines.push(hint("enter", "read the playbook again, and change what held it".to_owned()));
            lines.push(hint("r", "run its checks alone, without load".to_owned()));
            lines.push(hint("R", format!("run it whole again, {} users", model.gate_users(id))));
        }
    }
    lines.push(hint("e", "what each check saw".to_owned()));
    lines
}
