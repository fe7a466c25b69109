//! Does it hold: the ramp as it runs. Latency with the limit at its true place, what is judged, what is around it.
//!
//! Nothing here is a verdict: figures are "so far", and only the hold's verdict may say pass.

use ratatui::layout::Rect;

use super::overview::log;
use super::{frame, series};
use crate::domain::ramp::{LoadPulse, RampPhase};
use crate::tui::model::{Model, Ramp};
use crate::tui::theme::Role;
use crate::tui::widgets::bar;
use crate::tui::widgets::chart::{Chart, Series};
use crate::tui::widgets::paper::{Ink, Paper, cut, ink, muted, pad, pad_left, plain, width, wrap};
use crate::tui::words;

pub(super) fn draw(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let Some(ramp) = model.ramp_in_view() else {
        let inner = paper.pane(area, vec![plain("Ramp")], Vec::new(), false);
        paper.line(inner, 0, vec![muted("no ramp has run in this session")]);
        return;
    };
    if paper.boxed { wide(model, &ramp, paper, area) } else { narrow(model, &ramp, paper, area) }
}

fn wide(model: &Model, ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let (top, rest) = cut(area, 4);
    let notes = if rest.height > 28 { 3 } else { 0 };
    let (rest, events) = cut(rest, rest.height - notes);
    let (rest, server) = cut(rest, rest.height.saturating_sub(4));
    let (latency, load) = cut(rest, rest.height.saturating_sub(7));

    let now = ramp.last();
    let right = format!("{} of {} users", now.map_or(0, |p| p.users), ramp.plan.users);
    let inner = paper.pane(top, vec![plain("Ramp")], vec![plain(right)], false);
    phases(model, ramp, paper, inner);

    let gates = 40.min(latency.width / 3);
    let (left, right) = split(latency, latency.width - gates);
    latency_pane(ramp, paper, left);
    gates_pane(ramp, paper, right);

    let third = load.width / 3;
    let (rps, rest) = split(load, third);
    let (codes, errors) = split(rest, third);
    rps_pane(ramp, paper, rps);
    codes_pane(ramp, paper, codes);
    errors_pane(ramp, paper, errors);
    series::panes(ramp, paper, server);

    if events.height > 0 {
        let boxed = std::mem::replace(&mut paper.boxed, false);
        let inner = paper.pane(events, vec![plain("Log")], Vec::new(), false);
        log(model, paper, inner);
        paper.boxed = boxed;
    }
}

fn narrow(model: &Model, ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let (top, rest) = cut(area, 2);
    let inner = Rect { x: top.x + 1, width: top.width.saturating_sub(2), ..top };
    phases(model, ramp, paper, inner);
    let log_rows = if rest.height >= 18 { 3 } else { 0 };
    let (rest, events) = cut(rest, rest.height - log_rows);
    let (rest, around) = cut(rest, rest.height.saturating_sub(4));
    let (latency, gates) = cut(rest, rest.height.saturating_sub(3));
    latency_pane(ramp, paper, latency);
    let title = if ramp.hold_from.is_some() { "The hold so far" } else { "Judged in the hold" };
    let inner = paper.pane(gates, vec![plain(title)], vec![muted(held(ramp))], false);
    let columns = usize::from(inner.width) / 3;
    let gates = gates_of(ramp);
    let mut words = Vec::new();
    let mut bars = Vec::new();
    for gate in &gates {
        let text = format!("{} {} {}", gate.name, gate.got, gate.wanted);
        words.extend([ink(gate.sign, gate.role), plain(" "), plain(pad(&text, columns.saturating_sub(3))), plain(" ")]);
        let (done, left) = bar::thin(gate.share, columns.saturating_sub(4));
        bars.extend([plain("  "), ink(done, gate.role), muted(left), plain("  ")]);
    }
    paper.line(inner, 0, words);
    paper.line(inner, 1, bars);
    let inner = paper.pane(around, vec![plain("Around it")], Vec::new(), false);
    series::lines(ramp, paper, inner);
    if events.height > 0 {
        let inner = paper.pane(events, vec![plain("Log")], Vec::new(), false);
        log(model, paper, inner);
    }
}

fn split(area: Rect, columns: u16) -> (Rect, Rect) {
    let columns = columns.min(area.width);
    (Rect { width: columns, ..area }, Rect { x: area.x + columns, width: area.width - columns, ..area })
}

/// Climb, settle, hold, drain: done, under way, to come; and one line over all of it.
fn phases(model: &Model, ramp: &Ramp, paper: &mut Paper<'_>, inner: Rect) {
    let mut order = vec![RampPhase::Climb, RampPhase::Settle, RampPhase::Hold, RampPhase::Drain];
    if !ramp.plan.beyond.is_empty() {
        order.insert(3, RampPhase::Beyond);
    }
    let at = order.iter().position(|p| *p == ramp.phase).unwrap_or(0);
    let spent = ramp.last().filter(|p| p.phase == ramp.phase).map_or(0, |p| p.phase_seconds);
    let mut inks = Vec::new();
    for (i, phase) in order.into_iter().enumerate() {
        let plan = match phase {
            RampPhase::Climb => words::span(ramp.plan.climbing().as_secs_f64()),
            RampPhase::Settle => {
                let most = words::span(ramp.plan.settle_limit.as_secs_f64());
                if paper.boxed { format!("up to {most}") } else { format!("≤{most}") }
            }
            RampPhase::Hold => words::span(ramp.plan.hold.as_secs_f64()),
            RampPhase::Beyond => words::span(ramp.plan.exploring().as_secs_f64()),
            RampPhase::Drain => String::new(),
        };
        let name = words::phase(phase);
        if i < at || ramp.ended {
            // What was passed through was passed through; it is no verdict, so it carries no green. A stop skips the rest.
            let before_hold = ramp.hold_from.is_some() && matches!(phase, RampPhase::Climb | RampPhase::Settle);
            let passed = !ramp.ended || before_hold || ramp.pulses.iter().any(|pulse| pulse.phase == phase);
            inks.extend([muted(if passed { "✓ " } else { "· " }), muted(format!("{name}     "))]);
        } else if i == at {
            let (sign, role) = frame::turning(model);
            let of = if plan.is_empty() { String::new() } else { format!(" of {plan}") };
            let text = format!("{name} {}{of}     ", words::span(f64::from(spent)));
            inks.extend([ink(sign, role), plain(" "), ink(text, Role::Strong)]);
        } else {
            inks.extend([muted("· "), muted(format!("{name} {plan}     "))]);
        }
    }
    let right = if paper.boxed {
        Vec::new()
    } else {
        vec![plain(format!(
            "{} of {} users",
            ramp.last().map_or(0, |p| p.users),
            ramp.plan.users.max(ramp.last().map_or(0, |p| p.users))
        ))]
    };
    if !paper.boxed {
        for i in &mut inks {
            i.text = i.text.replace("     ", "  ");
        }
    }
    paper.ends(inner, 0, inks, right);
    let share = f64::from(ramp.second()) / ramp.end().max(1.0);
    let share = if ramp.ended && ramp.hold_from.is_some() { 1.0 } else { share };
    let (done, left) = bar::thin(share, usize::from(inner.width));
    paper.line(inner, 1, vec![ink(done, Role::Focus), muted(left)]);
}

fn points(ramp: &Ramp, value: impl Fn(&LoadPulse) -> Option<f64>) -> Vec<(f64, f64)> {
    ramp.pulses.iter().filter_map(|p| Some((f64::from(p.second), value(p)?))).collect()
}

fn latency_pane(ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let now = ramp.last();
    let figure = |name: &str, value: Option<f64>, role| {
        let text = value.map_or_else(|| "-".to_owned(), words::ms);
        ink(format!("{name} {}  ", pad_left(&text, 3)), role)
    };
    let mut right = vec![
        figure("p50", now.and_then(|p| p.p50_ms), Role::Muted),
        figure("p95", now.and_then(|p| p.p95_ms), Role::Focus),
        figure("p99", now.and_then(|p| p.p99_ms), Role::P99),
    ];
    if let Some(last) = right.last_mut() {
        last.text = last.text.trim_end().to_owned();
    }
    let inner = paper.pane(area, vec![plain("Latency, ms, each second")], right, false);
    let (p50, p95, p99) = (points(ramp, |p| p.p50_ms), points(ramp, |p| p.p95_ms), points(ramp, |p| p.p99_ms));
    let top = Chart::top_for(p99.iter().chain(&p95).map(|p| p.1), ramp.slo.p95_ms);
    let marks = ramp.hold_from.map(|(from, ..)| (f64::from(from), "hold")).into_iter().collect();
    Chart {
        series: vec![
            Series { points: p99, role: Role::P99, mark: '\'' },
            Series { points: p50, role: Role::Muted, mark: '.' },
            Series { points: p95, role: Role::Focus, mark: '*' },
        ],
        limit: Some((ramp.slo.p95_ms, format!("SLO p95 {}", words::limit(ramp.slo.p95_ms)))),
        x: (0.0, ramp.end().max(1.0)),
        top,
        decimals: 0,
        marks,
        times: inner.height >= 6,
        gap: 5.0,
    }
    .draw(paper, inner);
}

/// A line of what the hold will be judged by, with what is known so far.
struct Gate {
    sign: &'static str,
    role: Role,
    name: &'static str,
    got: String,
    wanted: String,
    room: String,
    share: f64,
}

fn gates_of(ramp: &Ramp) -> Vec<Gate> {
    let slo = &ramp.slo;
    let hold = ramp.plan.hold.as_secs_f64();
    let done = held_seconds(ramp);
    let gate = |name, value: Option<f64>, limit: f64, got: String, wanted: String, room: String| {
        let (sign, role) = match value {
            None => ("·", Role::Muted),
            Some(v) if v >= limit => ("!", Role::Warn),
            Some(_) => ("◐", Role::Focus),
        };
        Gate { sign, role, name, got, wanted, room, share: value.map_or(0.0, |v| v / limit) }
    };
    let p95 = ramp.last().and_then(|p| p.hold_p95_ms).filter(|_| ramp.hold_from.is_some());
    #[expect(clippy::cast_precision_loss, reason = "counts of requests")]
    let errors = ramp.of_hold().filter(|(n, _)| *n > 0).map(|(n, e)| e as f64 * 100.0 / n as f64);
    let dash = || "-".to_owned();
    vec![
        gate(
            "p95",
            p95,
            slo.p95_ms,
            p95.map_or_else(dash, |v| format!("{} ms", words::ms(v))),
            format!("< {}", words::limit(slo.p95_ms)),
            p95.map_or_else(String::new, |v| room(slo.p95_ms - v, words::ms)),
        ),
        gate(
            "errors",
            errors,
            slo.error_percent,
            errors.map_or_else(dash, |v| format!("{} %", words::percent(v))),
            format!("< {}", words::limit(slo.error_percent)),
            errors.map_or_else(String::new, |v| room(slo.error_percent - v, words::percent)),
        ),
        Gate {
            sign: if ramp.hold_from.is_some() { "◐" } else { "·" },
            role: if ramp.hold_from.is_some() { Role::Focus } else { Role::Muted },
            name: "held",
            got: format!("{done:.0} s"),
            wanted: format!("of {hold:.0} s"),
            room: format!("{} left", words::span(hold - done)),
            share: done / hold.max(1.0),
        },
    ]
}

fn room(left: f64, show: impl Fn(f64) -> String) -> String {
    if left >= 0.0 { format!("room {}", show(left)) } else { format!("over {}", show(-left)) }
}

fn held_seconds(ramp: &Ramp) -> f64 {
    let done = ramp.hold_from.map_or(0, |(from, ..)| ramp.second().saturating_sub(from));
    f64::from(done).min(ramp.plan.hold.as_secs_f64())
}

fn held(ramp: &Ramp) -> String {
    format!("held {:.0} of {:.0} s", held_seconds(ramp), ramp.plan.hold.as_secs_f64())
}

fn gates_pane(ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let inner = paper.pane(area, vec![plain("The hold so far")], vec![muted(held(ramp))], false);
    let columns = usize::from(inner.width);
    let mut lines: Vec<Vec<Ink>> = Vec::new();
    for gate in gates_of(ramp) {
        let text = format!("{}{} {}", pad(gate.name, 7), pad_left(&gate.got, 8), pad(&gate.wanted, 8));
        let room = pad_left(&gate.room, columns.saturating_sub(width(&text) + 2));
        lines.push(vec![ink(gate.sign, gate.role), plain(" "), plain(text), muted(room)]);
        let (done, left) = bar::thin(gate.share, columns.saturating_sub(2));
        lines.push(vec![plain("  "), ink(done, gate.role), muted(left)]);
    }
    let mut notes: Vec<Vec<Ink>> = vec![Vec::new()];
    notes.push(vec![ink("Load generator", Role::Strong)]);
    notes.extend(generator(ramp, columns));
    notes.push(Vec::new());
    notes.push(vec![ink("A clean hold can show", Role::Strong)]);
    let claim = &ramp.claim;
    let errors = claim.error_percent.map_or_else(String::new, |percent| format!(", errors ≤ {percent:.2} %"));
    notes.push(vec![plain(format!("  ≈{} requests{errors}", words::count(claim.requests)))]);
    if let Some((low, high)) = claim.p95_ranks {
        notes.push(vec![plain(format!("  p95 between p{low:.1} and p{high:.1}"))]);
    }
    // Bars first give way, then the claim.
    if lines.len() + notes.len() > usize::from(inner.height) {
        lines = lines.into_iter().step_by(2).collect();
    }
    lines.extend(notes);
    paper.lines(inner, 0, lines);
}

fn generator(ramp: &Ramp, columns: usize) -> Vec<Vec<Ink>> {
    let Some(last) = ramp.last() else { return vec![vec![muted("  has not begun")]] };
    let g = last.generator;
    let tainted = ramp.pulses.iter().filter(|p| p.generator.tainted()).count();
    let text = format!("cpu {:.1} cores  lag {} ms", g.cpu, words::ms(g.lag_ms));
    let (sign, role) = if g.tainted() { ("!", Role::Warn) } else { ("✓", Role::Pass) };
    let said = if tainted == 0 {
        format!("{} files; not the bottleneck", g.sockets)
    } else {
        format!("unwell in {tainted} of {} seconds", ramp.pulses.len())
    };
    let mut lines = vec![vec![ink(sign, role), plain(" "), plain(text)]];
    for part in wrap(&said, columns.saturating_sub(2)) {
        lines.push(vec![plain("  "), ink(part, if tainted == 0 { Role::Muted } else { Role::Warn })]);
    }
    lines
}

fn rps_pane(ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let now = ramp.last().map_or(0.0, |p| p.rps);
    let inner = paper.pane(area, vec![plain("Requests per second")], vec![plain(words::thousands(now))], false);
    let points = points(ramp, |p| Some(p.rps));
    let most = points.iter().map(|p| p.1).fold(1.0, f64::max);
    Chart {
        series: vec![Series { points, role: Role::Focus, mark: '*' }],
        limit: None,
        x: (0.0, ramp.end().max(1.0)),
        top: Chart::top_for([most].into_iter(), most / 1.35),
        decimals: usize::from(most < 5.0),
        marks: Vec::new(),
        times: false,
        gap: 5.0,
    }
    .draw(paper, inner);
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn codes_pane(ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let total = ramp.last().map_or(0, |p| p.total);
    let right = vec![muted(format!("{} answered", words::count(total)))];
    let inner = paper.pane(area, vec![plain("Status codes")], right, false);
    let Some(last) = ramp.last() else { return };
    let columns = usize::from(inner.width);
    if last.statuses.is_empty() && total > 0 {
        // A log keeps them of the whole hold.
        paper.lines(
            inner,
            0,
            wrap("by status only the whole hold is on record; it comes at its end", columns)
                .into_iter()
                .map(|line| vec![muted(line)])
                .collect(),
        );
        return;
    }
    for (row, (class, role)) in
        (0..).zip([("2xx", Role::Pass), ("3xx", Role::Muted), ("4xx", Role::Warn), ("5xx", Role::Fail)])
    {
        let n = last.statuses.get(class).copied().unwrap_or(0);
        let share = if total == 0 { 0.0 } else { n as f64 / total as f64 };
        let figures = format!("{} {} %", pad_left(&words::count(n), 8), pad_left(&words::percent(share * 100.0), 6));
        let bar = bar::solid(share, columns.saturating_sub(6 + width(&figures)));
        paper.ends(inner, row, vec![muted(format!("{class}  ")), ink(bar, role)], vec![plain(figures)]);
    }
    let mut extra = format!("{} under way, oldest {} ms", last.in_flight, words::ms(last.oldest_ms));
    if last.total_blocked > 0 {
        extra = format!("{} blocked at the edge; {extra}", words::count(last.total_blocked));
    }
    paper.line(inner, 4, vec![muted(extra)]);
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests")]
fn errors_pane(ramp: &Ramp, paper: &mut Paper<'_>, area: Rect) {
    let limit = ramp.slo.error_percent;
    let total =
        ramp.last().map_or(0.0, |p| if p.total == 0 { 0.0 } else { p.total_errors as f64 * 100.0 / p.total as f64 });
    let right = vec![plain(format!("{} of {}", words::percent(total), words::limit(limit)))];
    let inner = paper.pane(area, vec![plain("Errors, % of 10 s")], right, false);
    // One error in a second of ten requests is ten percent of nothing: ten seconds together say more.
    let pulses = &ramp.pulses;
    let points: Vec<(f64, f64)> = (0..pulses.len())
        .filter_map(|i| {
            let near = &pulses[i.saturating_sub(9)..=i];
            let (errors, all) = near.iter().fold((0.0, 0.0), |(e, n), p| (e + p.errors as f64, n + p.rps));
            (all > 0.0).then(|| (f64::from(pulses[i].second), errors * 100.0 / all.max(errors)))
        })
        .collect();
    let top = Chart::top_for(points.iter().map(|p| p.1), limit * 1.2);
    Chart {
        series: vec![Series { points, role: Role::Fail, mark: 'x' }],
        limit: Some((limit, String::new())),
        x: (0.0, ramp.end().max(1.0)),
        top,
        decimals: 1,
        marks: Vec::new(),
        times: false,
        gap: 5.0,
    }
    .draw(paper, inner);
}
