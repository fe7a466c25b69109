//! What a check says and how it knows.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{CheckId, StepId, TaskId};
use super::step::Level;

/// The answer of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", tag = "outcome", content = "because")]
pub enum CheckOutcome {
    /// Shown by an effect or a counter on the running system.
    Pass,
    /// Shown not to be so.
    Fail(Vec<Finding>),
    /// Only a setting or old evidence says so. Unlocks nothing.
    Weak(Vec<Finding>),
    /// Could not be measured. Unlocks nothing.
    Unknown(Missing),
    /// Does not apply here, with the reason ("Huey, not Celery").
    NotApplicable(String),
}

impl CheckOutcome {
    /// A failure with one finding.
    #[must_use]
    pub fn fail(seen: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::Fail(vec![Finding { seen: seen.into(), todo: todo.into() }])
    }

    /// A weak answer with one finding.
    #[must_use]
    pub fn weak(seen: impl Into<String>, todo: impl Into<String>) -> Self {
        Self::Weak(vec![Finding { seen: seen.into(), todo: todo.into() }])
    }

    /// True when a required check lets the gate open: `pass`, or `n/a` with its reason.
    #[must_use]
    pub fn opens(&self) -> bool {
        matches!(self, Self::Pass | Self::NotApplicable(_))
    }

    /// The word that code, screens and reports use.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "fail",
            Self::Weak(_) => "weak",
            Self::Unknown(_) => "unknown",
            Self::NotApplicable(_) => "n/a",
        }
    }

    /// What was seen, in one line; empty for a pass.
    #[must_use]
    pub fn seen(&self) -> String {
        match self {
            Self::Pass => String::new(),
            Self::Fail(findings) | Self::Weak(findings) => {
                findings.iter().map(|f| f.seen.as_str()).collect::<Vec<_>>().join("; ")
            }
            Self::Unknown(missing) => missing.what.clone(),
            Self::NotApplicable(why) => why.clone(),
        }
    }

    /// What was seen or is missing, each with what to do about it; nothing where nothing is to be done.
    #[must_use]
    pub fn said(&self) -> Vec<(&str, &str)> {
        match self {
            Self::Fail(findings) | Self::Weak(findings) => findings.iter().map(|f| (&*f.seen, &*f.todo)).collect(),
            Self::Unknown(missing) => vec![(&missing.what, &missing.provide)],
            Self::Pass | Self::NotApplicable(_) => Vec::new(),
        }
    }
}

/// What was seen, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// With numbers: "p95 of /checkout/ is 431 ms".
    pub seen: String,
    /// For a beginner, with the user's own names.
    pub todo: String,
}

/// Something a check needed and did not get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// What could not be measured, and why: "PgBouncer's console did not answer: connection refused".
    pub what: String,
    /// The exact thing to provide: "set PGBOUNCER_URL and name it in [services] pooler_console_env".
    pub provide: String,
}

impl Missing {
    /// Both halves at once.
    #[must_use]
    pub fn new(what: impl Into<String>, provide: impl Into<String>) -> Self {
        Self { what: what.into(), provide: provide.into() }
    }
}

/// How strongly something is known, best first (`verifications.md`, the evidence ladder).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rung {
    /// An effect we caused and saw at the far side under our own id.
    Caused,
    /// A counter that moved by the amount we caused.
    Counted,
    /// Live traffic, watched.
    Observed,
    /// A provider's API says so. Weak.
    Api,
    /// The repository says so. Weak.
    Repo,
}

impl Rung {
    /// The same in words, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Caused => "caused: an effect we made, seen at the far side",
            Self::Counted => "counted: a counter moved by what we caused",
            Self::Observed => "observed: live traffic, watched",
            Self::Api => "api: a provider says so, which is weak",
            Self::Repo => "repo: the repository says so, which is weak",
        }
    }
}

/// When a check looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before any load; a failure here saves the ramp.
    Before,
    /// After the ramp, at what the ramp and its sampler saw.
    After,
}

/// One check's answer with everything needed to judge it again without the systems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The question this answers.
    pub task: TaskId,
    /// The step it was asked for.
    pub step: StepId,
    /// The check.
    pub check: CheckId,
    /// What it shows, in words: "the edge serves static files from its cache".
    pub title: String,
    /// Whether the gate needs it.
    pub level: Level,
    /// Chosen facts, never raw headers or bodies. Null when gathering failed.
    pub facts: serde_json::Value,
    /// The answer.
    pub outcome: CheckOutcome,
    /// How it is known.
    pub how: Rung,
    /// When it was gathered.
    pub at: jiff::Timestamp,
    /// How long it took, ms.
    pub took_ms: u64,
}
