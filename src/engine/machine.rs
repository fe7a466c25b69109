//! What next? A pure machine: an instant and an input go in, events to record and effects to carry out come out.
//!
//! No clock, no await, no IO. Every question it asks carries a [`TaskId`]; an answer that carries another one is late
//! or foreign and changes nothing. It turns a step `proven` in exactly one place, `Machine::settle`.

mod earlier;
mod io;
mod settle;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::check::Evidence;
use crate::domain::command::{Command, Ruling, Waiver};
use crate::domain::diagnosis::diagnose;
use crate::domain::event::{Event, EventKind, SCHEMA};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::{RunId, StepId, TaskId};
use crate::domain::measurement::{FarSide, Measurement, RampFacts, RampRecord};
use crate::domain::progress::{Progress, Standing, StepState};
use crate::domain::ramp::{Claim, RampPlan};
use crate::domain::step::{CheckLine, Step};
use crate::domain::verdict::judge_looked;

pub use io::{Effect, Input, Prepared};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Verify,
    Run,
    Ramp,
}

#[derive(Debug)]
struct Job {
    wish: Wish,
    step: StepId,
    began: Timestamp,
    stopping: bool,
    waiting: VecDeque<CheckLine>,
    /// Checks that have not answered yet.
    asked: Vec<(TaskId, CheckLine)>,
    /// The ramp under way.
    driving: Option<TaskId>,
    evidence: Vec<Evidence>,
    ramp: Option<Arc<RampFacts>>,
    failed: Option<String>,
}

/// The decider.
#[derive(Debug)]
pub struct Machine {
    run: RunId,
    seq: u64,
    tasks: u64,
    steps: Vec<Prepared>,
    progress: Progress,
    /// Measured ramps, the newest last; they say whether this one is slower, and open nothing here.
    history: Vec<RampRecord>,
    job: Option<Job>,
}

impl Machine {
    /// A machine over the ten prepared steps, going on from known progress.
    #[must_use]
    pub fn new(run: RunId, steps: Vec<Prepared>, progress: Progress, history: Vec<RampRecord>) -> Self {
        Self { run, seq: 0, tasks: 0, steps, progress, history, job: None }
    }

    /// Goes on with steps prepared anew, after settings or playbooks changed. A job under way keeps its own.
    pub fn prepare(&mut self, steps: Vec<Prepared>) {
        if self.job.is_none() {
            self.steps = steps;
        }
    }

    /// Goes on from progress in which somebody else's decisions are folded, too.
    pub fn adopt(&mut self, progress: Progress) {
        self.progress = progress;
        self.history = self.progress.compared(&self.history);
    }

    /// The fold of all events so far, on top of what the run began with.
    #[must_use]
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What a ramp of each step would drive and could show.
    #[must_use]
    pub fn plans(&self) -> BTreeMap<StepId, (RampPlan, Claim)> {
        self.steps.iter().map(|s| (s.step.id, (s.plan.clone(), s.claim.clone()))).collect()
    }

    /// True while a job is under way.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.job.is_some()
    }

    /// The state of every step on this day.
    #[must_use]
    pub fn states(&self, now: Timestamp) -> Vec<(StepId, StepState)> {
        StepId::all().map(|step| (step, self.state(step, now))).collect()
    }

    /// The state of one step on this day.
    #[must_use]
    pub fn state(&self, step: StepId, now: Timestamp) -> StepState {
        if self.job.as_ref().is_some_and(|job| job.step == step) {
            return StepState::Running;
        }
        self.settled_state(step, now)
    }

    fn settled_state(&self, step: StepId, now: Timestamp) -> StepState {
        self.progress.state(step, &|step| self.prepared(step).contract.clone(), day(now))
    }

    fn standing(&self, step: StepId, now: Timestamp) -> Standing {
        let since = self.progress.steps.get(&step).map(|record| record.at);
        Standing { step, state: self.settled_state(step, now), since }
    }

    fn prepared(&self, step: StepId) -> &Prepared {
        &self.steps[step.index()]
    }

    /// Opens the run's log.
    pub fn begin(&mut self, now: Timestamp, fingerprint: Fingerprint, site: String, target: String) -> Vec<Effect> {
        let quick = self.steps.iter().any(|s| s.plan.quick);
        vec![self.record(now, EventKind::RunStarted { fingerprint, site, target, quick })]
    }

    /// Takes one input.
    pub fn on(&mut self, now: Timestamp, input: Input) -> Vec<Effect> {
        match input {
            Input::Command(command) => self.command(now, command),
            Input::Checked(evidence) => self.checked(now, *evidence),
            Input::Phase(task, phase, users) => self.of_ramp(task).map_or_else(Vec::new, |step| {
                vec![self.record(now, EventKind::RampPhase { task, step, phase, users })]
            }),
            Input::Pulse(task, pulse) => {
                self.of_ramp(task).map_or_else(Vec::new, |_| vec![self.record(now, EventKind::Pulse { pulse })])
            }
            Input::Sample(task, sample) => {
                self.of_ramp(task).map_or_else(Vec::new, |_| vec![self.record(now, EventKind::Sample { sample })])
            }
            Input::Ramped(task, seen) => self.ramped(now, task, seen.0, seen.1),
            Input::RampFailed { task, unsafe_target, why } => self.ramp_failed(now, task, unsafe_target, why),
            Input::Note(text) => vec![self.record(now, EventKind::Note { text })],
            Input::Finish(exit) => vec![self.record(now, EventKind::RunFinished { exit })],
        }
    }

    fn command(&mut self, now: Timestamp, command: Command) -> Vec<Effect> {
        match command {
            Command::Verify(step) => self.start(now, Wish::Verify, step),
            Command::Run(step) => self.start(now, Wish::Run, step),
            Command::Ramp(step) => self.start(now, Wish::Ramp, step),
            Command::Waive(waiver) => {
                let kind = waived(waiver, day(now));
                self.decided(now, kind)
            }
            Command::Invalidate(ruling) => {
                let kind = self.signed(ruling).map(|ruling| EventKind::Invalidated { ruling });
                self.decided(now, kind)
            }
            Command::PinBaseline(ruling) => {
                let kind = self.signed(ruling).map(|ruling| EventKind::BaselinePinned { ruling });
                self.decided(now, kind)
            }
            Command::UnpinBaseline(ruling) => {
                let kind = self.signed(ruling).map(|ruling| EventKind::BaselineUnpinned { ruling });
                self.decided(now, kind)
            }
            Command::Note(text) => vec![self.record(now, EventKind::Note { text })],
            Command::Stop | Command::Quit => match &mut self.job {
                Some(job) if !job.stopping => {
                    job.stopping = true;
                    job.waiting.clear();
                    vec![Effect::Cancel]
                }
                Some(_) => vec![Effect::Cancel],
                None => Vec::new(),
            },
        }
    }

    /// Records what a person decided, or why it cannot be.
    fn decided(&mut self, now: Timestamp, kind: Result<EventKind, String>) -> Vec<Effect> {
        let mut effects = vec![self.record(now, kind.unwrap_or_else(|text| EventKind::Note { text }))];
        self.history = self.progress.compared(&self.history);
        if self.job.is_none() {
            effects.push(Effect::Idle);
        }
        effects
    }

    /// The ruling, when somebody answers for it and its run is over.
    fn signed(&self, ruling: Ruling) -> Result<Ruling, String> {
        if ruling.run == self.run {
            return Err(format!("run {} is not over yet; stop it first", ruling.run));
        }
        signed(&ruling.reason, &ruling.owner)?;
        Ok(ruling)
    }

    fn start(&mut self, now: Timestamp, wish: Wish, step: StepId) -> Vec<Effect> {
        if let Some(job) = &self.job {
            let text = format!("step {} is still running; stop it first", job.step);
            return vec![self.record(now, EventKind::Note { text })];
        }
        if wish != Wish::Verify && self.settled_state(step, now) == StepState::Locked {
            let text = self.why_locked(step, now);
            return vec![self.record(now, EventKind::Note { text }), Effect::Idle];
        }
        if wish == Wish::Run && self.proven_in_full(step, now) {
            return vec![self.record(now, EventKind::Note { text: in_full(step) }), Effect::Idle];
        }
        let prepared = self.prepared(step);
        let contract = prepared.contract.clone();
        let waiting = match wish {
            Wish::Ramp => VecDeque::new(),
            _ => prepared.lines(false),
        };
        self.job = Some(Job {
            wish,
            step,
            began: now,
            stopping: false,
            waiting,
            asked: Vec::new(),
            driving: None,
            evidence: Vec::new(),
            ramp: None,
            failed: None,
        });
        let mut effects = vec![self.record(now, EventKind::StepStarted { step, contract })];
        effects.extend(self.go_on(now));
        effects
    }

    fn why_locked(&self, step: StepId, now: Timestamp) -> String {
        let blocking = StepId::all().find(|s| *s < step && !self.settled_state(*s, now).is_done());
        match blocking {
            Some(first) => {
                let below = match step.number() - 1 {
                    1 => "step 1 is".to_owned(),
                    last => format!("steps 1 to {last} are"),
                };
                let state = self.settled_state(first, now).word();
                format!("step {step} is locked: step {first} is {state}; it opens when {below} proven or waived")
            }
            None => format!("step {step} is locked"),
        }
    }

    /// Asks the next questions of the job, drives its ramp, or settles it.
    fn go_on(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = self.ask(now);
        let Some(job) = self.job.as_ref().filter(|job| job.asked.is_empty()) else { return effects };
        let step = job.step;
        let drive = !job.stopping
            && job.ramp.is_none()
            && job.failed.is_none()
            && match job.wish {
                Wish::Verify => false,
                Wish::Ramp => true,
                Wish::Run => self.held_by(now).is_empty(),
            };
        if !drive {
            effects.extend(self.settle(now));
            return effects;
        }
        let task = self.task();
        if let Some(job) = &mut self.job {
            job.driving = Some(task);
        }
        let Prepared { plan, slo, claim, step: Step { gate, .. }, .. } = self.prepared(step).clone();
        let started = EventKind::RampStarted { task, step, plan: plan.clone(), slo: slo.clone(), claim };
        effects.extend([self.record(now, started), Effect::Drive { task, step, plan, slo, endpoints: gate.endpoints }]);
        effects
    }

    /// Asks side by side whatever may be; one that must be alone waits for the others, and they for it.
    fn ask(&mut self, now: Timestamp) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(job) = &self.job
            && let Some(line) = job.waiting.front().cloned()
        {
            let alone = |line: &CheckLine| self.prepared(job.step).alone.contains(&line.check);
            if !job.asked.is_empty() && (alone(&line) || job.asked.iter().any(|(_, asked)| alone(asked))) {
                break;
            }
            let (step, ramp, task) = (job.step, job.ramp.clone(), self.task());
            if let Some(job) = &mut self.job {
                job.waiting.pop_front();
                job.asked.push((task, line.clone()));
            }
            effects.push(self.record(now, EventKind::CheckStarted { task, step, check: line.check.clone() }));
            let before = StepId::all().filter(|before| *before < step).map(|step| self.standing(step, now)).collect();
            effects.push(Effect::Gather { task, step, line, ramp, before });
        }
        effects
    }

    fn task(&mut self) -> TaskId {
        let task = TaskId(self.tasks);
        self.tasks += 1;
        task
    }

    fn checked(&mut self, now: Timestamp, evidence: Evidence) -> Vec<Effect> {
        let Some(job) = self.job.as_mut().filter(|job| job.step == evidence.step) else { return Vec::new() };
        let asked = job.asked.iter().position(|(task, line)| (*task, &line.check) == (evidence.task, &evidence.check));
        let Some(place) = asked else { return Vec::new() };
        let (_, line) = job.asked.remove(place);
        let again = self.job.as_ref().is_some_and(|job| self.worth_asking_again(job, &line, &evidence.outcome, now));
        if let Some(job) = &mut self.job {
            job.evidence.retain(|e| e.check != evidence.check);
            job.evidence.push(evidence.clone());
            if again {
                job.waiting.push_front(line);
            }
        }
        let mut effects = vec![self.record(now, EventKind::CheckFinished { evidence })];
        effects.extend(self.go_on(now));
        effects
    }

    /// The step whose ramp carries this task and is under way.
    fn of_ramp(&self, task: TaskId) -> Option<StepId> {
        let job = self.job.as_ref()?;
        (job.driving == Some(task) && job.ramp.is_none() && job.failed.is_none()).then_some(job.step)
    }

    fn ramped(&mut self, now: Timestamp, task: TaskId, measurement: Measurement, far_side: FarSide) -> Vec<Effect> {
        let Some(step) = self.of_ramp(task) else { return Vec::new() };
        let prepared = self.prepared(step).clone();
        let endpoints = &prepared.step.gate.endpoints;
        let verdict = judge_looked(&measurement, &prepared.plan, &prepared.slo, endpoints);
        let mut facts = RampFacts {
            step,
            flows: prepared.contract.flows.clone(),
            target: prepared.contract.target.clone(),
            plan: prepared.plan.clone(),
            measurement: measurement.clone(),
            far_side: far_side.clone(),
            verdict,
        };
        let record = facts.record(self.run.clone(), now);
        facts.verdict.diagnosis = diagnose(&facts, prepared.slo.p95_ms, prepared.web, &record, &self.history);
        self.history.push(record);
        let verdict = facts.verdict.clone();
        let after = prepared.lines(true);
        if let Some(job) = &mut self.job {
            job.ramp = Some(Arc::new(facts));
            if job.wish == Wish::Run && !job.stopping {
                job.waiting = after;
            }
        }
        let (measurement, far_side) = (Box::new(measurement), Box::new(far_side));
        let mut effects =
            vec![self.record(now, EventKind::RampFinished { task, step, measurement, far_side, verdict })];
        effects.extend(self.go_on(now));
        effects
    }

    fn ramp_failed(&mut self, now: Timestamp, task: TaskId, unsafe_target: bool, why: String) -> Vec<Effect> {
        let Some(step) = self.of_ramp(task) else { return Vec::new() };
        if let Some(job) = &mut self.job {
            job.failed = Some(why.clone());
        }
        let mut effects = vec![self.record(now, EventKind::RampFailed { task, step, unsafe_target, why })];
        effects.extend(self.settle(now));
        effects
    }

    fn record(&mut self, at: Timestamp, kind: EventKind) -> Effect {
        let event = Event { v: SCHEMA, seq: self.seq, at, run: self.run.clone(), kind };
        if !event.kind.is_droppable() {
            self.seq += 1;
            self.progress.apply(&event);
        }
        Effect::Record(Box::new(event))
    }
}

/// Why a practice measurement does not judge a step whose full proof stands, and what to do instead.
#[must_use]
pub fn in_full(step: StepId) -> String {
    format!(
        "step {step} is proven in full, and a practice measurement would replace that; `rampup ramp {step} --quick` \
         measures without judging"
    )
}

/// A person's decision has a reason and somebody who answers for it.
fn signed(reason: &str, owner: &str) -> Result<(), String> {
    match reason.trim().is_empty() || owner.trim().is_empty() {
        true => Err("this needs a reason and an owner".to_owned()),
        false => Ok(()),
    }
}

fn waived(waiver: Waiver, today: jiff::civil::Date) -> Result<EventKind, String> {
    signed(&waiver.reason, &waiver.owner)?;
    if waiver.until < today {
        return Err(format!("a waiver that ended on {} waives nothing; name a day to come", waiver.until));
    }
    Ok(EventKind::Waived { waiver })
}

fn day(now: Timestamp) -> jiff::civil::Date {
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
}

#[cfg(test)]
mod tests;
