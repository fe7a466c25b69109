//! The end of a job: what still holds its step, what the step becomes, and the sentence that says so. The one place where
//! a step turns `proven`.

use jiff::Timestamp;

use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::event::EventKind;
use crate::domain::ids::CheckId;
use crate::domain::progress::{Excused, StepState, within_reach};
use crate::domain::step::{CheckLine, Level};
use crate::domain::verdict::{RampOutcome, Verdict};

use super::{Effect, Job, Machine, Wish};

impl Machine {
    /// Required checks of the job that do not open the gate, each as "id: outcome, what was seen".
    pub(super) fn held_by(&self, now: Timestamp) -> Vec<String> {
        let Some(job) = &self.job else { return Vec::new() };
        let answer = |line: &CheckLine| job.evidence.iter().find(|e| e.check == line.check).map(|e| &e.outcome);
        let opens = |line: &CheckLine| {
            answer(line).is_some_and(CheckOutcome::opens) || self.excused(job.step, line, answer(line), now).is_some()
        };
        let asked = |check: &CheckId| job.ramp.is_some() || !self.prepared(job.step).after.contains(check);
        self.prepared(job.step)
            .step
            .checks
            .iter()
            .filter(|line| line.level == Level::Required && asked(&line.check) && !opens(line))
            .map(|line| match job.evidence.iter().find(|e| e.check == line.check) {
                Some(e) => format!("{}: {}, {}", line.check, e.outcome.word(), e.outcome.seen()),
                None => format!("{}: not asked", line.check),
            })
            .collect()
    }

    /// Ends the job. The one place where a step turns `proven`.
    pub(super) fn settle(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut held_by = self.held_by(now);
        let Some(job) = self.job.take() else { return Vec::new() };
        let mut effects = self.broken_elsewhere(&job, now);
        // A step that shows another one broken on its way proves nothing this time.
        held_by.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Record(event) => match &event.kind {
                EventKind::StepJudged { step, .. } => Some(format!("step {step}: no longer holds")),
                _ => None,
            },
            _ => None,
        }));
        let (step, before) = (job.step, self.settled_state(job.step, now));
        let prepared = self.prepared(step);
        let verdict = job.ramp.as_ref().map(|ramp| &ramp.verdict);
        let passed = verdict.is_some_and(|v| v.outcome == RampOutcome::Pass);
        let reachable = within_reach(step, &|below| self.settled_state(below, now));
        let proven = job.wish == Wish::Run && !job.stopping && held_by.is_empty() && passed && reachable;
        let failed = |line: &CheckLine| {
            let fails = |e: &&Evidence| e.check == line.check && matches!(e.outcome, CheckOutcome::Fail(_));
            let found = job.evidence.iter().find(fails);
            found.is_some_and(|e| self.excused(step, line, Some(&e.outcome), now).is_none())
        };
        let mut required = prepared.step.checks.iter().filter(|line| line.level == Level::Required);
        let broken = required.any(failed) || verdict.is_some_and(|v| v.outcome == RampOutcome::Fail);
        let answer = |line: &CheckLine| job.evidence.iter().find(|e| e.check == line.check).map(|e| &e.outcome);
        let waived: Vec<Excused> = prepared
            .step
            .checks
            .iter()
            .filter(|line| line.level == Level::Required)
            .filter(|line| job.ramp.is_some() || !prepared.after.contains(&line.check))
            .filter(|line| answer(line).is_none_or(|outcome| !outcome.opens()))
            .filter_map(|line| self.excused(step, line, answer(line), now))
            .collect();
        let was_proven = matches!(before, StepState::Proven | StepState::Regressed);

        let state = if proven {
            Some(StepState::Proven)
        } else if was_proven && broken && job.wish != Wish::Ramp {
            Some(StepState::Regressed)
        } else if was_proven || job.stopping || job.wish != Wish::Run || job.failed.is_some() {
            // What was not measured decides nothing.
            None
        } else {
            Some(StepState::Held)
        };
        let sentence = sentence(&job, &held_by, &waived, verdict, state);
        let kind = match state {
            Some(state) => EventKind::StepJudged {
                step,
                state,
                sentence,
                contract: prepared.contract.clone(),
                users: job.ramp.as_ref().map(|r| r.measurement.users),
                p95_ms: verdict.and_then(|v| bounds(v, "p95")),
                error_percent: verdict.and_then(|v| bounds(v, "errors")),
                requests: job.ramp.as_ref().map_or(0, |r| r.measurement.requests),
                seconds: now.duration_since(job.began).as_secs_f64(),
                held_by,
                waived,
            },
            None => EventKind::Note { text: sentence },
        };
        effects.extend([self.record(now, kind), Effect::Idle]);
        effects
    }
}

/// Value and bounds of one objective; a bound that does not exist is shown as the value itself being unbounded.
fn bounds(verdict: &Verdict, name: &str) -> Option<[f64; 3]> {
    let objective = verdict.objectives.iter().find(|o| o.name == name)?;
    Some([objective.value?, objective.low?, objective.high?])
}

fn sentence(
    job: &Job,
    held_by: &[String],
    waived: &[Excused],
    verdict: Option<&Verdict>,
    state: Option<StepState>,
) -> String {
    let step = job.step;
    let measured = verdict.map_or(String::new(), |v| format!(" {}", v.sentence));
    let blockers = held_by.join("; ");
    let excused = waived.iter().map(|excused| excused.check.0.as_str()).collect::<Vec<_>>().join(", ");
    match (state, &job.failed) {
        (_, Some(why)) => format!("Step {step}: no ramp was driven. {why}"),
        _ if job.stopping => format!("Step {step} was stopped; what was seen is kept.{measured}"),
        (Some(StepState::Proven), _) if waived.is_empty() => format!("Step {step} is proven.{measured}"),
        (Some(StepState::Proven), _) => format!("Step {step} is proven, with {excused} waived.{measured}"),
        (Some(StepState::Regressed), _) if held_by.is_empty() => format!("Step {step} no longer holds.{measured}"),
        (Some(StepState::Regressed), _) => format!("Step {step} no longer holds: {blockers}.{measured}"),
        (Some(_), _) if held_by.is_empty() => format!("Step {step} is held.{measured}"),
        (Some(_), _) => format!("Step {step} is held by {blockers}.{measured}"),
        (None, _) if job.wish == Wish::Ramp => format!("Step {step} was measured without judging it.{measured}"),
        (None, _) if job.wish == Wish::Verify && job.evidence.is_empty() => {
            format!("Step {step} has no check that looks without load; its ramp is next.")
        }
        (None, _) if job.wish == Wish::Verify && held_by.is_empty() => {
            let but = if waived.is_empty() { String::new() } else { format!(", with {excused} waived") };
            format!("Every required check of step {step} that needs no load passes{but}; the ramp is next.")
        }
        (None, _) if held_by.is_empty() => format!("Step {step} was measured without judging it.{measured}"),
        (None, _) => format!("Step {step} is not shown to be right: {blockers}.{measured}"),
    }
}
