//! What a face may ask for. Commands go down, events come up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{CheckId, RunId, StepId};

/// One wish of a person or a script.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Run a step's checks that need no load.
    Verify(StepId),
    /// Run a step whole: checks, ramp, checks of what the ramp saw, verdict.
    Run(StepId),
    /// Drive a step's ramp without judging the step (shown, never unlocking).
    Ramp(StepId),
    /// Count a step, or one of its checks, as done although it is not proven.
    Waive(Waiver),
    /// Let a run that is over count no more.
    Invalidate(Ruling),
    /// Compare ramps with those of this run, too.
    PinBaseline(Ruling),
    /// Compare them with the last ones alone again.
    UnpinBaseline(Ruling),
    /// Write a line into the log of the run.
    Note(String),
    /// Stop what is running, keep what was seen.
    Stop,
    /// Stop and leave.
    Quit,
}

/// A debt somebody signed for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Waiver {
    /// The step.
    pub step: StepId,
    /// One check of it, or the whole step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckId>,
    /// Why it is acceptable.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
    /// Last day it counts.
    pub until: jiff::civil::Date,
}

/// What somebody decided about a run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ruling {
    /// The run.
    pub run: RunId,
    /// Why.
    pub reason: String,
    /// Who answers for it.
    pub owner: String,
}

impl Waiver {
    /// Days that are proposed to whoever signs one.
    pub const USUAL_DAYS: i64 = 14;
}
