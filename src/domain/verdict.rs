//! From a measurement to a verdict: the only place where numbers become `pass`, `fail` or `inconclusive`.
//!
//! The contract is the project's page on verdicts: an objective passes when its whole interval lies under the limit and
//! fails when it lies over it; nothing passes on missing data, on too little data or on a hold that was not steady.

mod hold;
mod looks;
mod objective;
mod sentence;
mod steady;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use looks::{Next, after_look, at_look, judge_looked};
pub use steady::{Second, settled};

use super::diagnosis::Diagnosis;
use super::measurement::Measurement;
use super::ramp::RampEnd;
use super::slo::Slo;
use hold::Hold;

/// One line of the SLO on one hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ObjectiveOutcome {
    /// The whole interval is under the limit.
    Pass,
    /// The whole interval is over the limit.
    Fail,
    /// The interval holds the limit, or there is too little data.
    Inconclusive,
}

/// A whole ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RampOutcome {
    /// Every objective passed.
    Pass,
    /// At least one objective failed.
    Fail,
    /// None failed, at least one is undecided, or the hold was not steady.
    Inconclusive,
    /// The generator or an edge block spoiled the measurement.
    Invalid,
    /// A breaker or a person stopped it.
    Aborted,
}

/// An objective with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Objective {
    /// "p95", "errors", "p95 of checkout".
    pub name: String,
    /// `ms` or `%`.
    pub unit: String,
    /// The value must stay under this.
    pub limit: f64,
    /// What was measured; none without data.
    pub value: Option<f64>,
    /// One-sided lower bound at the confidence of the look.
    pub low: Option<f64>,
    /// One-sided upper bound at the confidence of the look; none under the floor of requests.
    pub high: Option<f64>,
    /// Requests it rests on.
    pub n: u64,
    /// The answer.
    pub outcome: ObjectiveOutcome,
    /// For an undecided one: further seconds of hold that would probably decide it, at this rate.
    pub more_seconds: Option<f64>,
}

/// The verdict on a hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The answer.
    pub outcome: RampOutcome,
    /// The sentence with numbers that a person reads first.
    pub sentence: String,
    /// Each line of the SLO.
    pub objectives: Vec<Objective>,
    /// Worst p95 of any 10 s window, ms, and the second it began.
    pub worst_window: Option<(f64, u32)>,
    /// Share of seconds in which the generator itself was unwell, 0 to 1.
    pub tainted: f64,
    /// Things worth knowing that do not decide: the settle limit was reached, drift, blocked answers.
    pub notes: Vec<String>,
    /// Where to look next; decides nothing.
    #[serde(default)]
    pub diagnosis: Diagnosis,
}

/// Share of blocked answers over which a measurement says more about the edge than about the app.
pub const BLOCKED_LIMIT: f64 = 0.01;

/// Share of tainted seconds over which a measurement says more about the generator than about the app.
pub const TAINTED_LIMIT: f64 = 0.05;

/// Judges a hold: p95 and error rate against the limits, and the p95 of each endpoint that must meet it on its own.
/// Every bound has the confidence of `slo`; a hold that is looked at several times is for [`judge_looked`].
///
/// The same measurement always gets the same verdict: the bootstrap is seeded with a constant.
#[must_use]
pub fn judge(measurement: &Measurement, slo: &Slo, endpoints: &[String]) -> Verdict {
    let hold = Hold::new(measurement, slo.confidence);
    let objectives = objective::all(&hold, slo, endpoints);
    let worst_window = hold.worst_window();
    let tainted = hold.tainted();
    let mut notes = sentence::notes(measurement, slo, worst_window);

    let (outcome, sentence) = match &measurement.end {
        RampEnd::Aborted(why) => (RampOutcome::Aborted, sentence::aborted(measurement, why)),
        RampEnd::Invalid(why) => (RampOutcome::Invalid, sentence::invalid(measurement, why)),
        RampEnd::Completed => match hold.spoiled(tainted) {
            Some(why) => (RampOutcome::Invalid, sentence::invalid(measurement, &why)),
            None => decide(&hold, slo, &objectives, &mut notes),
        },
    };
    Verdict { outcome, sentence, objectives, worst_window, tainted, notes, diagnosis: Diagnosis::default() }
}

/// The outcome of a hold that ran its time and was not spoiled.
fn decide(hold: &Hold, slo: &Slo, objectives: &[Objective], notes: &mut Vec<String>) -> (RampOutcome, String) {
    let is = |outcome| move |objective: &Objective| objective.outcome == outcome;
    if objectives.iter().any(is(ObjectiveOutcome::Fail)) {
        return (RampOutcome::Fail, sentence::broke(hold.measurement, objectives));
    }
    if !objectives.iter().all(is(ObjectiveOutcome::Pass)) {
        return (RampOutcome::Inconclusive, sentence::undecided(hold.measurement, objectives));
    }
    match steady::unsteady(hold, slo) {
        Some(steady::Unsteady { why, refuses: true }) => {
            (RampOutcome::Inconclusive, sentence::unsteady(hold.measurement, &why))
        }
        seen => {
            notes.extend(seen.map(|harmless| harmless.why));
            (RampOutcome::Pass, sentence::held(hold.measurement, objectives))
        }
    }
}

#[cfg(test)]
mod tests;
