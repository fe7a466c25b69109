//! Past ramps out of the run logs, for checks that compare this ramp with earlier ones.

use std::collections::BTreeMap;
use std::path::Path;

use crate::domain::event::{Event, EventKind};
use crate::domain::fingerprint::Contract;
use crate::domain::ids::StepId;
use crate::domain::measurement::RampRecord;
use crate::domain::ramp::RampPlan;
use crate::domain::verdict::Verdict;

use super::{StoreError, log};

/// The measured ramps of one run, gathered event by event.
#[derive(Debug, Default)]
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

/// All ramps in a folder of logs, the newest last, and a line for every log that could not be used.
///
/// A damaged old log costs its own ramps: with fewer of them to compare, checks say less, never more.
///
/// # Errors
/// When the folder itself cannot be read.
pub fn gather(folder: &Path) -> Result<(Vec<RampRecord>, Vec<String>), StoreError> {
    let (mut records, mut notes) = (Vec::new(), Vec::new());
    for (_, path) in log::list(folder)? {
        match of_log(&path) {
            Ok(found) => records.extend(found),
            Err(error) => notes.push(format!("its ramps are not compared with: {error}")),
        }
    }
    records.sort_by(|a, b| (a.at, &a.run).cmp(&(b.at, &b.run)));
    Ok((records, notes))
}

fn of_log(path: &Path) -> Result<Vec<RampRecord>, StoreError> {
    let mut ramps = Ramps::default();
    Ok(log::read(path, 0)?.iter().filter_map(|event| ramps.see(event)).collect())
}
