//! What one step's answers say about the others: a check that two steps require stands for both. It never opens a step;
//! it shows one broken that was proven, and is not owed again where an earlier step was excused from it.

use jiff::Timestamp;

use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::event::EventKind;
use crate::domain::excuse;
use crate::domain::fingerprint::Contract;
use crate::domain::ids::StepId;
use crate::domain::progress::{Excused, StepRecord, StepState};
use crate::domain::step::{CheckLine, Level, Step};

use super::{Effect, Job, Machine, day};

impl Machine {
    /// The other steps that require this very check.
    fn also_required_by(&self, step: StepId, line: &CheckLine) -> impl Iterator<Item = StepId> {
        excuse::also_required_by(self.all_steps(), step, line)
    }

    fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().map(|prepared| &prepared.step)
    }

    /// True when a step is proven, in force, and stands on this line of another one.
    fn holds_up(&self, step: StepId, line: &CheckLine, now: Timestamp) -> bool {
        !self.prepared(step).after.contains(&line.check)
            && self.also_required_by(step, line).any(|other| self.in_force(other, now).is_some())
    }

    /// True when this answer would show a proven step broken and was given once: one slow answer of a vendor is not the
    /// end of a proof.
    pub(super) fn worth_asking_again(
        &self,
        job: &Job,
        line: &CheckLine,
        outcome: &CheckOutcome,
        now: Timestamp,
    ) -> bool {
        matches!(outcome, CheckOutcome::Fail(_))
            && job.evidence.iter().all(|e| e.check != line.check)
            && !job.stopping
            && self.holds_up(job.step, line, now)
    }

    /// The proof of a step, as long as nothing that it rests on has changed.
    fn in_force(&self, step: StepId, now: Timestamp) -> Option<&StepRecord> {
        // What is asked without load is the same in a practice run.
        let contract = Contract { quick: true, ..self.prepared(step).contract.clone() };
        self.progress.proof(step, &contract, day(now))
    }

    /// True when a full proof of this step stands and only practice measurements are made here: its judgement would be the
    /// lesser one.
    #[must_use]
    pub fn proven_in_full(&self, step: StepId, now: Timestamp) -> bool {
        let contract = &self.prepared(step).contract;
        contract.quick && self.progress.proof(step, contract, day(now)).is_some_and(|proof| !proof.contract.quick)
    }

    /// What excuses this answer (none when there was none) by a signature of today, in the form that a judgement keeps.
    pub(super) fn excused(
        &self,
        step: StepId,
        line: &CheckLine,
        outcome: Option<&CheckOutcome>,
        now: Timestamp,
    ) -> Option<Excused> {
        excuse::excused(self.all_steps(), &self.progress, step, line, outcome, day(now))
    }

    /// Steps with a proof in force that this job's failed checks show broken. A check that looks at a ramp speaks of that
    /// ramp alone: what 1000 users did says nothing of 200.
    pub(super) fn broken_elsewhere(&mut self, job: &Job, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        for other in StepId::all().filter(|other| *other != job.step) {
            let Some(proof) = self.in_force(other, now).cloned() else { continue };
            let prepared = self.prepared(job.step);
            let lines = prepared.step.checks.iter().filter(|line| !prepared.after.contains(&line.check));
            let broken: Vec<Evidence> = lines
                .filter(|line| self.also_required_by(job.step, line).any(|step| step == other))
                .filter_map(|line| Some((line, job.evidence.iter().find(|e| e.check == line.check)?)))
                .filter(|(_, e)| matches!(e.outcome, CheckOutcome::Fail(_)))
                .filter(|(line, e)| self.excused(other, line, Some(&e.outcome), now).is_none())
                .map(|(_, e)| Evidence { step: other, level: Level::Required, ..e.clone() })
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
                    "Step {other} no longer holds: {}. Seen while step {} was looked at.",
                    held_by.join("; "),
                    job.step
                ),
                // As last measured.
                contract: proof.contract,
                users: proof.users,
                p95_ms: proof.p95_ms,
                error_percent: proof.error_percent,
                requests: proof.requests,
                seconds: now.duration_since(job.began).as_secs_f64(),
                held_by,
                waived: proof.waived,
            };
            effects.push(self.record(now, kind));
        }
        effects
    }
}
