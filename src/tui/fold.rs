//! From events to facts. Nothing is concluded here that an event does not say.

use jiff::Timestamp;

use super::model::{Climb, Judged, Ramp};
use super::words;
use crate::domain::check::CheckOutcome;
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::StepId;
use crate::domain::ramp::{LoadPulse, RampPhase};

impl Climb {
    /// Takes an event of this session in.
    pub(super) fn fold(&mut self, event: &Event) {
        self.progress.apply(event);
        match &event.kind {
            EventKind::StepStarted { step, .. } => {
                self.running = Some(*step);
                self.looking.clear();
                self.fresh.clear();
                self.broken.remove(step);
                self.note(event.at, format!("step {step} taken up"));
            }
            EventKind::CheckStarted { task, step, check } => {
                self.looking.insert((*step, check.clone()), *task);
            }
            EventKind::RampStarted { task, step, plan, slo, claim } => {
                self.ramp = Some(Ramp {
                    step: *step,
                    task: *task,
                    plan: plan.clone(),
                    slo: slo.clone(),
                    claim: claim.clone(),
                    phase: RampPhase::Climb,
                    pulses: Vec::new(),
                    samples: Vec::new(),
                    hold_from: None,
                    ended: false,
                });
                self.running = Some(*step);
                self.whole = true;
                self.note(event.at, format!("ramp to {} users begins", plan.users));
            }
            EventKind::RampPhase { task, phase, users, .. } => self.enter(*task, *phase, *users, event.at),
            EventKind::Pulse { pulse } => self.pulse(pulse),
            EventKind::Sample { sample } => {
                if let Some(ramp) = self.ramp.as_mut().filter(|r| !r.ended)
                    && ramp.samples.last().is_none_or(|last| last.second < sample.second)
                {
                    ramp.samples.push(sample.clone());
                }
            }
            EventKind::StepJudged { step, state, sentence, .. } => {
                self.states.insert(*step, *state);
                // Another step may be shown broken on the way.
                if self.running.is_none_or(|running| running == *step) {
                    self.at_rest();
                }
                self.note(event.at, format!("step {step} {}: {}", state.word(), words::tame(sentence)));
            }
            EventKind::Waived { waiver } => {
                let what = waiver.check.as_ref().map_or(String::new(), |c| format!(", {}", words::tame(&c.0)));
                self.note(event.at, format!("step {}{what} waived by {}", waiver.step, words::tame(&waiver.owner)));
            }
            EventKind::Invalidated { ruling } => {
                let (run, owner) = (words::tame(ruling.run.as_str()), words::tame(&ruling.owner));
                self.note(event.at, format!("run {run} counts no more ({owner}: {})", words::tame(&ruling.reason)));
            }
            EventKind::BaselinePinned { ruling } => {
                let run = words::tame(ruling.run.as_str());
                self.note(event.at, format!("ramps are compared with run {run}, too"));
            }
            EventKind::BaselineUnpinned { ruling } => {
                let run = words::tame(ruling.run.as_str());
                self.note(event.at, format!("ramps are no longer compared with run {run}"));
            }
            EventKind::Note { text } => self.note(event.at, words::tame(text)),
            EventKind::RunFinished { .. } => self.at_rest(),
            EventKind::RunStarted { .. } => {}
            EventKind::CheckFinished { .. } | EventKind::RampFinished { .. } | EventKind::RampFailed { .. } => {
                self.log_answer(event);
                self.recall(event);
            }
        }
    }

    /// Takes in what can be read again of an earlier run: evidence and verdicts, no state.
    pub(super) fn recall(&mut self, event: &Event) {
        match &event.kind {
            EventKind::CheckFinished { evidence } => {
                let key = (evidence.step, evidence.check.clone());
                self.looking.remove(&key);
                self.fresh.insert(key.clone());
                self.evidence.insert(key, evidence.clone());
            }
            EventKind::RampFinished { task, step, measurement, verdict, .. } => {
                self.end_ramp(*task);
                self.broken.remove(step);
                self.judged.insert(*step, Judged { verdict: verdict.clone(), measurement: measurement.clone() });
            }
            EventKind::RampFailed { task, step, why, .. } => {
                self.end_ramp(*task);
                self.judged.remove(step);
                self.broken.insert(*step, words::tame(why));
            }
            _ => {}
        }
    }

    /// Nothing runs any more.
    pub(super) fn at_rest(&mut self) {
        self.running = None;
        self.whole = false;
        self.stopping = false;
        self.looking.clear();
        if let Some(ramp) = &mut self.ramp {
            ramp.ended = true;
        }
    }

    fn end_ramp(&mut self, task: crate::domain::ids::TaskId) {
        if let Some(ramp) = self.ramp.as_mut().filter(|r| r.task == task) {
            ramp.ended = true;
        }
    }

    fn enter(&mut self, task: crate::domain::ids::TaskId, phase: RampPhase, users: u32, at: Timestamp) {
        let Some(ramp) = self.ramp.as_mut().filter(|r| r.task == task && !r.ended) else { return };
        ramp.phase = phase;
        if phase == RampPhase::Hold && ramp.hold_from.is_none() {
            // A recording has no pulse before its hold.
            ramp.hold_from = ramp.last().map(|p| (p.second, p.total, p.total_errors));
        }
        self.note(at, format!("{} at {users} users", words::phase(phase)));
    }

    fn pulse(&mut self, pulse: &LoadPulse) {
        let Some(ramp) = self.ramp.as_mut().filter(|r| !r.ended) else { return };
        if ramp.last().is_some_and(|last| last.second >= pulse.second) {
            return;
        }
        // The phase event may have been read a moment later than the first pulse of the hold.
        if pulse.phase == RampPhase::Hold && ramp.hold_from.is_none() {
            let before = pulse.second.saturating_sub(1);
            let counted = ramp.last().map_or((before, 0, 0), |p| (p.second, p.total, p.total_errors));
            ramp.hold_from = Some(counted);
        }
        ramp.phase = pulse.phase;
        ramp.pulses.push(pulse.clone());
    }

    fn log_answer(&mut self, event: &Event) {
        let line = match &event.kind {
            EventKind::CheckFinished { evidence } if !matches!(evidence.outcome, CheckOutcome::Pass) => {
                format!("{} {}: {}", evidence.check, evidence.outcome.word(), evidence.outcome.seen())
            }
            EventKind::CheckFinished { evidence } => format!("{} pass", evidence.check),
            EventKind::RampFinished { verdict, .. } => {
                format!("ramp {}: {}", words::ramp_outcome(verdict.outcome), verdict.sentence)
            }
            EventKind::RampFailed { why, .. } => format!("no ramp: {why}"),
            _ => return,
        };
        self.note(event.at, words::tame(&line));
    }

    /// Whether anything was ever said about this step's ramp.
    pub(super) fn has_verdict(&self, step: StepId) -> bool {
        self.judged.contains_key(&step) || self.broken.contains_key(&step) || self.progress.steps.contains_key(&step)
    }
}
