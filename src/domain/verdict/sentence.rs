//! Verdicts in plain words with numbers: what a person reads first.

use super::hold::share;
use super::{Objective, ObjectiveOutcome};
use crate::domain::measurement::{Engine, Measurement};
use crate::domain::slo::Slo;

/// "Held 200 users for 60 s: p95 143 ms (137–150) against 300 ms, errors 0.00 % (at most 0.08 %) against 0.5 %."
pub fn held(m: &Measurement, objectives: &[Objective]) -> String {
    format!("Held {} for {}: {}.", users(m), held_for(m), list(objectives.iter()))
}

/// "Broke at 500 users: p95 341 ms (333–350) against 300 ms."
pub fn broke(m: &Measurement, objectives: &[Objective]) -> String {
    let failed = objectives.iter().filter(|o| o.outcome == ObjectiveOutcome::Fail);
    format!("Broke at {}: {}.", users(m), list(failed))
}

/// "Undecided at 100 users after 60 s: errors 0.30 % (0.10–0.61 %) against 0.5 %; about 40 s more would probably
/// decide it."
pub fn undecided(m: &Measurement, objectives: &[Objective]) -> String {
    if m.requests == 0 {
        return format!(
            "Nothing was measured at {}: the hold saw no request. Look whether the target answers and the flows run.",
            users(m)
        );
    }
    let open: Vec<&Objective> = objectives.iter().filter(|o| o.outcome == ObjectiveOutcome::Inconclusive).collect();
    let more = open.iter().map(|o| o.more_seconds).try_fold(0.0_f64, |most, more| more.map(|more| most.max(more)));
    let advice = match more {
        Some(more) => format!("about {more:.0} s more of hold would probably decide it"),
        None if open.iter().any(|o| o.n == 0) => "without a successful request there is nothing to judge".to_owned(),
        None => {
            "too close to its limit for any bearable hold to decide; make it faster or the promise looser".to_owned()
        }
    };
    format!("Undecided at {} after {}: {}; {advice}.", users(m), held_for(m), list(open.into_iter()))
}

/// "Undecided after 60 s: p95 295 ms (281–309) against 300 ms.", "Not steady after 60 s: p95 260 ms (258–262) against …"
/// when every objective passes.
pub fn undecided_so_far(m: &Measurement, objectives: &[Objective]) -> String {
    let open = objectives.iter().filter(|o| o.outcome != ObjectiveOutcome::Pass);
    if open.clone().next().is_none() {
        return format!("Not steady after {}: {}.", held_for(m), list(objectives.iter()));
    }
    format!("Undecided after {}: {}.", held_for(m), list(open))
}

/// "Too short at 200 users: …"
pub fn short(m: &Measurement, planned: f64) -> String {
    format!("Too short at {}: it was held for {:.0} of {planned:.0} s. Run it again.", users(m), m.hold_seconds)
}

/// "Not steady at 300 users: p95 rose from …"
pub fn unsteady(m: &Measurement, why: &str) -> String {
    format!("Not steady at {}: {why}. Find out what changed, then run it again.", users(m))
}

/// "Stopped at 300 users: …"
pub fn aborted(m: &Measurement, why: &str) -> String {
    format!("Stopped at {}: {}.", users(m), why.trim_end_matches('.'))
}

/// "Not a fair measurement at 300 users: …"
pub fn invalid(m: &Measurement, why: &str) -> String {
    format!("Not a fair measurement at {}: {}.", users(m), why.trim_end_matches('.'))
}

/// What is worth knowing and does not decide.
pub fn notes(m: &Measurement, slo: &Slo, worst: Option<(f64, u32)>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Engine::Locust { workers } = m.engine {
        notes.push(format!(
            "played by Locust in {workers} {}: of its health only timer lag, late starts and exhausted sockets are known, \
             not what a request that meets no app takes there nor its open files; page files were not fetched",
            if workers == 1 { "process" } else { "processes" }
        ));
    }
    if m.settle_limit_reached {
        notes.push(format!(
            "it had not settled after {:.0} s, the limit; the hold began all the same",
            m.settle_seconds
        ));
    }
    if m.looks > 1 {
        notes.push(format!(
            "it was extended while undecided and judged at look {}, where each bound holds with {:.1} %: looking again \
             buys no pass",
            m.looks,
            slo.confidence * 100.0
        ));
    }
    if let Some((p95, from)) = worst
        && p95 >= slo.p95_ms
    {
        notes.push(format!("its worst 10 s, from second {from}, had a p95 of {}", milliseconds(p95, slo.p95_ms)));
    }
    if m.blocked > 0 {
        notes.push(format!(
            "{} of {} answers ({:.2} %) came from the edge or the platform, not from the app, and are counted apart",
            m.blocked,
            m.requests,
            share(m.blocked, m.requests) * 100.0
        ));
    }
    let (files, lost) = (m.assets.requests, m.assets.errors.total());
    if lost > 0 {
        notes.push(format!("{lost} of {files} files that pages link to did not come; they count neither way"));
    }
    let tainted = m.windows.iter().filter(|w| w.generator.tainted()).count();
    if tainted > 0 {
        notes.push(format!("the load generator itself was unwell in {tainted} of {} seconds", m.windows.len()));
    }
    notes
}

/// "60 s", "120 s and 2 looks"
fn held_for(m: &Measurement) -> String {
    let looks = if m.looks > 1 { format!(" and {} looks", m.looks) } else { String::new() };
    format!("{:.0} s{looks}", m.hold_seconds)
}

fn users(m: &Measurement) -> String {
    if m.users == 1 { "1 user".to_owned() } else { format!("{} users", m.users) }
}

fn list<'a>(objectives: impl Iterator<Item = &'a Objective>) -> String {
    objectives.map(phrase).collect::<Vec<_>>().join(", ")
}

/// "p95 143 ms (137–150) against 300 ms"
fn phrase(o: &Objective) -> String {
    let show = |value: f64| figure(value, &o.unit, o.limit);
    let against = if o.unit == "%" { format!("{} %", o.limit) } else { format!("{} {}", o.limit, o.unit) };
    let Some(value) = o.value else {
        return format!("{} not measured (no successful request) against {against}", o.name);
    };
    let interval = match (o.low, o.high) {
        (Some(low), Some(high)) if low > 0.0 || o.unit != "%" => format!("{}–{}", show(low), show(high)),
        (_, Some(high)) => format!("at most {} {}", show(high), o.unit),
        (Some(low), None) => format!("at least {} {}, no upper bound yet", show(low), o.unit),
        (None, None) => "too few requests for bounds".to_owned(),
    };
    format!("{} {} {} ({interval}) against {against}", o.name, show(value), o.unit)
}

/// "143 ms"
pub fn milliseconds(value: f64, limit: f64) -> String {
    format!("{} ms", figure(value, "ms", limit))
}

/// "0.31 %"
pub fn percent(value: f64, limit: f64) -> String {
    format!("{} %", figure(value, "%", limit))
}

/// A number with as few digits as it needs, and more when rounding would hide on which side of the limit it lies.
fn figure(value: f64, unit: &str, limit: f64) -> String {
    let digits = match unit {
        "%" => 2,
        _ if value < 10.0 => 1,
        _ => 0,
    };
    let side = |v: f64| v.partial_cmp(&limit);
    (digits..digits + 3)
        .map(|digits| format!("{value:.digits$}"))
        .find(|text| text.parse().is_ok_and(|shown: f64| side(shown) == side(value)))
        .unwrap_or_else(|| value.to_string())
}
