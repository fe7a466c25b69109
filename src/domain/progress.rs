//! How far the climb is: the fold of its events, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::{Ruling, Waiver};
use super::event::{Event, EventKind};
use super::fingerprint::Contract;
use super::ids::{RunId, StepId};
use super::measurement::RampRecord;

/// A step's state in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Digest of the judgement's line in its run's log, and by that of all lines before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// What it was judged under.
    pub contract: Contract,
}

/// How a step stands on the day that somebody looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// Which.
    pub step: StepId,
    /// Its state.
    pub state: StepState,
    /// When it was last judged.
    pub since: Option<jiff::Timestamp>,
}

/// All that is known about the climb.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Progress {
    /// Last judgement by step number.
    pub steps: BTreeMap<StepId, StepRecord>,
    /// Signed debts.
    pub waivers: Vec<Waiver>,
    /// Runs that count no more.
    pub invalidated: Vec<Ruling>,
    /// The run that ramps are compared with, where somebody named one.
    pub baseline: Option<Ruling>,
}

/// Why a proof counts no more, and what a new one costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Outdated {
    /// What changed, in words.
    pub changed: Vec<&'static str>,
    /// Who let its run count no more, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalidated: Option<Ruling>,
    /// Time of a ramp that is decided at its first look, seconds; the step's checks come on top.
    pub takes_seconds: u64,
}

impl Outdated {
    /// "the flows and the target changed; proving it again takes a ramp of about 8 min".
    #[must_use]
    pub fn sentence(&self) -> String {
        let changed = match (&self.invalidated, self.changed.as_slice()) {
            (Some(Ruling { run, reason, owner }), _) => format!("run {run} counts no more ({owner}: {reason})"),
            (None, []) => "its basis changed".to_owned(),
            (None, [only]) => format!("{only} changed"),
            (None, [first @ .., last]) => format!("{} and {last} changed", first.join(", ")),
        };
        let takes = match self.takes_seconds {
            seconds @ 0..120 => format!("{seconds} s"),
            seconds => format!("{} min", seconds.div_ceil(60)),
        };
        format!("{changed}; proving it again takes a ramp of about {takes}")
    }
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
                    evidence: None,
                    contract: contract.clone(),
                };
                self.steps.insert(*step, record);
            }
            EventKind::Waived { waiver } => {
                self.waivers.retain(|w| (w.step, &w.check) != (waiver.step, &waiver.check));
                self.waivers.push(waiver.clone());
                self.waivers.sort_by(|a, b| (a.step, &a.check).cmp(&(b.step, &b.check)));
            }
            EventKind::Invalidated { ruling } => {
                self.invalidated.retain(|known| known.run != ruling.run);
                self.invalidated.push(ruling.clone());
                self.invalidated.sort_by(|a, b| a.run.cmp(&b.run));
            }
            EventKind::BaselinePinned { ruling } => self.baseline = Some(ruling.clone()),
            EventKind::BaselineUnpinned { .. } => self.baseline = None,
            _ => {}
        }
    }

    /// Who let this run count no more, and why.
    #[must_use]
    pub fn invalidated(&self, run: &RunId) -> Option<&Ruling> {
        self.invalidated.iter().find(|ruling| ruling.run == *run)
    }

    /// Of these ramps those whose run counts, each told whether it is the baseline.
    #[must_use]
    pub fn compared(&self, ramps: &[RampRecord]) -> Vec<RampRecord> {
        let counts = ramps.iter().filter(|ramp| self.invalidated(&ramp.run).is_none());
        let pinned = |ramp: &RampRecord| self.baseline.as_ref().is_some_and(|ruling| ruling.run == ramp.run);
        counts.map(|ramp| RampRecord { pinned: pinned(ramp), ..ramp.clone() }).collect()
    }

    /// The state of one step under the contracts in force today. `Running` is for whoever runs it to say.
    #[must_use]
    pub fn state(&self, step: StepId, contract: &dyn Fn(StepId) -> Contract, today: jiff::civil::Date) -> StepState {
        if self.waiver(step, today).is_some_and(|w| w.check.is_none()) {
            return StepState::Waived;
        }
        let counts = |record: &StepRecord| self.invalidated(&record.run).is_none();
        match self.steps.get(&step) {
            Some(record) if record.state != StepState::Held && !counts(record) => StepState::Stale,
            Some(record) if record.state == StepState::Proven && record.contract != contract(step) => StepState::Stale,
            Some(record) if record.state == StepState::Proven => StepState::Proven,
            Some(record) if record.state == StepState::Regressed => StepState::Regressed,
            found => {
                let reachable = step.previous().is_none_or(|p| self.state(p, contract, today).unlocks_next());
                match (reachable, found.filter(|record| counts(record))) {
                    (false, _) => StepState::Locked,
                    (true, Some(_)) => StepState::Held,
                    (true, None) => StepState::Open,
                }
            }
        }
    }

    /// Proofs that rest on something that has changed since; `takes` says how long a step's ramp is.
    #[must_use]
    pub fn outdated(
        &self,
        contract: &dyn Fn(StepId) -> Contract,
        takes: &dyn Fn(StepId) -> Duration,
    ) -> BTreeMap<StepId, Outdated> {
        let mut outdated = BTreeMap::new();
        for (step, record) in self.steps.iter().filter(|(_, record)| record.state != StepState::Held) {
            let invalidated = self.invalidated(&record.run).cloned();
            let changed = match record.state {
                StepState::Proven => record.contract.changes(&contract(*step)),
                _ => Vec::new(),
            };
            if invalidated.is_some() || !changed.is_empty() {
                outdated.insert(*step, Outdated { changed, invalidated, takes_seconds: takes(*step).as_secs() });
            }
        }
        outdated
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

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(flows: &str, target: &str) -> Contract {
        Contract {
            playbook: "p".to_owned(),
            slo: "s".to_owned(),
            flows: flows.to_owned(),
            site: "w".to_owned(),
            target: target.to_owned(),
            quick: false,
        }
    }

    fn record(state: StepState) -> StepRecord {
        StepRecord {
            state,
            at: jiff::Timestamp::UNIX_EPOCH,
            run: RunId::from("r"),
            sentence: String::new(),
            contract: contract("f", "t"),
            users: None,
            p95_ms: None,
            error_percent: None,
            requests: 0,
            held_by: Vec::new(),
            evidence: None,
        }
    }

    #[test]
    fn a_proof_says_what_changed_under_it_and_what_a_new_one_costs() {
        let [first, second] = [1, 2].map(|n| StepId::new(n).unwrap());
        let progress = Progress {
            steps: BTreeMap::from([(first, record(StepState::Proven)), (second, record(StepState::Held))]),
            ..Progress::default()
        };
        let takes = |_| Duration::from_secs(463);
        let said = |now: Contract| {
            let outdated = progress.outdated(&|_| now.clone(), &takes);
            // What was held has nothing to lose.
            assert!(!outdated.contains_key(&second));
            outdated.get(&first).map(Outdated::sentence)
        };
        assert_eq!(said(contract("f", "t")), None);
        let ramp = "changed; proving it again takes a ramp of about 8 min";
        assert_eq!(said(contract("g", "t")), Some(format!("the flows {ramp}")));
        assert_eq!(said(contract("g", "u")), Some(format!("the flows and the target {ramp}")));
    }

    #[test]
    fn a_run_that_counts_no_more_proves_and_holds_nothing() {
        let [first, second] = [1, 2].map(|n| StepId::new(n).unwrap());
        let today = "2026-11-27".parse().unwrap();
        let ruling = Ruling { run: RunId::from("r"), reason: "the wrong commit".into(), owner: "ada".into() };
        for (recorded, before, after) in [
            (StepState::Proven, StepState::Proven, StepState::Stale),
            (StepState::Regressed, StepState::Regressed, StepState::Stale),
            (StepState::Held, StepState::Held, StepState::Open),
        ] {
            let mut progress = Progress { steps: BTreeMap::from([(first, record(recorded))]), ..Progress::default() };
            let state = |progress: &Progress, step| progress.state(step, &|_| contract("f", "t"), today);
            assert_eq!(state(&progress, first), before);
            let kind = EventKind::Invalidated { ruling: ruling.clone() };
            progress.apply(&Event { v: 1, seq: 0, at: jiff::Timestamp::UNIX_EPOCH, run: RunId::from("s"), kind });
            assert_eq!(state(&progress, first), after);
            assert_eq!(state(&progress, second), StepState::Locked);
            let outdated = progress.outdated(&|_| contract("f", "t"), &|_| Duration::from_secs(60));
            let said = outdated.get(&first).map(Outdated::sentence);
            let why = "run r counts no more (ada: the wrong commit); proving it again takes a ramp of about 60 s";
            assert_eq!(said.as_deref(), (recorded != StepState::Held).then_some(why));
        }
    }
}
