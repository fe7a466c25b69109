//! `cycles.evidence-fresh`: do the steps before this one still stand, on evidence that is not old?

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::ids::StepId;
use crate::domain::progress::{Standing, StepState};

use super::{Check, Context};

const A_DAY: f64 = 86_400.0;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Fresh {
    /// Age of a proof, in days, at which it no longer counts.
    days: u32,
}

impl Default for Fresh {
    fn default() -> Self {
        Self { days: 14 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    at: Timestamp,
    /// The steps before this one.
    before: Vec<Standing>,
}

impl Check for Fresh {
    const ID: &'static str = "cycles.evidence-fresh";
    const TITLE: &'static str = "every step before this one stands, and none on old evidence";
    const ABOUT: &'static str = "Looks at how each earlier step stands now: proven within the last 14 days under the settings, flows, playbook and \
        target of today, or waived. Traps: a step that regressed or went stale while later ones stayed proven, a proof from before \
        the last month's deploys; what ran then is not what runs now.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://sre.google/sre-book/testing-reliability/"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        Ok(Facts { at: Timestamp::now(), before: ctx.before.to_vec() })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if facts.before.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "no step comes before this one",
                "ask this of a later step: its playbook names the check too early",
            ));
        }
        let limit = SignedDuration::from_hours(24 * i64::from(self.days));
        let weak = |standing: &Standing| {
            let (step, state) = (standing.step, standing.state);
            match (state, standing.since) {
                (StepState::Waived, _) => None,
                (StepState::Proven, Some(since)) => {
                    let age = facts.at.duration_since(since);
                    let days = age.as_secs_f64() / A_DAY;
                    (age > limit).then(|| (step, format!("step {step} was proven {days:.0} days ago")))
                }
                _ => Some((step, format!("step {step} is {}", state.word()))),
            }
        };
        let weak: Vec<(StepId, String)> = facts.before.iter().filter_map(weak).collect();
        let Some((first, _)) = weak.first() else { return CheckOutcome::Pass };
        let seen = weak.iter().map(|(_, seen)| seen.as_str()).collect::<Vec<_>>().join(", ");
        let todo = format!("prove it as things are now, the lowest first: rampup run {first}");
        let never = |standing: &Standing| {
            matches!(standing.state, StepState::Open | StepState::Locked | StepState::Running | StepState::Waived)
        };
        let all_new = facts.before.iter().filter(|s| weak.iter().any(|(step, _)| *step == s.step)).all(never);
        // What was never measured has not failed.
        if all_new { CheckOutcome::Unknown(Missing::new(seen, todo)) } else { CheckOutcome::fail(seen, todo) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freshness_traps() {
        let at: Timestamp = "2026-11-23T04:00:00Z".parse().unwrap();
        let days_ago = |days: i64| Some(at - SignedDuration::from_hours(24 * days));
        let of = |last: (StepState, Option<Timestamp>)| {
            let before = [(StepState::Proven, days_ago(1)), (StepState::Waived, None), last];
            let before =
                StepId::all().zip(before).map(|(step, (state, since))| Standing { step, state, since }).collect();
            Facts { at, before }
        };
        for (word, last) in [
            ("pass", (StepState::Proven, days_ago(0))),
            ("pass", (StepState::Proven, days_ago(14))),
            ("fail", (StepState::Proven, days_ago(15))),
            // Proven, and nobody knows when.
            ("fail", (StepState::Proven, None)),
            ("pass", (StepState::Waived, days_ago(100))),
            ("fail", (StepState::Stale, days_ago(1))),
            ("fail", (StepState::Regressed, days_ago(1))),
            ("fail", (StepState::Held, days_ago(1))),
            ("unknown", (StepState::Open, None)),
            ("unknown", (StepState::Locked, None)),
        ] {
            assert_eq!(Fresh::default().judge(&of(last)).word(), word, "{last:?}");
        }
        assert_eq!(Fresh::default().judge(&Facts { at, before: vec![] }).word(), "unknown");
        assert_eq!(Fresh { days: 3 }.judge(&of((StepState::Proven, days_ago(4)))).word(), "fail");
    }
}
