//! `cycles.evidence-fresh`: do the steps before this one still stand, on evidence that is not old?

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
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
        let age = |standing: &Standing| standing.since.map(|since| facts.at.duration_since(since));
        let stands = |standing: &&Standing| match standing.state {
            StepState::Waived => true,
            StepState::Proven => age(standing).is_some_and(|age| age <= limit),
            _ => false,
        };
        let weak: Vec<&Standing> = facts.before.iter().filter(|standing| !stands(standing)).collect();
        let Some(first) = weak.first() else { return CheckOutcome::Pass };
        let said = |standing: &&Standing| match (standing.state, age(standing)) {
            (StepState::Proven, Some(age)) => {
                format!("step {} was proven {:.0} days ago", standing.step, age.as_secs_f64() / A_DAY)
            }
            (state, _) => format!("step {} is {}", standing.step, state.word()),
        };
        let seen = weak.iter().map(said).collect::<Vec<_>>().join(", ");
        let todo = format!("prove it as things are now, the lowest first: rampup run {}", first.step);
        // What was never measured has not failed.
        if weak.iter().all(|standing| matches!(standing.state, StepState::Open | StepState::Locked)) {
            return CheckOutcome::Unknown(Missing::new(seen, todo));
        }
        CheckOutcome::fail(seen, todo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::StepId;

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
