//! What a ramp's statements cost, and which ramps can be compared. Judges nothing.

use serde::{Deserialize, Serialize};

use crate::domain::ids::StepId;
use crate::domain::measurement::{RampFacts, RampRecord, Statement};
use crate::domain::verdict::RampOutcome;

/// A ramp and its statements.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Load {
    pub(super) run: String,
    pub(super) step: u8,
    pub(super) users: u32,
    pub(super) requests: u64,
    /// How long the hold was, where it is known.
    #[serde(default)]
    pub(super) seconds: Option<f64>,
    pub(super) statements: Vec<Statement>,
}

/// What a statement cost.
pub(super) struct Cost {
    /// ms a call.
    pub(super) mean: f64,
    /// ms a request of the ramp.
    pub(super) per_request: f64,
}

/// What this statement cost in this ramp.
pub(super) fn cost(statement: &Statement, load: &Load) -> Cost {
    Cost {
        mean: statement.total_ms / statement.calls.max(1) as f64,
        per_request: statement.total_ms / load.requests.max(1) as f64,
    }
}

/// A ramp as it was recorded.
pub(super) fn load(record: &RampRecord) -> Load {
    Load {
        run: record.run.to_string(),
        step: record.step.number(),
        users: record.users,
        requests: record.requests,
        seconds: None,
        statements: record.statements.clone(),
    }
}

/// Whether a ramp since this step can be compared with, or why not.
pub(super) fn comparable(record: &RampRecord, now: &RampFacts, since: u8) -> Result<(), &'static str> {
    if record.step > now.step || StepId::new(since).is_ok_and(|since| record.step < since) {
        return Err("a step before the load tests, or after this one");
    }
    if record.flows != now.flows {
        return Err("other flows");
    }
    if record.target != now.target {
        return Err("another target");
    }
    if record.quick != now.plan.quick {
        return Err("a quick and a full measurement");
    }
    if record.users > now.plan.users {
        return Err("more users than now");
    }
    if (record.think, record.model, record.engine) != (now.plan.think, now.plan.model, now.measurement.engine) {
        return Err("other pauses, arrivals or another load engine");
    }
    if !matches!(record.outcome, RampOutcome::Pass | RampOutcome::Fail | RampOutcome::Inconclusive) {
        return Err("not measured to the end");
    }
    if record.statements.is_empty() || record.requests == 0 {
        return Err("no statements were recorded");
    }
    Ok(())
}
