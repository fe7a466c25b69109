//! `load.ladder-done`: were so many users really in, rung by rung and to the end?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::series;
use crate::domain::ramp::Model;

use super::{Check, Context, ramp};

/// Share of the hold's seconds in which the users must have been counted; others were starved.
const COUNTED: f64 = 0.9;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct LadderDone {}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Users of the plan (none in the open model, where nobody stays), and how many were in during all but a twentieth of
    /// the hold's seconds; none when the generator said nothing.
    planned: u32,
    held: Option<f64>,
    /// Seconds in which it said so.
    counted: usize,
    /// Seconds of the hold: planned and measured.
    planned_seconds: f64,
    held_seconds: f64,
    /// Rungs on the way up: planned, and those that were held and asked something.
    rungs: Vec<u32>,
    done: Vec<u32>,
}

impl Check for LadderDone {
    const ID: &'static str = "load.ladder-done";
    const TITLE: &'static str = "every rung was held, and all users stayed to the end";
    const ABOUT: &'static str = "Compares the plan with what was driven: each rung on the way up held with requests of its own, all planned users in \
        during the whole hold, the hold as long as planned. Traps: a thousand requests instead of a thousand users, users who died \
        on the way, a hold cut short, rungs that were jumped over.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] =
        &["https://grafana.com/docs/k6/latest/using-k6/scenarios/concepts/open-vs-closed/"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let mut held: Vec<f64> = ramp.far_side.held(series::LOAD_USERS).map(|(_, users)| users).collect();
        held.sort_by(f64::total_cmp);
        let done = ramp.measurement.rungs.iter().filter(|rung| rung.requests > 0 && rung.users <= ramp.plan.users);
        Ok(Facts {
            planned: if ramp.plan.model == Model::Open { 0 } else { ramp.plan.users },
            // The first second and the last may be shared with the climb and the way down.
            held: held.get(held.len() / 20).copied(),
            counted: held.len(),
            planned_seconds: ramp.plan.hold.as_secs_f64(),
            held_seconds: ramp.measurement.hold_seconds,
            rungs: ramp.plan.rungs.clone(),
            done: done.map(|rung| rung.users).collect(),
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let told = facts.counted as f64 >= COUNTED * facts.held_seconds;
        let Some(held) = facts.held.filter(|_| told) else {
            return CheckOutcome::Unknown(Missing::new(
                format!("the users were counted in {} of {:.0} s of the hold", facts.counted, facts.held_seconds),
                "run the step whole",
            ));
        };
        let mut findings = Vec::new();
        let mut found = |seen: String| {
            let todo = "run the step again, to its end, on a machine that can play so many users".to_owned();
            findings.push(Finding { seen, todo });
        };
        if held < f64::from(facts.planned) {
            found(format!("only {held:.0} of {} users were in during the hold", facts.planned));
        }
        // The generator's clock and ours differ by a second at most.
        if facts.held_seconds + 1.0 < facts.planned_seconds {
            found(format!("held for {:.0} of {:.0} s", facts.held_seconds, facts.planned_seconds));
        }
        let missing: Vec<String> = facts.rungs.iter().filter(|r| !facts.done.contains(r)).map(u32::to_string).collect();
        if !missing.is_empty() {
            found(format!("rungs that were not held on the way up: {} users", missing.join(", ")));
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ladder_traps() {
        let good = Facts {
            planned: 500,
            held: Some(500.0),
            counted: 60,
            planned_seconds: 60.0,
            held_seconds: 60.2,
            rungs: vec![10, 50],
            done: vec![10, 50, 500],
        };
        for (word, facts) in [
            ("pass", good.clone()),
            ("pass", Facts { rungs: vec![], done: vec![], ..good.clone() }),
            ("fail", Facts { held: Some(430.0), ..good.clone() }),
            ("fail", Facts { held_seconds: 31.0, ..good.clone() }),
            ("fail", Facts { done: vec![10], ..good.clone() }),
            ("unknown", Facts { counted: 3, ..good.clone() }),
            ("unknown", Facts { held: None, counted: 0, ..good }),
        ] {
            assert_eq!(LadderDone {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
