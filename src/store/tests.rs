//! What a crash may cost: nothing that was acknowledged, at any byte and between any two writes.

use std::fs;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use crate::domain::command::{Ruling, Waiver};
use crate::domain::event::SCHEMA;
use crate::domain::fingerprint::Contract;
use crate::domain::ids::{StepId, TaskId};
use crate::domain::measurement::{FarSide, Histogram, Measurement};
use crate::domain::progress::{Excused, StepState};
use crate::domain::ramp::{Claim, Model, RampEnd, RampPlan};
use crate::domain::slo::Slo;
use crate::domain::verdict::{Objective, ObjectiveOutcome, RampOutcome, Verdict};

use super::*;

pub(super) fn contract(flows: &str) -> Contract {
    Contract {
        playbook: "p".into(),
        slo: "s".into(),
        flows: flows.into(),
        site: "w".into(),
        target: "http://127.0.0.1:1".into(),
        quick: false,
    }
}

fn id(step: u8) -> StepId {
    StepId::new(step).unwrap()
}

pub(super) fn judged(step: u8, state: StepState) -> EventKind {
    EventKind::StepJudged {
        step: StepId::new(step).unwrap(),
        state,
        sentence: "p95 \"is\" 31 ms\nin all".into(),
        contract: contract("f"),
        users: Some(10),
        p95_ms: Some([31.0, 29.5, 33.25]),
        error_percent: None,
        requests: 1150,
        seconds: 75.5,
        held_by: vec!["pool.in-path: not there".into()],
        waived: vec![Excused { check: "pool.idle-timeout".into(), earlier: vec![StepId::FIRST], failed: true }],
    }
}

pub(super) fn waived(step: u8, reason: &str) -> EventKind {
    EventKind::Waived {
        waiver: Waiver {
            step: StepId::new(step).unwrap(),
            check: step.is_multiple_of(2).then(|| "pool.in-path".into()),
            reason: reason.into(),
            owner: "ada".into(),
            until: "2027-01-31".parse().unwrap(),
        },
    }
}

fn kind() -> impl Strategy<Value = EventKind> {
    let state = prop_oneof![Just(StepState::Proven), Just(StepState::Held), Just(StepState::Regressed)];
    prop_oneof![
        (1..=10_u8, state).prop_map(|(step, state)| judged(step, state)),
        (1..=10_u8, "[a-z ]{0,6}").prop_map(|(step, reason)| waived(step, &reason)),
        "\\PC{0,12}".prop_map(|text| EventKind::Note { text }),
    ]
}

/// Numbers the kinds as one run's events, a second apart, beginning at `start` seconds.
pub(super) fn events(run: &str, start: i64, kinds: &[EventKind]) -> Vec<Event> {
    let began: Timestamp = "2026-11-23T04:01:02Z".parse().unwrap();
    (0_u32..)
        .zip(kinds)
        .map(|(seq, kind)| Event {
            v: SCHEMA,
            seq: seq.into(),
            at: began + SignedDuration::from_secs(start + i64::from(seq)),
            run: run.into(),
            kind: kind.clone(),
        })
        .collect()
}

pub(super) fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Progress {
    let (mut progress, mut link) = (Progress::default(), None);
    for event in events {
        // Each run's log has a chain of its own.
        link = Some(chain::link(link.as_deref().filter(|_| event.seq > 0), &serde_json::to_vec(event).unwrap()));
        super::fold(&mut progress, event, link.clone());
    }
    progress
}

pub(super) fn open(project: &Path, run: &str) -> Store {
    Store::open(project, &run.into()).unwrap()
}

/// The bytes that recording the last of a run's events appends to its log.
fn last_line(events: &[Event]) -> Vec<u8> {
    let json = |event: &Event| serde_json::to_vec(event).unwrap();
    let link =
        events.iter().fold(None, |before: Option<String>, event| Some(chain::link(before.as_deref(), &json(event))));
    [chain::with_link(&link.unwrap(), &json(events.last().unwrap())), b"\n".to_vec()].concat()
}

#[derive(Debug, Clone, Copy)]
enum Crash {
    InTheLine(prop::sample::Index),
    AfterTheLine,
    AfterProgress,
}

fn crash() -> impl Strategy<Value = Crash> {
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Crash::InTheLine),
        Just(Crash::AfterTheLine),
        Just(Crash::AfterProgress)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A first run ends in order, a second one is killed while it records its last event, at any byte and between any
    /// two writes. Whoever opens next sees every acknowledged event, and the last one whole or not at all.
    #[test]
    fn a_kill_at_any_moment_loses_nothing_that_was_acknowledged(
        first in prop::collection::vec(kind(), 0..4),
        second in prop::collection::vec(kind(), 1..5),
        crash in crash(),
    ) {
        let project = tempfile::tempdir().unwrap();
        let folder = project.path().join(FOLDER);
        let (first, second) = (events("a", 0, &first), events("b", 100, &second));
        let mut store = open(project.path(), "a");
        first.iter().for_each(|event| store.record(event).unwrap());
        drop(store);
        let acknowledged = &second[..second.len() - 1];
        let mut store = open(project.path(), "b");
        acknowledged.iter().for_each(|event| store.record(event).unwrap());
        prop_assert_eq!(store.progress(), &fold(first.iter().chain(acknowledged)));
        drop(store);

        let log = folder.join("runs/b.jsonl");
        let mut bytes = fs::read(&log).unwrap_or_default();
        let whole = last_line(&second);
        bytes.extend(match crash {
            Crash::InTheLine(at) => &whole[..at.index(whole.len())],
            _ => &whole[..],
        });
        atomic::write(&log, &bytes).unwrap();
        let expected = match crash {
            Crash::InTheLine(_) => fold(first.iter().chain(acknowledged)),
            _ => fold(first.iter().chain(&second)),
        };
        if matches!(crash, Crash::AfterProgress) {
            progress::write(&folder.join("progress.toml"), &expected).unwrap();
        }

        prop_assert_eq!(&Store::read(project.path()).unwrap().0, &expected, "looking only");
        let reopened = open(project.path(), "c").progress().clone();
        prop_assert_eq!(&reopened, &expected);
        prop_assert_eq!(&progress::read(&folder.join("progress.toml")).unwrap().progress, &expected, "on the disk");
        let again = open(project.path(), "d").progress().clone();
        prop_assert_eq!(&again, &expected, "once more");
    }
}

#[test]
fn progress_is_sorted_small_and_reads_back() {
    let project = tempfile::tempdir().unwrap();
    let mut store = open(project.path(), "a");
    let kinds = [10, 2, 1].map(|step| judged(step, StepState::Proven));
    for event in events("a", 0, &[&kinds[..], &[waived(3, "later")]].concat()) {
        store.record(&event).unwrap();
    }
    let text = fs::read_to_string(project.path().join(".rampup/progress.toml")).unwrap();
    let at = |header: &str| text.find(header).unwrap_or_else(|| panic!("{header} is missing in\n{text}"));
    assert!(
        at("schema = 1") < at("[steps.1]") && at("[steps.1]") < at("[steps.2]") && at("[steps.2]") < at("[steps.10]")
    );
    assert!(at("[[waivers]]") > 0 && text.len() < 4096, "{} bytes", text.len());
    assert_eq!(Store::read(project.path()).unwrap().0, *store.progress());
    let ignored = fs::read_to_string(project.path().join(".rampup/.gitignore")).unwrap();
    assert!(ignored.starts_with("*\n") && ignored.contains("!progress.toml"));
}

#[test]
fn reading_makes_no_files_and_needs_no_lock() {
    let project = tempfile::tempdir().unwrap();
    assert_eq!(Store::read(project.path()).unwrap().0, Progress::default());
    assert_eq!(fs::read_dir(project.path()).unwrap().count(), 0);
    let store = open(project.path(), "a");
    Store::read(project.path()).unwrap();
    assert!(matches!(Store::open(project.path(), &"b".into()), Err(StoreError::Locked { .. })));
    drop(store);
    open(project.path(), "b");
}

#[test]
fn pulses_are_not_kept() {
    let project = tempfile::tempdir().unwrap();
    let mut store = open(project.path(), "a");
    let sample = EventKind::Sample { sample: crate::domain::ramp::ServerSample::default() };
    store.record(&events("a", 0, &[sample])[0]).unwrap();
    store.record(&events("a", 0, &[EventKind::Note { text: "first".into() }])[0]).unwrap();
    let log = fs::read_to_string(project.path().join(".rampup/runs/a.jsonl")).unwrap();
    assert_eq!(log.lines().count(), 1);
}

#[test]
fn a_newer_progress_is_shown_unlocks_no_more_than_it_proves_here_and_is_left_alone() {
    let project = tempfile::tempdir().unwrap();
    let mut store = open(project.path(), "a");
    for event in events("a", 0, &[judged(1, StepState::Proven), judged(2, StepState::Held)]) {
        store.record(&event).unwrap();
    }
    drop(store);
    let path = project.path().join(".rampup/progress.toml");
    let text = fs::read_to_string(&path).unwrap().replace("schema = 1", "schema = 2\nmood = \"fine\"").replacen(
        "quick = false",
        "quick = false\nmoon = \"full\"",
        1,
    ) + "\n[steps.3]\nstate = \"dreamt\"\n";
    atomic::write(&path, text.as_bytes()).unwrap();

    let mut store = open(project.path(), "b");
    let first = &store.progress().steps[&StepId::FIRST];
    assert_eq!(first.state, StepState::Proven);
    assert_ne!(first.contract, contract("f"), "a contract that cannot be compared counts as changed");
    assert_eq!(store.progress().steps.len(), 2);
    assert!(store.notes()[0].contains("schema 2") && store.notes()[1].contains("step 3"), "{:?}", store.notes());
    store.record(&events("b", 9, &[judged(3, StepState::Proven)])[0]).unwrap();
    assert_eq!(store.progress().steps.len(), 3, "known while it runs");
    drop(store);
    assert_eq!(fs::read_to_string(&path).unwrap(), text, "never rewritten");
    assert_eq!(
        log::read(&project.path().join(".rampup/runs/b.jsonl"), 0).unwrap().len(),
        1,
        "but the evidence is kept"
    );
}

#[test]
fn what_somebody_broke_in_progress_is_named_with_its_place() {
    let project = tempfile::tempdir().unwrap();
    let mut store = open(project.path(), "a");
    store.record(&events("a", 0, &[judged(1, StepState::Proven)])[0]).unwrap();
    drop(store);
    let path = project.path().join(".rampup/progress.toml");
    let good = fs::read_to_string(&path).unwrap();
    for (from, to, what) in [
        ("state = \"proven\"", "state = \"proved\"", ":8:9: unknown variant `proved`"),
        ("state = \"proven\"", "state = \"waived\"", ":7:1: a step is never written down as waived"),
        ("requests", "reqests", "did you mean `requests`?"),
        ("[steps.1]", "<<<<<<< HEAD\n[steps.1]", ":7:1: a merge conflict"),
        ("steps.1", "steps.11", "there is no step 11"),
    ] {
        assert!(good.contains(from), "{from} is not in\n{good}");
        atomic::write(&path, good.replace(from, to).as_bytes()).unwrap();
        let error = Store::read(project.path()).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("progress.toml:"), "{what}: {error}");
        assert!(Store::open(project.path(), &"b".into()).is_err());
        assert_ne!(fs::read_to_string(&path).unwrap(), good, "and nobody mended it silently");
    }
}

#[test]
fn a_waiver_that_somebody_took_out_of_the_file_does_not_come_back() {
    let project = tempfile::tempdir().unwrap();
    let mut store = open(project.path(), "a");
    let kinds = [judged(1, StepState::Proven), waived(3, "later"), EventKind::Note { text: "bye".into() }];
    events("a", 0, &kinds).iter().for_each(|event| store.record(event).unwrap());
    drop(store);
    let path = project.path().join(".rampup/progress.toml");
    let text = fs::read_to_string(&path).unwrap();
    atomic::write(&path, text.split("[[waivers]]").next().unwrap().as_bytes()).unwrap();
    assert_eq!(open(project.path(), "b").progress().waivers, []);
}

/// A project after a first run that proved step 1 and held step 2, and the next run's store.
fn gone_on() -> (tempfile::TempDir, PathBuf, Store) {
    let project = tempfile::tempdir().unwrap();
    let mut store = open(project.path(), "a");
    let kinds = [judged(1, StepState::Proven), judged(2, StepState::Held), waived(4, "later")];
    events("a", 0, &kinds).iter().for_each(|event| store.record(event).unwrap());
    drop(store);
    let store = open(project.path(), "b");
    let path = project.path().join(FOLDER).join("progress.toml");
    (project, path, store)
}

#[test]
fn what_somebody_else_writes_meanwhile_is_kept_beside_what_is_decided() {
    let theirs = |step: u8, state| fold(&events("z", 500, &[judged(step, state)])).steps.remove(&id(step)).unwrap();
    let ruling = || Ruling { run: "a".into(), reason: "the wrong commit".into(), owner: "eva".into() };
    type Edit<'a> = &'a dyn Fn(&mut Progress);
    let edits: [(&str, Edit); 7] = [
        ("nothing", &|_| ()),
        ("a proof", &|file| _ = file.steps.insert(id(5), theirs(5, StepState::Proven))),
        ("a later judgement", &|file| _ = file.steps.insert(id(1), theirs(1, StepState::Regressed))),
        ("a run that counts no more", &|file| file.invalidated.push(ruling())),
        ("a table deleted", &|file| _ = file.steps.remove(&id(1))),
        ("a waiver deleted", &|file| file.waivers.clear()),
        ("a baseline", &|file| file.baseline = Some(ruling())),
    ];
    for (name, edit) in edits {
        let (project, path, mut store) = gone_on();
        let mut wanted = progress::read(&path).unwrap().progress;
        edit(&mut wanted);
        progress::write(&path, &wanted).unwrap();
        let decided = events("b", 100, &[judged(3, StepState::Proven), waived(6, "soon")]);
        for event in &decided {
            store.record(event).unwrap();
        }
        let ours = fold(&decided);
        wanted.steps.extend(ours.steps);
        wanted.waivers.extend(ours.waivers);
        assert_eq!(progress::read(&path).unwrap().progress, wanted, "{name}");
        assert_eq!(*store.progress(), wanted, "{name}");
        // Said once, and only when there was something.
        assert_eq!(store.news(), if name == "nothing" { vec![] } else { vec![CHANGED] }, "{name}");
        assert_eq!(store.news(), Vec::<String>::new(), "{name}");
        drop(store);
        assert_eq!(*open(project.path(), "c").progress(), wanted, "{name}: at the next start");
    }
}

#[test]
fn a_file_that_cannot_be_understood_is_left_alone_until_it_can() {
    type Breaks<'a> = &'a dyn Fn(&str) -> String;
    let broken: [(Breaks, &str); 3] = [
        (&|good| good.replace("[steps.1]", "<<<<<<< HEAD\n[steps.1]"), "a merge conflict of git"),
        (&|good| good.replace("schema = 1", "schema = 2"), "schema 2 is newer than 1"),
        (&|_| String::new(), "progress.toml:1:1"),
    ];
    for (breaks, why) in broken {
        for mended_meanwhile in [true, false] {
            let (project, path, mut store) = gone_on();
            let good = fs::read_to_string(&path).unwrap();
            let text = breaks(&good);
            assert_ne!(text, good);
            atomic::write(&path, text.as_bytes()).unwrap();
            let note = |text: &str| EventKind::Note { text: text.into() };
            let all = events("b", 100, &[judged(3, StepState::Proven), note("on"), note("and on")]);
            store.record(&all[0]).unwrap();
            store.record(&all[1]).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "{why}");
            let news = store.news();
            assert!(news.len() == 1 && news[0].contains(why) && news[0].contains("log alone"), "{why}: {news:?}");
            assert_eq!(store.progress().steps.len(), 3, "{why}: known while it runs");
            atomic::write(&path, good.as_bytes()).unwrap();
            if mended_meanwhile {
                store.record(&all[2]).unwrap();
                assert_eq!(progress::read(&path).unwrap().progress.steps.len(), 3, "{why}");
            }
            let known = store.progress().clone();
            drop(store);
            assert_eq!(*open(project.path(), "c").progress(), known, "{why}: at the next start");
        }
    }
}

#[test]
fn a_file_that_was_taken_away_meanwhile_costs_nothing() {
    let (_project, path, mut store) = gone_on();
    fs::remove_file(&path).unwrap();
    store.record(&events("b", 100, &[judged(3, StepState::Proven)])[0]).unwrap();
    assert_eq!(progress::read(&path).unwrap().progress, *store.progress());
    assert_eq!((store.progress().steps.len(), store.news()), (3, vec![GONE.to_owned()]));
}

#[test]
fn an_older_judgement_never_replaces_a_younger_one_that_came_by_git() {
    let project = tempfile::tempdir().unwrap();
    let mut store = open(project.path(), "a");
    store.record(&events("a", 0, &[judged(1, StepState::Proven)])[0]).unwrap();
    drop(store);
    let theirs = fold(&events("z", 500, &[judged(1, StepState::Regressed)]));
    let folder = project.path().join(FOLDER);
    progress::write(&folder.join("progress.toml"), &theirs).unwrap();
    fs::remove_file(folder.join("folded")).unwrap();
    assert_eq!(open(project.path(), "b").progress(), &theirs);
}

fn ramp(step: u8, users: u32) -> Vec<EventKind> {
    let (task, step) = (TaskId(1), StepId::new(step).unwrap());
    let second = std::time::Duration::from_secs(1);
    let objective = |name: &str, high| Objective {
        name: name.into(),
        unit: "ms".into(),
        limit: 300.0,
        value: Some(31.0),
        low: Some(29.0),
        high,
        n: 1150,
        outcome: ObjectiveOutcome::Pass,
        more_seconds: None,
    };
    let measurement = Measurement {
        users,
        hold_seconds: 60.0,
        settle_seconds: 10.0,
        settle_limit_reached: false,
        requests: 1150,
        errors: Default::default(),
        blocked: 0,
        latency: Histogram::new(),
        first_byte: Histogram::new(),
        endpoints: Default::default(),
        windows: vec![],
        end: RampEnd::Completed,
        ..Measurement::default()
    };
    let plan = RampPlan {
        users,
        climb: second,
        settle_limit: second,
        hold: second,
        think: crate::domain::flow::Mix::THINK,
        timeout: second,
        seed: 1,
        quick: true,
        extensions: 0,
        rungs: Vec::new(),
        rung_hold: std::time::Duration::ZERO,
        beyond: Vec::new(),
        model: Model::Closed,
    };
    let claim = Claim { requests: 1150, error_percent: None, p95_ranks: None, takes: second, longest: second };
    let verdict = Verdict {
        outcome: RampOutcome::Pass,
        sentence: String::new(),
        objectives: vec![objective("p95", Some(33.0)), objective("errors", None)],
        worst_window: None,
        tainted: 0.0,
        notes: vec![],
        diagnosis: Default::default(),
    };
    vec![
        EventKind::StepStarted { step, contract: contract("flows") },
        EventKind::RampStarted { task, step, plan, slo: Slo::default(), claim },
        EventKind::RampFinished {
            task,
            step,
            measurement: Box::new(measurement),
            far_side: Box::new(FarSide::default()),
            verdict,
        },
    ]
}

#[test]
fn past_ramps_are_known_with_what_they_were_about() {
    let project = tempfile::tempdir().unwrap();
    let mut store = open(project.path(), "a");
    events("a", 0, &ramp(7, 500)).iter().for_each(|event| store.record(event).unwrap());
    // A ramp without its contract is comparable with nothing.
    let mut store_b = {
        drop(store);
        open(project.path(), "b")
    };
    events("b", 100, &ramp(8, 650)[1..]).iter().for_each(|event| store_b.record(event).unwrap());
    drop(store_b);
    atomic::write(&project.path().join(".rampup/runs/0.jsonl"), b"not a log\n").unwrap();
    let error = Store::open(project.path(), &"c".into());
    assert!(error.is_err(), "no event was folded yet, so the damaged log might hold a judgement: {error:?}");
    Position { run: "b".into(), seq: 1 }.write(&project.path().join(".rampup/folded")).unwrap();
    let mut store = open(project.path(), "c");
    assert!(store.notes().iter().any(|note| note.contains("0.jsonl:1:")), "{:?}", store.notes());
    events("c", 200, &ramp(7, 500)).iter().for_each(|event| store.record(event).unwrap());
    let ramps = store.ramps();
    assert_eq!(ramps.iter().map(|ramp| ramp.run.as_str()).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!((ramps[0].users, ramps[0].flows.as_str(), ramps[0].quick), (500, "flows", true));
    assert_eq!((ramps[0].p95_ms, ramps[0].error_percent), (Some([31.0, 29.0, 33.0]), None));
}
