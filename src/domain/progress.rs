//! How far the climb is: the fold of its events, and nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::{Ruling, Waiver};
use super::event::{Event, EventKind};
use super::fingerprint::Contract;
use super::ids::{CheckId, RunId, StepId};
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

    /// True for a step on which nothing is left to do. Whether the next may be taken says [`within_reach`].
    #[must_use]
    pub fn is_done(self) -> bool {
        matches!(self, Self::Proven | Self::Waived)
    }
}

/// True when a step may be taken: the one before it is proven, or it is waived and may be taken itself. One signature for
/// a step is none for those below it.
#[must_use]
pub fn within_reach(step: StepId, state: &dyn Fn(StepId) -> StepState) -> bool {
    step.previous().is_none_or(|below| match state(below) {
        StepState::Proven => true,
        StepState::Waived => within_reach(below, state),
        _ => false,
    })
}

/// A required check that did not open, and that a signature excuses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Excused {
    /// The check.
    pub check: CheckId,
    /// The earlier steps that require it too: what all of them are excused from is not owed again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<StepId>,
    /// True when it failed, which no signature for an earlier step as a whole excuses.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
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
    /// Required checks that did not open and were excused: it stands as long as their signatures count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waived: Vec<Excused>,
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
    /// Checks that it was excused from by a waiver that ended.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lapsed: Vec<CheckId>,
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
        let why = match &self.invalidated {
            Some(Ruling { run, reason, owner }) => format!("run {run} counts no more ({owner}: {reason})"),
            None => {
                let lapsed: Vec<&str> = self.lapsed.iter().map(|check| check.0.as_str()).collect();
                let waivers = if lapsed.len() == 1 { "waiver" } else { "waivers" };
                let changed = listed(&self.changed).map(|what| format!("{what} changed"));
                let ended = listed(&lapsed).map(|checks| format!("the {waivers} of {checks} ended"));
                let all: Vec<String> = [changed, ended].into_iter().flatten().collect();
                if all.is_empty() { "its basis changed".to_owned() } else { all.join(", and ") }
            }
        };
        let takes = match self.takes_seconds {
            seconds @ 0..120 => format!("{seconds} s"),
            seconds => format!("{} min", seconds.div_ceil(60)),
        };
        format!("{why}; proving it again takes a ramp of about {takes}")
    }
}

/// "a, b and c"; none of nothing.
fn listed(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        [only] => Some((*only).to_owned()),
        [first @ .., last] => Some(format!("{} and {last}", first.join(", "))),
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
                waived,
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
                    waived: waived.clone(),
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
            Some(record) if record.state == StepState::Proven => {
                self.proof(step, &contract(step), today).map_or(StepState::Stale, |_| StepState::Proven)
            }
            Some(record) if record.state == StepState::Regressed => StepState::Regressed,
            found => {
                let reachable = within_reach(step, &|below| self.state(below, contract, today));
                match (reachable, found.filter(|record| counts(record))) {
                    (false, _) => StepState::Locked,
                    (true, Some(_)) => StepState::Held,
                    (true, None) => StepState::Open,
                }
            }
        }
    }

    /// The proof of a step, as long as its run counts, nothing that it rests on has changed, and every check that it was
    /// excused from still is.
    #[must_use]
    pub fn proof(&self, step: StepId, contract: &Contract, today: jiff::civil::Date) -> Option<&StepRecord> {
        self.steps.get(&step).filter(|record| {
            record.state == StepState::Proven
                && self.invalidated(&record.run).is_none()
                && record.contract.lost(contract).is_empty()
                && record.waived.iter().all(|excused| self.excuses(step, excused, today))
        })
    }

    /// True when this check of this step is waived today, by its name or with the earlier steps that require it too.
    #[must_use]
    pub fn check_excused(&self, step: StepId, check: &CheckId, today: jiff::civil::Date) -> bool {
        let kept = self.steps.get(&step).into_iter().flat_map(|record| &record.waived);
        self.check_waived(step, check, today)
            || kept.filter(|excused| excused.check == *check).any(|excused| self.excuses(step, excused, today))
    }

    /// The oldest of the proofs of these steps, whether or not they count.
    #[must_use]
    pub fn oldest_proof(&self, steps: impl IntoIterator<Item = StepId>) -> Option<(StepId, &StepRecord)> {
        let known = steps.into_iter().filter_map(|step| Some((step, self.steps.get(&step)?)));
        known.filter(|(_, record)| record.state == StepState::Proven).min_by_key(|(_, record)| record.at)
    }

    /// Proofs that rest on something that has changed since; `takes` says how long a step's ramp is.
    #[must_use]
    pub fn outdated(
        &self,
        contract: &dyn Fn(StepId) -> Contract,
        takes: &dyn Fn(StepId) -> Duration,
        today: jiff::civil::Date,
    ) -> BTreeMap<StepId, Outdated> {
        let mut outdated = BTreeMap::new();
        for (step, record) in self.steps.iter().filter(|(_, record)| record.state != StepState::Held) {
            let invalidated = self.invalidated(&record.run).cloned();
            let (changed, lapsed): (Vec<&'static str>, Vec<CheckId>) = match record.state {
                StepState::Proven => {
                    let lapsed = record.waived.iter().filter(|excused| !self.excuses(*step, excused, today));
                    (record.contract.lost(&contract(*step)), lapsed.map(|excused| excused.check.clone()).collect())
                }
                _ => (Vec::new(), Vec::new()),
            };
            if invalidated.is_some() || !changed.is_empty() || !lapsed.is_empty() {
                let takes_seconds = takes(*step).as_secs();
                outdated.insert(*step, Outdated { changed, lapsed, invalidated, takes_seconds });
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
    pub fn check_waived(&self, step: StepId, check: &CheckId, today: jiff::civil::Date) -> bool {
        self.waivers.iter().any(|w| w.step == step && w.check.as_ref() == Some(check) && w.until >= today)
    }

    /// True when this answer holds nothing up today, by a signature: the check is waived here, or with every earlier step
    /// that requires it too. There, too, a check that is waived by name may fail; one that is only part of a waived step
    /// may be unknown, as the uploads of an app that has none, but what fails fails.
    #[must_use]
    pub fn excuses(&self, step: StepId, excused: &Excused, today: jiff::civil::Date) -> bool {
        let Excused { check, earlier, failed } = excused;
        let by_name = |step: StepId| self.check_waived(step, check, today);
        let with_its_step = |step: StepId| !failed && self.waiver(step, today).is_some();
        by_name(step) || (!earlier.is_empty() && earlier.iter().all(|other| by_name(*other) || with_its_step(*other)))
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
            waived: Vec::new(),
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
            let outdated = progress.outdated(&|_| now.clone(), &takes, jiff::civil::date(2026, 11, 27));
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
            let outdated = progress.outdated(&|_| contract("f", "t"), &|_| Duration::from_secs(60), today);
            let said = outdated.get(&first).map(Outdated::sentence);
            let why = "run r counts no more (ada: the wrong commit); proving it again takes a ramp of about 60 s";
            assert_eq!(said.as_deref(), (recorded != StepState::Held).then_some(why));
        }
    }

    #[test]
    fn a_signature_opens_no_more_than_what_is_done_below_it() {
        use StepState::{Held, Open, Proven, Stale, Waived};
        for (below, wanted) in [
            (&[][..], true),
            (&[Open], false),
            (&[Proven], true),
            (&[Waived], true),
            (&[Waived, Waived], true),
            (&[Open, Waived], false),
            (&[Held, Waived, Waived], false),
            (&[Proven, Waived, Waived], true),
            // What was proven above it stands as long as it stands.
            (&[Stale, Proven], true),
            (&[Stale, Proven, Waived], true),
            (&[Proven, Stale, Waived], false),
        ] {
            let step = StepId::all().nth(below.len()).unwrap();
            assert_eq!(within_reach(step, &|id| below[id.index()]), wanted, "{below:?}");
        }
    }

    #[test]
    fn a_proof_ends_with_the_waivers_that_it_rests_on() {
        let [first, second] = [1, 2].map(|n| StepId::new(n).unwrap());
        let today = jiff::civil::date(2026, 11, 27);
        let name = "cache.no-leak";
        let excused = |earlier: &[StepId], failed| Excused { check: name.into(), earlier: earlier.to_vec(), failed };
        let signed = |step, check: Option<&str>| {
            let check = check.map(CheckId::from);
            Waiver { step, check, reason: "none here".into(), owner: "ada".into(), until: today }
        };
        for (excused, waivers, stands) in [
            (excused(&[], true), vec![signed(second, Some(name))], true),
            (excused(&[first], true), vec![signed(first, Some(name))], true),
            (excused(&[first], false), vec![signed(first, None)], true),
            // With a whole step only what did not fail, and only what that step asks for, too.
            (excused(&[first], true), vec![signed(first, None)], false),
            (excused(&[], false), vec![signed(first, None)], false),
            (excused(&[], true), vec![signed(second, Some("cache.bounded")), signed(first, Some(name))], false),
            (excused(&[], true), vec![], false),
        ] {
            let proof = StepRecord { waived: vec![excused.clone()], ..record(StepState::Proven) };
            let steps = BTreeMap::from([(first, record(StepState::Proven)), (second, proof)]);
            let progress = Progress { steps, waivers, ..Progress::default() };
            let seen = |flows: &str, day| {
                let now = |_: StepId| contract(flows, "t");
                let outdated = progress.outdated(&now, &|_| Duration::from_secs(60), day);
                (progress.state(second, &now, day), outdated.get(&second).map(Outdated::sentence))
            };
            let told = format!("{excused:?} {:?}", progress.waivers);
            let ended = "the waiver of cache.no-leak ended; proving it again takes a ramp of about 60 s";
            let stale = |why: &str| (StepState::Stale, Some(why.to_owned()));
            let wanted = if stands { (StepState::Proven, None) } else { stale(ended) };
            assert_eq!(seen("f", today), wanted, "{told}");
            let tomorrow = today.tomorrow().unwrap();
            assert_eq!(seen("f", tomorrow), stale(ended), "{told}");
            assert_eq!(seen("g", tomorrow), stale(&format!("the flows changed, and {ended}")), "{told}");
        }
    }

    #[test]
    fn a_full_proof_stands_where_practice_would_do_and_never_the_other_way_round() {
        let of = |quick| Contract { quick, ..contract("f", "t") };
        for (measured, asked, lost) in [
            (false, false, &[][..]),
            (false, true, &[]),
            (true, true, &[]),
            (true, false, &["the length of the measurement (quick or full)"]),
        ] {
            assert_eq!(of(measured).lost(&of(asked)), lost, "{measured} {asked}");
        }
        assert_eq!(of(false).lost(&Contract { quick: true, ..contract("g", "t") }), ["the flows"]);
    }

    #[test]
    fn the_oldest_proof_is_found_among_those_that_are_asked_for() {
        let steps = [(1, StepState::Held, 1), (2, StepState::Proven, 3), (3, StepState::Proven, 2)];
        let steps = steps.map(|(number, state, second)| {
            let at = jiff::Timestamp::from_second(second).unwrap();
            (StepId::new(number).unwrap(), StepRecord { at, ..record(state) })
        });
        let progress = Progress { steps: BTreeMap::from(steps), ..Progress::default() };
        for (asked, wanted) in [(1, None), (2, Some(2)), (3, Some(3)), (10, Some(3))] {
            let found = progress.oldest_proof(StepId::all().filter(|step| step.number() <= asked));
            assert_eq!(found.map(|(step, _)| step.number()), wanted, "up to {asked}");
        }
    }
}
