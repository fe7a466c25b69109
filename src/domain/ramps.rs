//! The measured ramps of a run, told by its events.

use std::collections::BTreeMap;

use super::event::{Event, EventKind};
use super::fingerprint::Contract;
use super::ids::StepId;
use super::measurement::RampRecord;
use super::ramp::RampPlan;
use super::verdict::Verdict;

/// The measured ramps of one run, gathered event by event.
#[derive(Debug, Clone, Default)]
pub struct Ramps {
    /// What each step's ramp is about.
    contracts: BTreeMap<StepId, Contract>,
    /// What the step's latest ramp was to drive.
    plans: BTreeMap<StepId, RampPlan>,
}

impl Ramps {
    /// Takes one event; gives the ramp that it completes, if it does.
    ///
    /// A ramp whose start or contract was not seen is left out: nobody could say what it was comparable with.
    pub fn see(&mut self, event: &Event) -> Option<RampRecord> {
        match &event.kind {
            EventKind::StepStarted { step, contract } => {
                self.contracts.insert(*step, contract.clone());
                None
            }
            EventKind::RampStarted { step, plan, .. } => {
                self.plans.insert(*step, plan.clone());
                None
            }
            EventKind::RampFinished { step, measurement, far_side, verdict, .. } => {
                let plan = self.plans.remove(step)?;
                let contract = self.contracts.get(step)?.clone();
                Some(RampRecord {
                    run: event.run.clone(),
                    step: *step,
                    users: measurement.users,
                    flows: contract.flows,
                    target: contract.target,
                    at: event.at,
                    quick: plan.quick,
                    outcome: verdict.outcome,
                    p95_ms: bounds(verdict, "p95"),
                    error_percent: bounds(verdict, "errors"),
                    requests: measurement.requests,
                    statements: far_side.statements.clone(),
                    think: plan.think,
                    model: plan.model,
                    engine: measurement.engine,
                    pinned: false,
                })
            }
            _ => None,
        }
    }
}

/// Value, lower and upper bound of an objective; none when one of them could not be had.
fn bounds(verdict: &Verdict, name: &str) -> Option<[f64; 3]> {
    let objective = verdict.objectives.iter().find(|objective| objective.name == name)?;
    Some([objective.value?, objective.low?, objective.high?])
}
