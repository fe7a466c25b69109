//! A recorded judgement, decided again from what its run wrote down. Pure: whoever has the log can ask, months later.

use super::check::{CheckOutcome, Evidence};
use super::command::Waiver;
use super::event::{Event, EventKind};
use super::ids::{CheckId, StepId};
use super::measurement::{FarSide, Measurement};
use super::progress::{Progress, StepRecord, StepState};
use super::ramp::RampPlan;
use super::slo::Slo;
use super::step::Level;
use super::verdict::{Objective, RampOutcome, Verdict, judge_looked};

/// The events on which a step's judgement rests: from taking the step up until the judgement itself.
#[must_use]
pub fn basis<'a>(step: StepId, record: &StepRecord, events: &'a [Event]) -> Option<&'a [Event]> {
    let judged = |event: &Event| {
        event.at == record.at && matches!(&event.kind, EventKind::StepJudged { step: of, .. } if *of == step)
    };
    let end = events.iter().rposition(judged)?;
    let started = |event: &Event| matches!(&event.kind, EventKind::StepStarted { step: of, .. } if *of == step);
    let from = events[..end].iter().rposition(started).unwrap_or(0);
    Some(&events[from..=end])
}

/// What a new decision would say otherwise than the record does, or cannot find; empty when it says the same. `required`
/// are the checks that its playbook asked for, as far as they are known.
#[must_use]
pub fn audit(
    step: StepId,
    record: &StepRecord,
    events: &[Event],
    waivers: &[Waiver],
    required: &[CheckId],
) -> Vec<String> {
    let Some(basis) = basis(step, record, events) else {
        return vec!["its run's log holds no such judgement".to_owned()];
    };
    let mut said = Vec::new();
    let mut told = Progress::default();
    basis.iter().for_each(|event| told.apply(event));
    if let Some(told) = told.steps.get(&step) {
        said.extend(
            fields(told, record)
                .into_iter()
                .map(|field| format!("progress.toml and the log differ in {field}: one of them was edited")),
        );
    }
    match ramp(step, basis) {
        Some(Ramp { plan, slo, measurement, verdict, .. }) => {
            let of = |o: &Objective| o.name.strip_prefix("p95 of ").map(str::to_owned);
            let endpoints: Vec<String> = verdict.objectives.iter().filter_map(of).collect();
            said.extend(differences(verdict, &judge_looked(measurement, plan, slo, &endpoints)));
            if record.state == StepState::Proven && verdict.outcome != RampOutcome::Pass {
                said.push("its ramp did not pass".to_owned());
            }
        }
        None if record.state == StepState::Proven => said.push("the log holds no whole ramp for it".to_owned()),
        None => {}
    }
    if record.state == StepState::Proven {
        said.extend(shut(step, record, basis, waivers, required));
    }
    said
}

/// A step's ramp, as it was judged.
#[derive(Debug, Clone, Copy)]
pub struct Ramp<'a> {
    /// What was to be driven.
    pub plan: &'a RampPlan,
    /// The promise in force.
    pub slo: &'a Slo,
    /// What was measured.
    pub measurement: &'a Measurement,
    /// What the other systems did.
    pub far_side: &'a FarSide,
    /// What it means.
    pub verdict: &'a Verdict,
}

/// The last ramp of the step among these events, with what it was to be.
#[must_use]
pub fn ramp(step: StepId, events: &[Event]) -> Option<Ramp<'_>> {
    let (task, measurement, far_side, verdict) = events.iter().rev().find_map(|event| match &event.kind {
        EventKind::RampFinished { step: of, task, measurement, far_side, verdict } if *of == step => {
            Some((*task, measurement, far_side, verdict))
        }
        _ => None,
    })?;
    let (plan, slo) = events.iter().find_map(|event| match &event.kind {
        EventKind::RampStarted { task: of, plan, slo, .. } if *of == task => Some((plan, slo)),
        _ => None,
    })?;
    Some(Ramp { plan, slo, measurement, far_side, verdict })
}

/// The last answer of every check of the step, in the order in which they came.
#[must_use]
pub fn answers(step: StepId, events: &[Event]) -> Vec<&Evidence> {
    let mut last: Vec<&Evidence> = Vec::new();
    for event in events {
        if let EventKind::CheckFinished { evidence } = &event.kind
            && evidence.step == step
        {
            last.retain(|other| other.check != evidence.check);
            last.push(evidence);
        }
    }
    last
}

/// Required checks that did not open or did not answer, and that nobody signed for.
fn shut(step: StepId, record: &StepRecord, basis: &[Event], waivers: &[Waiver], required: &[CheckId]) -> Vec<String> {
    let day = record.at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let signatures = Progress { waivers: waivers.to_vec(), ..Progress::default() };
    let kept = |check: &CheckId| {
        record.waived.iter().any(|excused| excused.check == *check && signatures.excuses(step, excused, day))
    };
    // A judgement from before it kept what was excused. A check that several steps ask may have been signed for at an
    // earlier one; with a whole step, only what did not fail.
    let old = record.waived.is_empty();
    let names = |w: &Waiver, evidence: &Evidence| match &w.check {
        Some(check) => *check == evidence.check && w.step <= step,
        None => w.step < step && !matches!(evidence.outcome, CheckOutcome::Fail(_)),
    };
    let signed = |evidence: &Evidence| {
        kept(&evidence.check) || (old && waivers.iter().any(|w| w.until >= day && names(w, evidence)))
    };
    let answers = answers(step, basis);
    if answers.is_empty() {
        return vec!["the log holds no answer of a check for it".to_owned()];
    }
    let shut = |e: &&&Evidence| e.level == Level::Required && !e.outcome.opens() && !signed(e);
    let shut = answers.iter().filter(shut).map(|e| format!("{} was {}", e.check, e.outcome.word()));
    let by_name =
        |check: &CheckId| waivers.iter().any(|w| w.until >= day && w.check.as_ref() == Some(check) && w.step <= step);
    let excused = |check: &CheckId| kept(check) || (old && by_name(check));
    let silent = |check: &&CheckId| !excused(check) && answers.iter().all(|e| e.check != **check);
    shut.chain(required.iter().filter(silent).map(|check| format!("{check} did not answer"))).collect()
}

/// Names of the fields in which two records differ; the link to the evidence is no part of what was decided.
fn fields(one: &StepRecord, other: &StepRecord) -> Vec<&'static str> {
    let pairs = [
        (one.state == other.state, "the state"),
        (one.run == other.run, "the run"),
        (one.sentence == other.sentence, "the sentence"),
        (one.users == other.users, "the users"),
        (one.p95_ms == other.p95_ms, "p95"),
        (one.error_percent == other.error_percent, "the error rate"),
        (one.requests == other.requests, "the requests"),
        (one.held_by == other.held_by, "what held it"),
        (one.waived == other.waived, "what was waived"),
        (one.contract == other.contract, "the contract"),
    ];
    pairs.into_iter().filter(|(same, _)| !same).map(|(_, field)| field).collect()
}

/// What today's judge says otherwise of the same measurement.
fn differences(stored: &Verdict, again: &Verdict) -> Vec<String> {
    let mut said = Vec::new();
    if stored.outcome != again.outcome {
        said.push(
            format!("its ramp was judged {:?}, and would be {:?} now", stored.outcome, again.outcome).to_lowercase(),
        );
    }
    for (before, now) in stored.objectives.iter().zip(&again.objectives) {
        if !alike(before, now) {
            let figures = |o: &Objective| match (o.value, o.low, o.high) {
                (Some(value), Some(low), Some(high)) => format!("{value:.2} ({low:.2} to {high:.2}) {}", o.unit),
                (Some(value), ..) => format!("{value:.2} {} without bounds", o.unit),
                _ => "without a value".to_owned(),
            };
            said.push(format!(
                "{} was {}, and is {} when it is computed again",
                before.name,
                figures(before),
                figures(now)
            ));
        }
    }
    if stored.objectives.len() != again.objectives.len() {
        said.push("it was judged by other objectives".to_owned());
    }
    said
}

fn alike(one: &Objective, other: &Objective) -> bool {
    // Sums in another order may differ in their last digits.
    let near = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
        (a, b) => a.is_none() && b.is_none(),
    };
    let same = one.name == other.name && one.outcome == other.outcome && one.n == other.n;
    same && near(one.value, other.value) && near(one.low, other.low) && near(one.high, other.high)
}
