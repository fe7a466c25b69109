//! Several looks at one hold: at half its length (may only end it as `fail`), at its planned length, and after each
//! extension. What each look's bounds must hold with, and whether to go on.

use super::hold::Hold;
use super::{Objective, ObjectiveOutcome, RampOutcome, Verdict, judge, objective, sentence};
use crate::domain::measurement::Measurement;
use crate::domain::ramp::{RampEnd, RampPlan};
use crate::domain::slo::Slo;
use crate::stats::looks::confidences;

/// Share of the allowed error that the look at half the hold may spend on a false `fail`.
const HALF: f64 = 0.1;

/// A hold that ended by itself before this share of its planned length was ended by the look at its half.
const EARLY: f64 = 0.75;

/// What a look at a hold says of its going on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// It is decided, or no look to come would decide it.
    Stop,
    /// The promise is kept, and the plan has rungs past the hold.
    Beyond,
    /// Hold on, with what a person should know; no words when the hold has not run its planned time yet.
    Hold(Option<String>),
}

/// The promise with the confidence that bounds need at a look: 0 for the one at half the hold, 1 for the planned length,
/// 2 after the first extension. Looks past the last one have the last one's.
#[must_use]
pub fn at_look(slo: &Slo, extensions: u8, look: u8) -> Slo {
    let confidence = if look == 0 {
        1.0 - (1.0 - slo.confidence) * HALF
    } else {
        let all = confidences(slo.confidence, extensions.saturating_add(1));
        all.get(usize::from(look) - 1).or(all.last()).copied().unwrap_or(slo.confidence)
    };
    Slo { confidence, ..slo.clone() }
}

/// Judges a hold that ended, with the confidence of the look at which it ended.
///
/// A hold that was ended at its half can fail and cannot pass, whatever it shows.
#[must_use]
pub fn judge_looked(m: &Measurement, plan: &RampPlan, slo: &Slo, endpoints: &[String]) -> Verdict {
    if m.end != RampEnd::Completed || m.hold_seconds >= plan.hold.as_secs_f64() * EARLY {
        return judge(m, &at_look(slo, plan.extensions, m.looks.max(1)), endpoints);
    }
    let mut verdict = judge(m, &at_look(slo, plan.extensions, 0), endpoints);
    if verdict.outcome == RampOutcome::Pass {
        verdict.outcome = RampOutcome::Inconclusive;
        verdict.sentence = sentence::short(m, plan.hold.as_secs_f64());
    }
    verdict
}

/// Whether a hold that is still running goes on after this look.
///
/// It ends when it is decided, when it is spoiled (more of the same would not mend that), and when not even a hopeful
/// forecast says that the looks left may decide it. What was not steady goes on: a longer hold tells a rise from chance.
#[must_use]
pub fn after_look(m: &Measurement, plan: &RampPlan, slo: &Slo, endpoints: &[String], look: u8) -> Next {
    let verdict = judge(m, &at_look(slo, plan.extensions, look), endpoints);
    if look == 0 {
        return if verdict.outcome == RampOutcome::Fail { Next::Stop } else { Next::Hold(None) };
    }
    if verdict.outcome == RampOutcome::Pass && !plan.beyond.is_empty() {
        return Next::Beyond;
    }
    let left = plan.extensions.saturating_sub(look - 1);
    if left == 0 || verdict.outcome != RampOutcome::Inconclusive || m.requests == 0 {
        return Next::Stop;
    }
    let hold = plan.hold.as_secs_f64();
    // The forecast is asked with the confidence that the last look will need. It is all true of a hold that is open for
    // not being steady alone.
    let last = at_look(slo, plan.extensions, u8::MAX);
    let times = 1.0 + hold * f64::from(left) / m.hold_seconds;
    let decidable = objective::decidable(&Hold::new(m, last.confidence), &last, endpoints, times);
    let hopeless =
        |(objective, decidable): (&Objective, bool)| objective.outcome != ObjectiveOutcome::Pass && !decidable;
    if verdict.objectives.iter().zip(decidable).any(hopeless) {
        return Next::Stop;
    }
    let of = plan.extensions.saturating_add(1);
    Next::Hold(Some(format!(
        "{} Holding {hold:.0} s more, look {} of {of}.",
        sentence::undecided_so_far(m, &verdict.objectives),
        look + 1
    )))
}
