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
    /// A name from an instant: its second, and the part of it in 65536ths. One machine's runs sort as they began, and
    /// those of two engineers do not collide.
    #[must_use]
    pub fn new(at: jiff::Timestamp) -> Self {
        let part = i64::from(at.subsec_nanosecond()) * 65_536 / 1_000_000_000;
        Self(format!("{}-{part:04x}", at.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// A name that sorts right behind this one.
    #[must_use]
    pub fn behind(&self) -> Self {
        let (name, number) = match self.0.rsplit_once('~') {
            Some((name, number)) => (name, number.parse().unwrap_or(0)),
            None => (self.0.as_str(), 0_u32),
        };
        Self(format!("{name}~{:06}", number.saturating_add(1)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_sort_as_they_began() {
        let of = |at: &str| RunId::new(at.parse().unwrap());
        let names =
            ["2026-11-27T12:00:00Z", "2026-11-27T12:00:00.0001Z", "2026-11-27T12:00:00.99999Z", "2026-11-27T12:00:01Z"];
        assert!(names.map(of).is_sorted_by(|one, other| one < other));
        assert_eq!(of(names[0]).as_str(), "20261127T120000Z-0000");
        let third = of(names[0]).behind().behind().behind();
        assert_eq!(third.as_str(), "20261127T120000Z-0000~000003");
        assert!(of(names[0]).behind().behind() < third && third < of(names[1]));
        assert!(of(names[0]) < of(names[0]).behind() && of(names[0]).behind() < of(names[1]));
    }
}
