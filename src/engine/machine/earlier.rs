//! What one step's answers say about the others: a check that two steps require stands for both. It never opens a step;
//! it shows one broken that was proven, and it owes nothing that an earlier step was excused from.

use jiff::Timestamp;

use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::event::EventKind;
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::domain::step::{CheckLine, Level};

use super::{Effect, Job, Machine, day};

impl Machine {
    /// The other steps that require this very check. One that looks at a ramp speaks of that ramp alone: what 1000 users
    /// did says nothing of 200.
    fn also_required_by(&self, step: StepId, line: &CheckLine) -> impl Iterator<Item = StepId> {
        let same = |theirs: &CheckLine| {
            (&theirs.check, &theirs.parameters, theirs.level) == (&line.check, &line.parameters, Level::Required)
        };
        let looks_at_ramp = self.prepared(step).after.contains(&line.check);
        StepId::all()
            .filter(move |other| *other != step && !looks_at_ramp && self.prepared(*other).step.checks.iter().any(same))
    }

    /// True when an earlier step that requires this check is waived, or the check itself there: an app without uploads is
    /// not held by them later.
    pub(super) fn excused_before(&self, step: StepId, line: &CheckLine, now: Timestamp) -> bool {
        self.also_required_by(step, line).filter(|other| *other < step).any(|other| {
            self.progress.waiver(other, day(now)).is_some_and(|waiver| waiver.check.is_none())
                || self.progress.check_waived(other, &line.check, day(now))
        })
    }

    /// Steps that stood proven, and that what this job saw shows broken.
    pub(super) fn broken_elsewhere(&mut self, job: &Job, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        for other in StepId::all().filter(|other| *other != job.step) {
            if self.settled_state(other, now) != StepState::Proven {
                continue;
            }
            let broken: Vec<Evidence> = self
                .prepared(job.step)
                .step
                .checks
                .iter()
                .filter(|line| self.also_required_by(job.step, line).any(|step| step == other))
                .filter(|line| !self.progress.check_waived(other, &line.check, day(now)))
                .filter_map(|line| job.evidence.iter().find(|e| e.check == line.check))
                .filter(|e| matches!(e.outcome, CheckOutcome::Fail(_)))
                .map(|e| Evidence { step: other, level: Level::Required, ..e.clone() })
                .collect();
            if broken.is_empty() {
                continue;
            }
            let held_by: Vec<String> =
                broken.iter().map(|e| format!("{}: {}, {}", e.check, e.outcome.word(), e.outcome.seen())).collect();
            // What was seen goes with the judgement, under the step that it is about.
            effects.extend(broken.into_iter().map(|evidence| self.record(now, EventKind::CheckFinished { evidence })));
            let kind = EventKind::StepJudged {
                step: other,
                state: StepState::Regressed,
                sentence: format!(
                    "Step {other} no longer holds, seen while step {} was looked at: {}.",
                    job.step,
                    held_by.join("; ")
                ),
                contract: self.prepared(other).contract.clone(),
                users: None,
                p95_ms: None,
                error_percent: None,
                requests: 0,
                seconds: now.duration_since(job.began).as_secs_f64(),
                held_by,
            };
            effects.push(self.record(now, kind));
        }
        effects
    }
}
