//! Is this ramp slower than the last one of the same load? Ramps of another shape are refused, with the reason.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::measurement::RampRecord;
use crate::domain::verdict::RampOutcome;
use crate::stats::ratio::ratio;

/// A difference that is smaller than this is none. An interval knows the noise inside its own run, not what differs from
/// one run to the next on the same machines (Kalibera & Jones, *Rigorous Benchmarking in Reasonable Time*, ISMM 2013).
const MARGIN: f64 = 1.05;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The interval of the ratio holds 1, or lies within 5 % of it.
    None,
    /// The whole interval lies over 1.05.
    Slower,
    /// The whole interval lies under 1/1.05.
    Faster,
}

/// Ratio of two p95s with its one-sided bounds (value, low, high), and what it means; none without proper intervals.
#[must_use]
pub fn change(new: [f64; 3], old: [f64; 3]) -> Option<([f64; 3], Change)> {
    let ratio = ratio(new, old)?;
    let [_, low, high] = ratio;
    let change = match (low > MARGIN, high < 1.0 / MARGIN) {
        (true, _) => Change::Slower,
        (_, true) => Change::Faster,
        _ => Change::None,
    };
    Some((ratio, change))
}

/// Against the last comparable ramp, or the pinned one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "compared")]
pub enum Compared {
    /// There is none of this step.
    #[default]
    First,
    /// There are some, and none is comparable: why the last one is not.
    Refused {
        /// When that one ended.
        at: jiff::Timestamp,
        /// What differs.
        why: String,
    },
    /// p95 now over p95 then.
    Ratio {
        /// When that one ended.
        at: jiff::Timestamp,
        /// Ratio with its one-sided bounds (value, low, high).
        ratio: [f64; 3],
        /// What it means.
        change: Change,
    },
}

impl Compared {
    /// "p95 1.12× the ramp of 23 Nov (0.97–1.31): no change seen"; nothing for the first ramp of a step.
    #[must_use]
    pub fn sentence(&self) -> Option<String> {
        let day = |at: &jiff::Timestamp| at.strftime("%-d %b").to_string();
        match self {
            Self::First => None,
            Self::Refused { at, why } => Some(format!("not compared with the ramp of {}: {why}", day(at))),
            Self::Ratio { at, ratio: [value, low, high], change } => {
                let word = match change {
                    Change::None => "no change seen",
                    Change::Slower => "slower",
                    Change::Faster => "faster",
                };
                Some(format!("p95 {value:.2}× the ramp of {} ({low:.2}–{high:.2}): {word}", day(at)))
            }
        }
    }
}

/// Whether two ramps put the same load on the site and were measured to their end.
///
/// # Errors
/// What differs, in words.
pub fn comparable(record: &RampRecord, newest: &RampRecord) -> Result<(), &'static str> {
    for (same, why) in [
        (record.users == newest.users, "another number of users"),
        (record.flows == newest.flows, "other flows"),
        (record.target == newest.target, "another target"),
        (record.think == newest.think, "other pauses"),
        (record.model == newest.model, "another model of arrivals"),
        (record.engine == newest.engine, "another load engine"),
        (record.quick == newest.quick, "a quick and a full measurement"),
    ] {
        if !same {
            return Err(why);
        }
    }
    if !matches!(record.outcome, RampOutcome::Pass | RampOutcome::Fail | RampOutcome::Inconclusive) {
        return Err("not measured to the end");
    }
    match record.p95_ms {
        Some(_) if record.requests > 0 => Ok(()),
        _ => Err("too few requests for an interval"),
    }
}

/// Compares with the last comparable ramp of the same step, or with that of the pinned run. `history` is ascending and holds `newest` not.
#[must_use]
pub fn compare(newest: &RampRecord, history: &[RampRecord]) -> Compared {
    let of_step = || history.iter().rev().filter(|r| r.step == newest.step);
    let Some(last) = of_step().next() else { return Compared::First };
    if let Err(why) = comparable(newest, newest) {
        return Compared::Refused { at: last.at, why: format!("this one: {why}") };
    }
    let fitting = || of_step().filter(|r| comparable(r, newest).is_ok());
    let Some(old) = fitting().find(|r| r.pinned).or_else(|| fitting().next()) else {
        let why = comparable(last, newest).err().unwrap_or_default().to_owned();
        return Compared::Refused { at: last.at, why };
    };
    match newest.p95_ms.zip(old.p95_ms).and_then(|(new, old)| change(new, old)) {
        Some((ratio, change)) => Compared::Ratio { at: old.at, ratio, change },
        None => Compared::Refused { at: old.at, why: "p95 has no proper interval".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::flow::Mix;
    use crate::domain::ids::StepId;
    use crate::domain::measurement::Engine;
    use crate::domain::ramp::Model;

    fn record(p95: [f64; 3]) -> RampRecord {
        RampRecord {
            run: "r".into(),
            step: StepId::new(7).unwrap(),
            users: 500,
            flows: "f".to_owned(),
            target: "http://a.test".to_owned(),
            at: "2026-11-23T04:00:00Z".parse().unwrap(),
            quick: false,
            outcome: RampOutcome::Pass,
            p95_ms: Some(p95),
            error_percent: None,
            requests: 4000,
            statements: vec![],
            think: Mix::THINK,
            model: Model::Closed,
            engine: Engine::Goose,
            pinned: false,
        }
    }

    #[test]
    fn slower_faster_or_nothing_to_see() {
        let old = [100.0, 92.0, 109.0];
        for (new, change) in [
            ([112.0, 100.0, 126.0], Change::None),
            ([150.0, 140.0, 161.0], Change::Slower),
            ([60.0, 55.0, 66.0], Change::Faster),
            // Surely slower, by too little to mean anything.
            ([103.0, 102.9, 103.1], Change::None),
        ] {
            let Compared::Ratio { change: found, .. } = compare(&record(new), &[record(old)]) else { panic!() };
            assert_eq!(found, change, "{new:?}");
        }
        let said = compare(&record([112.0, 100.0, 126.0]), &[record(old)]).sentence().unwrap();
        assert!(said.starts_with("p95 1.12× the ramp of 23 Nov (0.") && said.ends_with("no change seen"), "{said}");
    }

    #[test]
    fn a_pinned_ramp_is_the_one_to_compare_with_while_it_fits() {
        let new = record([150.0, 140.0, 161.0]);
        let pinned = RampRecord { pinned: true, ..record([100.0, 92.0, 109.0]) };
        let change = |history: &[RampRecord]| match compare(&new, history) {
            Compared::Ratio { change, .. } => change,
            other => panic!("{other:?}"),
        };
        assert_eq!(change(&[pinned.clone(), new.clone()]), Change::Slower, "a creeping change shows");
        assert_eq!(change(&[RampRecord { users: 1, ..pinned }, new.clone()]), Change::None);
    }

    #[test]
    fn another_load_is_refused_with_its_reason() {
        let new = record([1.0, 0.9, 1.1]);
        assert_eq!(compare(&new, &[]), Compared::First);
        assert_eq!(compare(&new, &[RampRecord { step: StepId::FIRST, ..new.clone() }]), Compared::First);
        for (other, why) in [
            (RampRecord { users: 1, ..new.clone() }, "users"),
            (RampRecord { flows: "g".into(), ..new.clone() }, "flows"),
            (RampRecord { target: "http://b.test".into(), ..new.clone() }, "target"),
            (RampRecord { think: Mix::THINK.times(0.5), ..new.clone() }, "pauses"),
            (RampRecord { model: Model::Open, ..new.clone() }, "arrivals"),
            (RampRecord { engine: Engine::Locust { workers: 2 }, ..new.clone() }, "engine"),
            (RampRecord { quick: true, ..new.clone() }, "quick"),
            (RampRecord { outcome: RampOutcome::Aborted, ..new.clone() }, "to the end"),
            (RampRecord { p95_ms: None, ..new.clone() }, "too few"),
            (RampRecord { p95_ms: Some([0.0; 3]), ..new.clone() }, "interval"),
        ] {
            let said = compare(&new, std::slice::from_ref(&other)).sentence().unwrap();
            assert!(said.contains("not compared") && said.contains(why), "{said}");
            // One that fits, further back, is found.
            assert!(
                matches!(compare(&new, &[new.clone(), other.clone()]), Compared::Ratio { .. }) || why == "interval"
            );
        }
        let spoiled = RampRecord { outcome: RampOutcome::Invalid, ..new.clone() };
        assert!(compare(&spoiled, &[new]).sentence().unwrap().contains("this one: not measured"));
    }
}
