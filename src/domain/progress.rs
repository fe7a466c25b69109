//! How far the climb is: the fold of its events, and nothing else.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Waiver;
use super::event::{Event, EventKind};
use super::fingerprint::Contract;
use super::ids::{RunId, StepId};

/// A step's state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// The step before it is not proven or waived.
    Locked,
    /// May be taken.
    Open,
    /// Is being checked or loaded right now.
    Running,
    /// Checks and ramp passed, under the contract in force.
    Proven,
    /// Measured, and not good enough.
    Held,
    /// Counted as done by somebody's signature.
    Waived,
    /// Was proven, but what the proof rests on changed.
    Stale,
    /// Was proven, and a later run showed it broken.
    Regressed,
}

impl StepState {
    /// The word that code, screens and reports use.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Open => "open",
            Self::Running => "running",
            Self::Proven => "proven",
            Self::Held => "held",
            Self::Waived => "waived",
            Self::Stale => "stale",
            Self::Regressed => "regressed",
        }
    }

    /// True when the next step may be taken.
    #[must_use]
    pub fn unlocks_next(self) -> bool {
        matches!(self, Self::Proven | Self::Waived)
    }
}

/// The last judgement of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// Proven, held or regressed; the others are derived.
    pub state: StepState,
    /// The run that says so; its log holds the evidence.
    pub run: RunId,
    /// When.
    pub at: jiff::Timestamp,
    /// The sentence.
    pub sentence: String,
    /// Users held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u32>,
    /// p95 (value, low, high), ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<[f64; 3]>,
    /// Errors (value, low, high), percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_percent: Option<[f64; 3]>,
    /// Requests of the hold.
    pub requests: u64,
    /// Required checks that did not open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_by: Vec<String>,
    /// What it was judged under.
    pub contract: Contract,
}

/// How a step stands on the day that somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub step: StepId,
    /// Its state.
    pub state: StepState,
    /// When it was last judged.
    pub since: Option<jiff::Timestamp>,
}

/// All that is known about the climb.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Last judgement by step number.
    pub steps: BTreeMap<StepId, StepRecord>,
    /// Signed debts.
    pub waivers: Vec<Waiver>,
}

impl Progress {
    /// The only way progress changes.
    pub fn apply(&mut self, event: &Event) {
        match &event.kind {
            EventKind::StepJudged {
                step,
                state,
                sentence,
                contract,
                users,
                p95_ms,
                error_percent,
                requests,
                held_by,
                ..
            } => {
                let record = StepRecord {
                    state: *state,
                    run: event.run.clone(),
                    at: event.at,
                    sentence: sentence.clone(),
                    users: *users,
                    p95_ms: *p95_ms,
                    error_percent: *error_percent,
                    requests: *requests,
                    held_by: held_by.clone(),
                    contract: contract.clone(),
                };
                self.steps.insert(*step, record);
            }
            EventKind::Waived { waiver } => {
                self.waivers.retain(|w| (w.step, &w.check) != (waiver.step, &waiver.check));
                self.waivers.push(waiver.clone());
                self.waivers.sort_by(|a, b| (a.step, &a.check).cmp(&(b.step, &b.check)));
            }
            _ => {}
        }
    }

    /// The state of one step under the contracts in force today. `Running` is for whoever runs it to say.
    #[must_use]
    pub fn state(&self, step: StepId, contract: &dyn Fn(StepId) -> Contract, today: jiff::civil::Date) -> StepState {
        if self.waiver(step, today).is_some_and(|w| w.check.is_none()) {
            return StepState::Waived;
        }
        match self.steps.get(&step) {
            Some(record) if record.state == StepState::Proven && record.contract != contract(step) => StepState::Stale,
            Some(record) if record.state == StepState::Proven => StepState::Proven,
            Some(record) if record.state == StepState::Regressed => StepState::Regressed,
            found => {
                let reachable = step.previous().is_none_or(|p| self.state(p, contract, today).unlocks_next());
                match (reachable, found) {
                    (false, _) => StepState::Locked,
                    (true, Some(_)) => StepState::Held,
                    (true, None) => StepState::Open,
                }
            }
        }
    }

    /// The whole step's waiver, if it still counts today.
    #[must_use]
    pub fn waiver(&self, step: StepId, today: jiff::civil::Date) -> Option<&Waiver> {
        self.waivers.iter().find(|w| w.step == step && w.check.is_none() && w.until >= today)
    }

    /// True when this check of this step is waived today.
    #[must_use]
    pub fn check_waived(&self, step: StepId, check: &super::ids::CheckId, today: jiff::civil::Date) -> bool {
        self.waivers.iter().any(|w| w.step == step && w.check.as_ref() == Some(check) && w.until >= today)
    }
}
