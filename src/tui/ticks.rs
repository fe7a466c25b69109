//! What a person has ticked off in the playbooks: notes of their own, which prove nothing. No IO.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::ids::StepId;

/// Things done, by step, in the playbook's words.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticks(BTreeMap<StepId, BTreeSet<String>>);

impl Ticks {
    /// True when it is ticked.
    pub(super) fn has(&self, step: StepId, task: &str) -> bool {
        self.0.get(&step).is_some_and(|done| done.contains(task))
    }

    /// Ticks it, or takes its tick back. True when it is ticked now.
    pub(super) fn turn(&mut self, step: StepId, task: &str) -> bool {
        let done = self.0.entry(step).or_default();
        !done.remove(task) && done.insert(task.to_owned())
    }
}
