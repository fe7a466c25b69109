//! `cycles.repeated`: was the same ramp driven at least twice, and is the newest no worse?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::diagnosis::{Change, change, comparable};
use crate::domain::measurement::RampRecord;

use super::{Check, Context, ramp};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Repeated {
    /// Comparable ramps that are needed, the one just driven included.
    cycles: usize,
}

impl Default for Repeated {
    fn default() -> Self {
        Self { cycles: 2 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    users: u32,
    /// Comparable measured ramps of this step, oldest first, the newest last.
    cycles: Vec<Cycle>,
    /// Earlier ramps of this step that cannot be compared, with the reason.
    left_out: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cycle {
    at: jiff::Timestamp,
    /// Somebody named it as the one to compare with.
    #[serde(default)]
    pinned: bool,
    /// Value, low, high.
    p95_ms: [f64; 3],
    error_percent: [f64; 3],
}

impl Check for Repeated {
    const ID: &'static str = "cycles.repeated";
    const TITLE: &'static str = "the same ramp was measured at least twice, and the newest is no worse";
    const ABOUT: &'static str = "Compares this ramp with earlier ones of the same step: same users, same flows, a full measurement with a full \
        one. At least two must have been measured to the end, and the newest may not be slower than the one before, nor than a pinned baseline, beyond \
        the interval of their ratio. Traps: two runs with different scripts or user counts, a quick practice run beside a full one, a run that was \
        stopped or spoiled.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://docs.djangoproject.com/en/5.2/topics/performance/"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let newest = ramp.record(ctx.probes.run.clone(), jiff::Timestamp::now());
        let mut facts = Facts { users: newest.users, cycles: Vec::new(), left_out: Vec::new() };
        for record in ctx.history.iter().filter(|r| r.step == newest.step).chain([&newest]) {
            match cycle(record, &newest) {
                Ok(cycle) => facts.cycles.push(cycle),
                Err(why) => facts.left_out.push(format!("{}: {why}", record.run)),
            }
        }
        if cycle(&newest, &newest).is_err() {
            // Judged on its own newest: an older one must not stand in for it.
            facts.cycles.clear();
        }
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let cycles = self.cycles.max(2);
        let [earlier @ .., before, newest] = facts.cycles.as_slice() else {
            return too_few(facts, cycles);
        };
        if facts.cycles.len() < cycles {
            return too_few(facts, cycles);
        }
        // A pinned one comes beside the one before, never in its place: it can only ask for more.
        let pinned = earlier.iter().filter(|cycle| cycle.pinned);
        let findings: Vec<Finding> = [before].into_iter().chain(pinned).flat_map(|old| worsened(old, newest)).collect();
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

/// What the newest is surely worse in.
fn worsened(old: &Cycle, newest: &Cycle) -> Vec<Finding> {
    let whose = if old.pinned { " since the baseline" } else { "" };
    let mut findings = Vec::new();
    let mut worse = |what: &str, unit: &str, old: [f64; 3], new: [f64; 3], how: String| {
        findings.push(Finding {
            seen: format!("{what} rose{whose} from {:.3} to {:.3} {unit} ({how})", old[0], new[0]),
            todo: "look at what was deployed in between, put it right or take it back, and measure again".to_owned(),
        });
    };
    let (before, now) = (old.p95_ms, newest.p95_ms);
    match change(now, before) {
        Some((r, Change::Slower)) => {
            worse("p95", "ms", before, now, format!("{:.2} times, {:.2} to {:.2}", r[0], r[1], r[2]));
        }
        Some(_) => {}
        // Without a ratio only intervals that do not touch can be told apart.
        None if now[1] > before[2] => worse("p95", "ms", before, now, "the intervals do not touch".to_owned()),
        None => {}
    }
    let (before, now) = (old.error_percent, newest.error_percent);
    if now[1] > before[2] {
        worse("the error rate", "%", before, now, format!("from at most {:.3} to at least {:.3}", before[2], now[1]));
    }
    findings
}

fn too_few(facts: &Facts, cycles: usize) -> CheckOutcome {
    let left_out =
        if facts.left_out.is_empty() { String::new() } else { format!(" (left out: {})", facts.left_out.join("; ")) };
    CheckOutcome::fail(
        format!(
            "{} of {cycles} comparable ramps with {} users were measured{left_out}",
            facts.cycles.len(),
            facts.users
        ),
        "run this step again: the same users, flows and length; improve what the last one showed before you do",
    )
}

fn cycle(record: &RampRecord, newest: &RampRecord) -> Result<Cycle, &'static str> {
    comparable(record, newest)?;
    match (record.p95_ms, record.error_percent) {
        (Some(p95_ms), Some(error_percent)) => {
            Ok(Cycle { at: record.at, pinned: record.pinned, p95_ms, error_percent })
        }
        _ => Err("too few requests for an interval"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::{RunId, StepId};
    use crate::domain::verdict::RampOutcome;

    fn record(outcome: RampOutcome) -> RampRecord {
        RampRecord {
            run: RunId::from("r"),
            step: StepId::new(10).unwrap(),
            users: 1000,
            flows: "f".to_owned(),
            target: "http://a.test".to_owned(),
            at: "2026-11-23T04:00:00Z".parse().unwrap(),
            quick: false,
            outcome,
            p95_ms: Some([40.0, 36.0, 45.0]),
            error_percent: Some([0.0, 0.0, 0.1]),
            requests: 4000,
            statements: vec![],
            think: crate::domain::flow::Mix::THINK,
            model: crate::domain::ramp::Model::Closed,
            engine: crate::domain::measurement::Engine::Goose,
            pinned: false,
        }
    }

    fn facts(cycles: &[([f64; 3], [f64; 3])]) -> Facts {
        let at = "2026-11-23T04:00:00Z".parse().unwrap();
        let cycles =
            cycles.iter().map(|&(p95_ms, error_percent)| Cycle { at, pinned: false, p95_ms, error_percent }).collect();
        Facts { users: 1000, cycles, left_out: vec![] }
    }

    #[test]
    fn repetition_traps() {
        let check = Repeated::default();
        let clean = [0.0, 0.0, 0.1];
        for (word, facts) in [
            ("pass", facts(&[([60.0, 55.0, 66.0], clean), ([40.0, 36.0, 45.0], clean)])),
            // Worse, but within what was not known anyway.
            ("pass", facts(&[([40.0, 36.0, 45.0], clean), ([46.0, 43.0, 50.0], clean)])),
            ("fail", facts(&[])),
            ("fail", facts(&[([40.0, 36.0, 45.0], clean)])),
            ("fail", facts(&[([40.0, 36.0, 45.0], clean), ([60.0, 55.0, 66.0], clean)])),
            ("fail", facts(&[([40.0, 36.0, 45.0], clean), ([40.0, 36.0, 45.0], [0.4, 0.3, 0.6])])),
            // The one before counts, not the best ever.
            ("pass", facts(&[([20.0, 18.0, 22.0], clean), ([60.0, 55.0, 66.0], clean), ([58.0, 54.0, 64.0], clean)])),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
        assert_eq!(Repeated { cycles: 0 }.judge(&facts(&[([40.0, 36.0, 45.0], clean)])).word(), "fail");
    }

    #[test]
    fn a_pinned_ramp_asks_for_more_and_never_for_less() {
        let clean = [0.0, 0.0, 0.1];
        let (fast, slow) = (([40.0, 36.0, 45.0], clean), ([60.0, 55.0, 66.0], clean));
        for (word, history) in
            [("fail", [fast, slow, slow]), ("fail", [slow, fast, slow]), ("pass", [slow, slow, fast])]
        {
            let mut facts = facts(&history);
            facts.cycles[0].pinned = true;
            assert_eq!(Repeated::default().judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn only_the_same_ramp_is_comparable() {
        let newest = record(RampOutcome::Pass);
        assert!(cycle(&record(RampOutcome::Fail), &newest).is_ok());
        for other in [
            RampRecord { users: 500, ..record(RampOutcome::Pass) },
            RampRecord { flows: "g".to_owned(), ..record(RampOutcome::Pass) },
            RampRecord { quick: true, ..record(RampOutcome::Pass) },
            RampRecord { p95_ms: None, ..record(RampOutcome::Pass) },
            RampRecord { requests: 0, ..record(RampOutcome::Pass) },
            record(RampOutcome::Aborted),
            record(RampOutcome::Invalid),
        ] {
            assert!(cycle(&other, &newest).is_err(), "{other:?}");
        }
    }
}
