//! Did it help: the measured ramps, newest first, and the one chosen beside another one. Like is compared with like only;
//! otherwise it is said what differs.

use ratatui::layout::Rect;

use crate::domain::diagnosis::{Change, change, comparable};
use crate::domain::measurement::RampRecord;
use crate::domain::verdict::RampOutcome;
use crate::tui::model::Model;
use crate::tui::mouse::Zone;
use crate::tui::theme::Role;
use crate::tui::widgets::paper::{Ink, Paper, cut, ink, muted, pad, pad_left, plain, wrap};
use crate::tui::words;

/// Columns of a figure with its interval.
const CELL: usize = 19;
/// Rows of the comparison.
const BESIDE: u16 = 13;

pub(super) fn draw(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let edge = u16::from(paper.boxed);
    let (top, bottom) = cut(area, area.height.saturating_sub(BESIDE + edge).max(4));
    list(model, paper, top);
    beside(model, paper, bottom);
}

fn list(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let count = format!("{} measured", model.ramps.len());
    let inner = paper.pane(area, vec![ink("Ramps", Role::Strong)], vec![muted(count)], true);
    if model.ramps.is_empty() {
        paper.line(inner, 0, vec![muted("none yet; R runs a step")]);
        return;
    }
    paper.line(inner, 0, vec![muted(format!("    {}", head()))]);
    let rows = usize::from(inner.height.saturating_sub(1)).max(1);
    // The chosen one stays in sight, with some of what came before it.
    let from = model.at.saturating_sub(rows / 2).min(model.ramps.len().saturating_sub(rows));
    let other = other(model);
    for (row, (at, ramp)) in (1..).zip(model.ramps.iter().enumerate().skip(from).take(rows)) {
        let here = at == model.at;
        let mark = match (here, other == Some(at)) {
            (true, _) => "A ",
            (false, true) => "B ",
            _ => "  ",
        };
        let (sign, role) = sign(ramp.outcome);
        let text = if here { Role::Strong } else { Role::Text };
        let mut inks = vec![ink(if here { "▸" } else { " " }, Role::Focus), ink(mark, Role::Focus), ink(sign, role)];
        inks.push(ink(format!(" {}", figures(model, ramp)), text));
        paper.line(inner, row, inks);
        paper.zone(inner, row, Zone::Ramp(at));
    }
}

/// The ramps from the chosen one on, a line each, where there is room for nothing else.
pub(super) fn lines(model: &Model) -> Vec<Vec<Ink>> {
    let chosen = model.ramps.iter().enumerate().skip(model.at);
    let line = |(at, ramp): (usize, &RampRecord)| {
        let (sign, role) = sign(ramp.outcome);
        let p95 = ramp.p95_ms.map_or_else(|| "-".to_owned(), |p95| words::ms(p95[0]));
        let day = ramp.at.to_zoned(model.zone.clone()).strftime("%-d %b");
        let figures = format!(" {day}  step {}  {} users  {p95} ms", ramp.step, ramp.users);
        vec![ink(if at == model.at { "▸" } else { " " }, Role::Focus), ink(sign, role), plain(figures)]
    };
    chosen.map(line).collect()
}

fn head() -> String {
    format!(
        "{}{}{}{}{}{}",
        pad("when", 14),
        pad("step", 5),
        pad("outcome", 13),
        pad_left("users", 6),
        pad_left("p95 ms", 9),
        pad_left("errors %", 10)
    )
}

fn figures(model: &Model, ramp: &RampRecord) -> String {
    let value = |figure: Option<[f64; 3]>, show: fn(f64) -> String| figure.map_or("-".to_owned(), |f| show(f[0]));
    let quick = if ramp.quick { "  quick" } else { "" };
    format!(
        "{}{}{}{}{}{}{quick}",
        pad(&words::day(model, ramp.at), 14),
        pad(&ramp.step.to_string(), 5),
        pad(words::ramp_outcome(ramp.outcome), 13),
        pad_left(&ramp.users.to_string(), 6),
        pad_left(&value(ramp.p95_ms, words::ms), 9),
        pad_left(&value(ramp.error_percent, words::percent), 10)
    )
}

fn sign(outcome: RampOutcome) -> (&'static str, Role) {
    match outcome {
        RampOutcome::Pass => ("✓", Role::Pass),
        RampOutcome::Fail => ("✗", Role::Fail),
        RampOutcome::Inconclusive => ("?", Role::Warn),
        RampOutcome::Invalid | RampOutcome::Aborted => ("!", Role::Warn),
    }
}

/// The ramp that the chosen one is compared with: the one a person named, else the last one of the same load before it.
fn other(model: &Model) -> Option<usize> {
    let chosen = model.ramps.get(model.at)?;
    model.against.filter(|at| *at != model.at && *at < model.ramps.len()).or_else(|| {
        let alike = |ramp: &RampRecord| ramp.step == chosen.step && comparable(ramp, chosen).is_ok();
        model.ramps.iter().enumerate().skip(model.at + 1).find(|(_, ramp)| alike(ramp)).map(|(at, _)| at)
    })
}

fn beside(model: &Model, paper: &mut Paper<'_>, area: Rect) {
    let inner = paper.pane(area, vec![plain("Side by side")], Vec::new(), false);
    let columns = usize::from(inner.width);
    let Some(a) = model.ramps.get(model.at) else { return };
    let Some(b) = other(model).and_then(|at| model.ramps.get(at)) else {
        let why =
            "No earlier ramp put the same load on the site. b on any other one sets the two side by side all the same.";
        let lines = wrap(why, columns).into_iter().map(|line| vec![muted(line)]).collect();
        paper.lines(inner, 0, lines);
        return;
    };
    let mut lines = vec![vec![muted(format!(
        "{}{}{}{}",
        pad("", 18),
        pad_left("B", CELL),
        pad_left("A", CELL),
        pad_left("change", 12)
    ))]];
    let row = |name: &str, b: String, a: String, change: String, (word, role): (&'static str, Role)| {
        let cells = format!("{}{}{}{}", pad(name, 18), pad_left(&b, CELL), pad_left(&a, CELL), pad_left(&change, 12));
        vec![plain(cells), ink(format!("  {word}"), role)]
    };
    let none = ("", Role::Text);
    lines.push(row("when", words::day(model, b.at), words::day(model, a.at), String::new(), none));
    lines.push(row("users", b.users.to_string(), a.users.to_string(), String::new(), none));
    lines.push(row("requests", words::count(b.requests), words::count(a.requests), String::new(), none));
    // Other loads have other figures; to call them better or worse would be a guess.
    let like = comparable(b, a);
    let judged = |word: Option<(&'static str, Role)>| if like.is_ok() { word.unwrap_or(none) } else { none };
    let ratio = a.p95_ms.zip(b.p95_ms).and_then(|(a, b)| change(a, b));
    let p95 = ratio.map_or_else(String::new, |(ratio, _)| format!("{:.2}×", ratio[0]));
    lines.push(row(
        "p95, ms",
        range(b.p95_ms, words::ms),
        range(a.p95_ms, words::ms),
        p95,
        judged(ratio.map(|r| word(r.1))),
    ));
    let errors = a.error_percent.zip(b.error_percent);
    let by = errors.map_or_else(String::new, |(a, b)| format!("{:+.2}", a[0] - b[0]));
    let apart = errors.map(|(a, b)| word(apart(a, b)));
    lines.push(row(
        "errors, %",
        range(b.error_percent, words::percent),
        range(a.error_percent, words::percent),
        by,
        judged(apart),
    ));
    lines.push(Vec::new());
    let say = |ratio: [f64; 3], how: &str| {
        format!("p95 of A is {:.2}× that of B ({:.2}–{:.2}): {how}.", ratio[0], ratio[1], ratio[2])
    };
    let sentence = match (like, ratio) {
        (Err(why), _) => {
            format!("Not a fair comparison: {why}. The figures stand side by side, and nothing is concluded.")
        }
        (Ok(()), Some((ratio, Change::Faster))) => say(ratio, "A is faster"),
        (Ok(()), Some((ratio, Change::Slower))) => say(ratio, "A is slower"),
        (Ok(()), Some((ratio, Change::None))) => say(ratio, "no change seen, the interval holds 1"),
        (Ok(()), None) => "The same load, and too few requests to tell the two apart.".to_owned(),
    };
    lines.extend(wrap(&sentence, columns).into_iter().map(|line| vec![ink(line, Role::Strong)]));
    lines.extend(runs(a, b));
    paper.lines(inner, 0, lines);
}

fn runs(a: &RampRecord, b: &RampRecord) -> Vec<Vec<Ink>> {
    vec![vec![muted(format!("A {}   B {}", words::tame(a.run.as_str()), words::tame(b.run.as_str())))]]
}

fn range(figure: Option<[f64; 3]>, show: fn(f64) -> String) -> String {
    match figure {
        Some([value, low, high]) => format!("{} ({}–{})", show(value), show(low), show(high)),
        None => "-".to_owned(),
    }
}

/// Intervals that do not touch.
fn apart(a: [f64; 3], b: [f64; 3]) -> Change {
    if a[1] > b[2] {
        Change::Slower
    } else if a[2] < b[1] {
        Change::Faster
    } else {
        Change::None
    }
}

fn word(change: Change) -> (&'static str, Role) {
    match change {
        Change::Faster => ("▲ better", Role::Pass),
        Change::Slower => ("▼ worse", Role::Fail),
        Change::None => ("= same", Role::Muted),
    }
}
