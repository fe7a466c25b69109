//! The one stream that everything else is a view of. Events own their data, so a recorded run can be replayed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check::Evidence;
use super::command::{Ruling, Waiver};
use super::fingerprint::{Contract, Fingerprint};
use super::ids::{CheckId, RunId, StepId, TaskId};
use super::measurement::{FarSide, Measurement};
use super::progress::{Excused, StepState};
use super::ramp::{Claim, LoadPulse, RampPhase, RampPlan, ServerSample};
use super::slo::Slo;
use super::verdict::Verdict;

/// Version of the event lines; a reader refuses what is newer.
pub const SCHEMA: u32 = 1;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Schema of this line.
    pub v: u32,
    /// Number within the run, from 0, without gaps among kept events.
    pub seq: u64,
    /// When.
    pub at: jiff::Timestamp,
    /// Which run.
    pub run: RunId,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened. `Pulse` and `Sample` may be dropped; all others are kept in the run log before a face sees them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A run began.
    RunStarted {
        /// What it is about.
        fingerprint: Fingerprint,
        /// Name of the site.
        site: String,
        /// Where the load will go.
        target: String,
        /// True for a practice measurement.
        quick: bool,
    },
    /// A step was taken up.
    StepStarted {
        /// Which.
        step: StepId,
        /// What its proof will rest on.
        contract: Contract,
    },
    /// A check is looking.
    CheckStarted {
        /// The question.
        task: TaskId,
        /// For this step.
        step: StepId,
        /// This check.
        check: CheckId,
    },
    /// A check answered.
    CheckFinished {
        /// The answer.
        evidence: Evidence,
    },
    /// A ramp is about to start.
    RampStarted {
        /// The question.
        task: TaskId,
        /// For this step.
        step: StepId,
        /// What will be driven.
        plan: RampPlan,
        /// The promise in force.
        slo: Slo,
        /// What a clean hold can show.
        claim: Claim,
    },
    /// The ramp went into another phase.
    RampPhase {
        /// The ramp.
        task: TaskId,
        /// For this step.
        step: StepId,
        /// The phase it entered.
        phase: RampPhase,
        /// Users let in.
        users: u32,
    },
    /// One second of load. Droppable.
    Pulse {
        /// The figures.
        pulse: LoadPulse,
    },
    /// One second of the systems behind the app. Droppable.
    Sample {
        /// The figures.
        sample: ServerSample,
    },
    /// A ramp ended and was judged.
    RampFinished {
        /// The ramp.
        task: TaskId,
        /// For this step.
        step: StepId,
        /// What was measured.
        measurement: Box<Measurement>,
        /// What the other systems did meanwhile.
        far_side: Box<FarSide>,
        /// What it means.
        verdict: Verdict,
    },
    /// A ramp could not start or broke off without a measurement.
    RampFailed {
        /// The ramp.
        task: TaskId,
        /// For this step.
        step: StepId,
        /// Whether this was a safety matter (exit code 5).
        unsafe_target: bool,
        /// What happened, then what to do.
        why: String,
    },
    /// A step was judged.
    StepJudged {
        /// Which.
        step: StepId,
        /// Proven, held or regressed.
        state: StepState,
        /// The sentence a person reads.
        sentence: String,
        /// The contract it was judged under.
        contract: Contract,
        /// Users held, when a ramp ran.
        users: Option<u32>,
        /// p95 with its one-sided bounds (value, low, high), ms.
        p95_ms: Option<[f64; 3]>,
        /// Share of failed requests with its bounds, percent.
        error_percent: Option<[f64; 3]>,
        /// Requests of the hold.
        requests: u64,
        /// Seconds from the step's start to its verdict.
        seconds: f64,
        /// Required checks that did not open, as "id: what was seen".
        held_by: Vec<String>,
        /// Required checks that did not open and were excused by a signature.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        waived: Vec<Excused>,
    },
    /// Somebody signed for a debt.
    Waived {
        /// The debt.
        waiver: Waiver,
    },
    /// Somebody let a run count no more: what it proved is stale, and no ramp is compared with its own.
    Invalidated {
        /// Which, and why.
        ruling: Ruling,
    },
    /// Somebody named the run that ramps are compared with.
    BaselinePinned {
        /// Which, and why.
        ruling: Ruling,
    },
    /// Somebody let that run go: ramps are compared with the last comparable ones.
    BaselineUnpinned {
        /// Which, and why.
        ruling: Ruling,
    },
    /// Something worth a line: a fix applied in the practice stack, a command refused and why.
    Note {
        /// One line.
        text: String,
    },
    /// The run ended in order.
    RunFinished {
        /// The exit code it ends with.
        exit: u8,
    },
}

impl EventKind {
    /// True for events that change progress.
    #[must_use]
    pub fn decides(&self) -> bool {
        use EventKind::{BaselinePinned, BaselineUnpinned, Invalidated, StepJudged, Waived};
        matches!(
            self,
            StepJudged { .. } | Waived { .. } | Invalidated { .. } | BaselinePinned { .. } | BaselineUnpinned { .. }
        )
    }

    /// True for events that a slow reader may miss.
    #[must_use]
    pub fn is_droppable(&self) -> bool {
        matches!(self, Self::Pulse { .. } | Self::Sample { .. })
    }
}

/// What a face is fed: events that are already on disk, and what follows from them.
#[derive(Debug, Clone, PartialEq)]
pub enum Feed {
    /// Something happened.
    Event(Box<Event>),
    /// The state of every step, after something that may have changed one.
    States(Vec<(StepId, StepState)>),
    /// Whether a job is under way; when none is, the next command may come.
    Busy(bool),
}
