//! What the machine is told and what it asks for: the prepared steps, its inputs and its effects.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::domain::check::Evidence;
use crate::domain::command::Command;
use crate::domain::event::Event;
use crate::domain::fingerprint::Contract;
use crate::domain::ids::{CheckId, StepId, TaskId};
use crate::domain::measurement::{FarSide, Measurement, RampFacts};
use crate::domain::progress::Standing;
use crate::domain::ramp::{Claim, LoadPulse, RampPhase, RampPlan, ServerSample};
use crate::domain::site::Web;
use crate::domain::slo::Slo;
use crate::domain::step::{CheckLine, Step};

/// A step with everything decided that does not depend on what happens.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The step as its playbook says.
    pub step: Step,
    /// The checks of it that look at what a ramp saw; the others look before.
    pub after: BTreeSet<CheckId>,
    /// The checks of it that no other may disturb.
    pub alone: BTreeSet<CheckId>,
    /// What a proof of it rests on.
    pub contract: Contract,
    /// The promise in force.
    pub slo: Slo,
    /// The ramp.
    pub plan: RampPlan,
    /// What a clean hold of it can show.
    pub claim: Claim,
    /// What the owner says of the web processes; for the diagnosis alone.
    pub web: Option<Web>,
}

impl Prepared {
    /// The checks that look after a ramp, or before it; those that must be alone come last.
    pub(super) fn lines(&self, after: bool) -> VecDeque<CheckLine> {
        let mut lines: Vec<CheckLine> =
            self.step.checks.iter().filter(|line| self.after.contains(&line.check) == after).cloned().collect();
        lines.sort_by_key(|line| self.alone.contains(&line.check));
        lines.into()
    }
}

/// Something that reached the machine.
#[derive(Debug)]
pub enum Input {
    /// A face wants something.
    Command(Command),
    /// A check answered.
    Checked(Box<Evidence>),
    /// The ramp went into another phase.
    Phase(TaskId, RampPhase, u32),
    /// One second of load.
    Pulse(TaskId, LoadPulse),
    /// One second of the systems behind the app.
    Sample(TaskId, ServerSample),
    /// The ramp ended.
    Ramped(TaskId, Box<(Measurement, FarSide)>),
    /// The ramp could not be driven.
    RampFailed {
        /// The ramp.
        task: TaskId,
        /// A matter of safety.
        unsafe_target: bool,
        /// What happened, then what to do.
        why: String,
    },
    /// Somebody outside has one line to add to the log.
    Note(String),
    /// The run ends with this exit code.
    Finish(u8),
}

/// What to do now.
#[derive(Debug)]
pub enum Effect {
    /// Write the event, then show it.
    Record(Box<Event>),
    /// Ask a check.
    Gather {
        /// Carry this back.
        task: TaskId,
        /// For this step.
        step: StepId,
        /// Which check, with its parameters.
        line: CheckLine,
        /// What the ramp saw, for checks that look after it.
        ramp: Option<Arc<RampFacts>>,
        /// How the steps before it stand.
        before: Vec<Standing>,
    },
    /// Drive a ramp.
    Drive {
        /// Carry this back.
        task: TaskId,
        /// For this step.
        step: StepId,
        /// What to drive.
        plan: RampPlan,
        /// The promise, for the breakers and the looks.
        slo: Slo,
        /// Endpoints that must meet it on their own.
        endpoints: Vec<String>,
    },
    /// Cut whatever is being asked or driven; answers may still come.
    Cancel,
    /// Nothing is going on any more: the next command may come.
    Idle,
}
