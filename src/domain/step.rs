//! A step of the climb: what to read, what is checked, what load opens the gate. Steps are data; playbooks are their files.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::flow::Think;
use super::ids::{CheckId, StepId};
use super::slo::Slo;
use super::units::words;

/// One of the ten steps, read from its playbook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its number.
    pub id: StepId,
    /// One line, imperative: "Serve static files from S3 through Cloudflare".
    pub title: String,
    /// A few words for a narrow rail: "static + edge".
    pub short: String,
    /// The prose, markdown, with the headings Why, Do, Verify and Undo.
    pub guide: String,
    /// The checks, in the order they run.
    pub checks: Vec<CheckLine>,
    /// The load that opens the gate.
    pub gate: Gate,
    /// SHA-256 of the playbook file, hex: a changed playbook makes a proof stale.
    pub digest: String,
}

/// How much a check weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The gate stays shut without it.
    #[default]
    Required,
    /// Shown, never blocking.
    Advised,
}

/// A playbook's line that names a check and its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckLine {
    /// Which check of the catalogue.
    pub check: CheckId,
    /// Required unless said otherwise.
    #[serde(default)]
    pub level: Level,
    /// The check's own parameters; the check itself refuses what it does not know.
    #[serde(flatten)]
    pub parameters: toml::Table,
}

/// The ramp that must meet the SLO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Concurrent users to hold.
    pub users: u32,
    /// The least time to hold them; the plan makes it longer when the claim needs more requests.
    #[serde(with = "words")]
    pub hold: Duration,
    /// Pause between two actions of a user; the flows' own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub think: Option<Think>,
    /// Numbers of users to hold shortly on the way up, ascending, all under `users`: they show where it bends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<u32>,
    /// Numbers of users to hold shortly after a hold that kept the promise, ascending, all over `users`; they decide nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beyond: Vec<u32>,
    /// Stricter limits than the settings', if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// Endpoints (by flow step name) that must meet the p95 limit on their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
}
