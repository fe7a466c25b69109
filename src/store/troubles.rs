//! Every call of `disk`, failed once and died in once: whatever the call, the next start reads what is there,
//! knows every event that was acknowledged, and progress has its line in the log.

use std::fs;
use std::path::Path;

use crate::domain::event::{Event, EventKind};
use crate::domain::progress::StepState;

use super::disk::trouble::{self, Kind};
use super::tests::{events, fold, judged, open, waived};
use super::{FOLDER, Store, StoreError, log};

/// A first run, and a second one that goes on: notes, judgements and waivers.
fn runs() -> [Vec<Event>; 2] {
    let note = |text: &str| EventKind::Note { text: text.into() };
    let first = [note("ä"), judged(1, StepState::Proven), waived(2, "later")];
    let second =
        [judged(3, StepState::Held), note("on"), judged(3, StepState::Proven), judged(1, StepState::Regressed)];
    [events("a", 0, &first), events("b", 100, &second)]
}

/// Records until the disk refuses, and says how many events were acknowledged, and why it ended.
fn record(project: &Path, runs: &[Vec<Event>]) -> (usize, Option<StoreError>) {
    let mut acknowledged = 0;
    for run in runs {
        let mut store = match Store::open(project, &run[0].run) {
            Ok(store) => store,
            Err(why) => return (acknowledged, Some(why)),
        };
        for event in run {
            if let Err(why) = store.record(event) {
                return (acknowledged, Some(why));
            }
            acknowledged += 1;
        }
    }
    (acknowledged, None)
}

/// What a start finds after that: all that was acknowledged, and at most the event after it.
fn holds(project: &Path, all: &[Event], acknowledged: usize, told: &str) {
    let looked = Store::read(project).unwrap_or_else(|why| panic!("{told}: {why}")).0;
    let store = open(project, "z");
    let progress = store.progress();
    assert_eq!(&looked, progress, "{told}");
    let fits = (acknowledged..=all.len().min(acknowledged + 1)).any(|seen| *progress == fold(&all[..seen]));
    assert!(fits, "{told}: {acknowledged} events were acknowledged, and progress is\n{progress:?}");
    for (step, record) in &progress.steps {
        let path = project.join(FOLDER).join("runs").join(format!("{}.jsonl", record.run));
        let lines = log::read_lines(&path, 0).unwrap();
        assert!(lines.iter().any(|(_, link)| *link == record.evidence), "{told}: step {step} is ahead of its evidence");
    }
}

#[test]
fn no_call_to_the_disk_may_fail_at_a_bad_moment() {
    let runs = runs();
    let all = runs.concat();
    trouble::plan(None);
    let calm = tempfile::tempdir().unwrap();
    assert_eq!(record(calm.path(), &runs).0, all.len());
    let calls = trouble::calls();
    assert!(calls > 40, "{calls} calls: does all that is written go through `disk`?");
    for kind in [Kind::Full, Kind::Dead] {
        for at in 0..calls {
            let project = tempfile::tempdir().unwrap();
            trouble::plan(Some((at, kind)));
            let (acknowledged, why) = record(project.path(), &runs);
            trouble::plan(None);
            let why = why.unwrap_or_else(|| panic!("{kind:?} at call {at}: nobody was told")).to_string();
            assert!(why.contains(&*project.path().to_string_lossy()), "{kind:?} at call {at} names no file: {why}");
            holds(project.path(), &all, acknowledged, &format!("{kind:?} at call {at}"));
        }
    }
}

/// A power cut may also lose what was written and not yet waited for: lines after the last decision.
#[test]
fn a_power_cut_loses_no_decision_that_was_acknowledged() {
    let runs = runs();
    let all = runs.concat();
    let project = tempfile::tempdir().unwrap();
    record(project.path(), &runs[..1]);
    let mut store = open(project.path(), "b");
    let log = project.path().join(FOLDER).join("runs/b.jsonl");
    let mut safe = 0;
    for (at, event) in runs[1].iter().enumerate() {
        store.record(event).unwrap();
        let bytes = fs::read(&log).unwrap();
        if !matches!(event.kind, EventKind::Note { .. }) {
            safe = bytes.len();
        }
        for length in safe..=bytes.len() {
            let copy = tempfile::tempdir().unwrap();
            let runs_there = copy.path().join(FOLDER).join("runs");
            fs::create_dir_all(&runs_there).unwrap();
            for name in ["progress.toml", "folded", "runs/a.jsonl"] {
                fs::copy(project.path().join(FOLDER).join(name), copy.path().join(FOLDER).join(name)).unwrap();
            }
            super::atomic::write(&runs_there.join("b.jsonl"), &bytes[..length]).unwrap();
            let whole = runs[0].len() + at + 1;
            let lost = usize::from(length < bytes.len());
            holds(copy.path(), &all, whole - lost, &format!("cut at byte {length} after event {at}"));
        }
    }
}
