//! Names of things: steps, runs, tasks, checks. Small, ordered, printable.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many steps the climb has.
pub const STEPS: u8 = 10;

/// A step of the climb, 1 to 10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "u8", into = "u8")]
#[schemars(with = "u8", extend("minimum" = 1, "maximum" = STEPS))]
pub struct StepId(u8);

/// A number that is not a step.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("there is no step {0}; steps are 1 to {STEPS}")]
pub struct NoSuchStep(pub u8);

impl StepId {
    /// The first step, which is never locked.
    pub const FIRST: StepId = StepId(1);

    /// The last step.
    pub const LAST: StepId = StepId(STEPS);

    /// The step with this number.
    ///
    /// # Errors
    /// When the number is not 1 to 10.
    pub fn new(number: u8) -> Result<Self, NoSuchStep> {
        if (1..=STEPS).contains(&number) { Ok(Self(number)) } else { Err(NoSuchStep(number)) }
    }

    /// The number a person sees.
    #[must_use]
    pub fn number(self) -> u8 {
        self.0
    }

    /// Position in a list of all steps, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0 - 1)
    }

    /// The step before this one; none before the first.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        (self.0 > 1).then(|| Self(self.0 - 1))
    }

    /// The step after this one; none after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        (self.0 < STEPS).then(|| Self(self.0 + 1))
    }

    /// All ten, in order.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (1..=STEPS).map(Self)
    }
}

impl TryFrom<u8> for StepId {
    type Error = NoSuchStep;
    fn try_from(number: u8) -> Result<Self, Self::Error> {
        Self::new(number)
    }
}

impl From<StepId> for u8 {
    fn from(step: StepId) -> u8 {
        step.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One run of the program, sortable by time: `20261123T040102Z-1a2b`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RunId(String);

impl RunId {
    /// A name from an instant and two random bytes, so that two engineers do not collide.
    #[must_use]
    pub fn new(at: jiff::Timestamp, salt: u16) -> Self {
        Self(format!("{}-{salt:04x}", at.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// The name as text, fit for a file name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for RunId {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One question asked by the machine; an answer that carries another task's number is foreign and changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TaskId(pub u64);

/// A check's name, dotted by what it looks at: `pool.in-path`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct CheckId(pub String);

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for CheckId {
    fn from(name: &str) -> Self {
        Self(name.to_owned())
    }
}
