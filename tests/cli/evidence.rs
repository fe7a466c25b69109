//! What outlives a run: judgements that are decided again from the disk, verdicts that are said again, runs that are
//! compared or count no more, progress of two branches.

use std::path::Path;
use std::process::Command;

use rampup::config::{self, Environment};
use rampup::domain::event::{Event, EventKind};
use rampup::domain::fingerprint::Fingerprint;
use rampup::domain::ids::StepId;
use rampup::domain::progress::StepState;
use rampup::playbook;
use rampup::store::Store;

use crate::story::Ending;
use crate::{output, project, site, told};

#[test]
fn recorded_judgements_are_decided_again_and_edits_are_found() {
    let folder = project(&site());
    let held = output(folder.path(), &["run", "1", "--quick"]).0;
    assert!([1, 3].contains(&held), "{held}");
    let verify = || output(folder.path(), &["verify-evidence"]);
    let (code, shown) = verify();
    assert!(code == 0 && shown.contains("step  1  upheld"), "{shown}");
    let (code, shown) = output(folder.path(), &["explain"]);
    assert!(code == 0 && shown.contains("STEP 1") && shown.contains("HELD step 1"), "{shown}");
    let (code, shown) = output(folder.path(), &["explain", "health.answers"]);
    assert!(code == 0 && shown.contains("health.answers in step 1") && shown.contains("facts\n{"), "{shown}");
    let report = |format: &str| output(folder.path(), &["report", "--format", format]);
    let (code, page) = report("html");
    assert!(code == 0 && page.starts_with("<!DOCTYPE html>") && page.contains("id=\"step-1\""), "{page}");
    let (code, suites) = report("junit");
    assert!(
        code == 0 && suites.contains("<testsuite name=\"step 1: ") && suites.contains("health.answers"),
        "{suites}"
    );
    let (code, sarif) = report("sarif");
    let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(code == 0 && results.iter().any(|r| r["level"] == "error" || r["level"] == "note"), "{sarif}");
    assert!(results.iter().all(|r| r["locations"][0]["physicalLocation"]["region"]["startLine"].is_u64()), "{sarif}");
    let (code, commands) = report("github");
    assert!(code == 0 && commands.lines().all(|line| line.starts_with("::")), "{commands}");
    for nothing in ["7", "health.nobody", "1999"] {
        assert_eq!(output(folder.path(), &["explain", nothing]).0, 2, "{nothing}");
    }

    let progress = folder.path().join(".rampup/progress.toml");
    let log = std::fs::read_dir(folder.path().join(".rampup/runs")).unwrap().next().unwrap().unwrap().path();
    let (kept, told) = (std::fs::read_to_string(&progress).unwrap(), std::fs::read_to_string(&log).unwrap());
    let write = |path: &Path, text: &str| rampup::store::atomic::write(path, text.as_bytes()).unwrap();
    write(&progress, &kept.replacen("state = \"held\"", "state = \"proven\"", 1));
    let (code, shown) = verify();
    assert!(code == 1 && shown.contains("different") && shown.contains("differ in the state"), "{shown}");
    write(&progress, &kept);
    write(&log, &told.replacen("\"outcome\":{\"fail\"", "\"outcome\":{\"weak\"", 1).replacen("Step 1", "Stop 1", 1));
    let (code, shown) = verify();
    assert!(code == 1 && shown.contains("edited") && shown.contains("changed after it was written"), "{shown}");
    // Without the links nobody could tell, were it not for the one in progress.toml.
    let unchained: String = told.lines().map(|line| format!("{{{}\n", &line[76..])).collect();
    write(&log, &unchained);
    let (code, shown) = verify();
    assert!(code == 1 && shown.contains("names another line"), "{shown}");
    // An older rampup wrote neither: its judgements are decided again all the same.
    let older: String =
        kept.lines().filter(|line| !line.starts_with("evidence = ")).map(|l| format!("{l}\n")).collect();
    write(&progress, &older);
    let (code, shown) = verify();
    assert!(code == 0 && shown.contains("upheld") && shown.contains("has no chain"), "{shown}");
    std::fs::remove_file(&log).unwrap();
    let (code, shown) = verify();
    assert!(code == 3 && shown.contains("gone"), "{shown}");
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
    let done = Command::new("git").arg("-C").arg(folder).args(who).args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}");
    String::from_utf8(done.stdout).unwrap()
}

/// The run that [`prove`] keeps.
const PROVING: &str = "20260101T120000Z-0000";

/// Keeps a run of this commit that proved the first two steps in full, under the contract in force.
fn prove(folder: &Path, commit: &str) {
    let settings = config::load(folder, &Environment::read()).unwrap().settings;
    let steps = settings.climb(playbook::load(Some(folder)).unwrap()).unwrap();
    let fingerprint = Fingerprint {
        product: env!("CARGO_PKG_VERSION").to_owned(),
        commit: Some(commit.to_owned()),
        dirty: None,
        settings: settings.digest.clone(),
        settings_by_name: settings.digests.clone(),
        deployment: None,
        rules: Default::default(),
    };
    let (site, target) = ("test".to_owned(), settings.site.url.to_string());
    let mut kinds = vec![EventKind::RunStarted { fingerprint, site, target, quick: false }];
    for step in &steps[..2] {
        let contract = settings.contract(step, false);
        kinds.push(EventKind::StepStarted { step: step.id, contract: contract.clone() });
        kinds.push(EventKind::StepJudged {
            step: step.id,
            state: StepState::Proven,
            sentence: format!("Step {} is proven.", step.id),
            contract,
            users: Some(step.gate.users),
            p95_ms: None,
            error_percent: None,
            requests: 0,
            seconds: 1.0,
            held_by: Vec::new(),
            waived: Vec::new(),
        });
    }
    let at = jiff::Timestamp::now();
    let mut store = Store::open(folder, &PROVING.into()).unwrap();
    for (seq, kind) in (0..).zip(kinds) {
        store.record(&Event { v: 1, seq, at, run: PROVING.into(), kind }).unwrap();
    }
}

#[test]
fn another_commit_is_asked_from_the_first_step_on_and_makes_no_proof_stale() {
    let folder = project(&site());
    let git = |arguments: &[&str]| git(folder.path(), arguments);
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "a"]);
    prove(folder.path(), git(&["rev-parse", "HEAD"]).trim());
    let runs = || std::fs::read_dir(folder.path().join(".rampup/runs")).unwrap().count();
    let run = |more: &[&str]| output(folder.path(), &[&["run", "--until", "2"][..], more].concat());
    let oldest = format!("by run {PROVING}); name a step to run it again");
    let stands = || {
        let (code, shown) = run(&[]);
        assert!(code == 0 && shown.contains("(the oldest proof, of step 1, is of 20"), "{code}: {shown}");
        assert!(shown.contains(&oldest) && !shown.contains("STEP"), "{shown}");
    };
    stands();
    let (code, shown) = run(&["--once"]);
    assert!(code == 0 && shown.contains("PROVEN step 2") && shown.contains("judged this commit so"), "{code}: {shown}");
    assert_eq!(runs(), 1, "nothing was asked again");
    git(&["commit", "-q", "--allow-empty", "-m", "b"]);
    stands();
    let (code, shown) = run(&["--once"]);
    assert!(code == 1 && shown.contains("REGRESSED step 1") && !shown.contains("STEP 2"), "{code}: {shown}");
    assert_eq!(runs(), 2, "nobody had seen this commit");
}

#[test]
fn a_practice_run_passes_over_what_is_proven_in_full() {
    let folder = project(&site());
    prove(folder.path(), &"0".repeat(40));
    let (before, _) = Store::read(folder.path()).unwrap();
    for (arguments, wanted, said) in [
        (&["run", "1-2", "--quick"][..], 0, "step 2 is proven in full, and a practice measurement would replace that"),
        (&["run", "--until", "2", "--quick"], 0, "every step up to step 2 is proven or waived (the oldest proof"),
        // Nobody has seen this commit, and practice may not judge it.
        (&["run", "1", "--quick", "--once"], 3, "step 1 is proven in full"),
    ] {
        let (code, shown) = output(folder.path(), arguments);
        assert!(code == wanted && shown.contains(said), "{arguments:?}: {code}: {shown}");
        assert!(!shown.contains("STEP"), "{arguments:?}: {shown}");
    }
    let (code, shown) = output(folder.path(), &["run", "--quick"]);
    assert!(code != 0 && shown.contains("STEP 3"), "{code}: {shown}");
    let (after, _) = Store::read(folder.path()).unwrap();
    for step in StepId::all().take(2) {
        assert_eq!(after.steps[&step], before.steps[&step], "step {step}");
    }
}

#[test]
fn a_verdict_of_the_same_commit_is_said_again_without_load() {
    let folder = project(&site());
    let git = |arguments: &[&str]| git(folder.path(), arguments);
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-qm", "a"]);
    let runs = || std::fs::read_dir(folder.path().join(".rampup/runs")).unwrap().count();
    let (first, _) = output(folder.path(), &["run", "1", "--quick", "--once"]);
    assert_eq!(runs(), 1, "nothing was known yet");
    let (again, shown) = output(folder.path(), &["run", "1", "--quick", "--once"]);
    assert!(again == first && shown.contains("HELD step 1"), "{shown}");
    assert_eq!(runs(), 1, "and nothing is asked twice");
    output(folder.path(), &["run", "1", "--quick", "--once=0s"]);
    assert_eq!(runs(), 2, "it was too old");
    git(&["commit", "-q", "--allow-empty", "-m", "b"]);
    output(folder.path(), &["run", "1", "--quick", "--once"]);
    assert_eq!(runs(), 3, "it was about another commit");
}

#[test]
fn two_ramps_are_compared_and_what_changed_is_named() {
    let folder = told(&[Ending::Holds, Ending::Breaks]);
    let (code, shown) = output(folder.path(), &["diff", "20260100", "20260101"]);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("commit       000000000000 -> 000000000000"), "{shown}");
    assert!(shown.contains("edge rules   http_ratelimit version 0 -> 1"), "{shown}");
    assert!(shown.contains("deployment   deployment-0 -> deployment-1"), "{shown}");
    assert!(shown.contains("rampup.toml  slo.p95_ms\n"), "{shown}");
    assert!(shown.contains("step 5: ") && shown.contains("p95, ms") && shown.contains("slower"), "{shown}");
    assert_eq!(output(folder.path(), &["diff", "20260100", "20260101", "--step", "4"]).0, 2);
    assert_eq!(output(folder.path(), &["diff", "20260100", "1999"]).0, 2);
}

#[test]
fn a_run_counts_no_more_when_somebody_says_so() {
    let folder = told(&[Ending::Holds, Ending::Holds]);
    let signed = |run: &'static str, reason: &'static str| ["invalidate", run, "--reason", reason, "--owner", "ada"];
    for (wrong, why) in
        [(signed("1999", "x"), "no run here begins"), (signed("20260101", " "), "a reason and an owner")]
    {
        let (code, shown) = output(folder.path(), &wrong);
        assert!(code == 2 && shown.contains(why), "{code}: {shown}");
    }
    let (code, shown) = output(folder.path(), &signed("20260101", "the wrong commit was live"));
    assert!(code == 0 && shown.contains("INVALIDATED run 20260101T120000Z-0001 by ada"), "{code}: {shown}");
    let (code, shown) = output(folder.path(), &["status"]);
    let why = "run 20260101T120000Z-0001 counts no more (ada: the wrong commit was live); proving it again takes";
    assert!(code == 0 && shown.contains(" 5 stale") && shown.contains(why), "{shown}");
    // What it measured is no baseline either.
    let (code, shown) = output(folder.path(), &["baseline", "pin", "20260101", "--reason", "x", "--owner", "ada"]);
    assert!(code == 2 && shown.contains("no measured ramp that counts"), "{code}: {shown}");
    // What held a step holds it no longer.
    let folder = project(&site());
    output(folder.path(), &["run", "1", "--quick"]);
    assert!(output(folder.path(), &["status"]).1.contains(" 1 held"));
    assert_eq!(output(folder.path(), &signed("2", "a neighbour's backup ran")).0, 0);
    assert!(output(folder.path(), &["status"]).1.contains(" 1 open"));
    let (code, shown) = output(folder.path(), &["verify-evidence"]);
    assert!(code == 0 && shown.contains("the run counts no more (ada: a neighbour's backup ran)"), "{code}: {shown}");
}

/// The last decision counts, and a clock that stands wrong is told of.
#[test]
fn a_clock_that_went_back_turns_nothing_around() {
    let folder = project(&site());
    let mut store = Store::open(folder.path(), &"20990101T000000Z-0000".into()).unwrap();
    let reason =
        |text: &str| ["waive", "1", "--reason", text, "--owner", "ada", "--until", "2098-12-31"].map(str::to_owned);
    let at = "2099-01-01T00:00:00Z".parse().unwrap();
    let kind = EventKind::Note { text: "from a clock that was ahead".to_owned() };
    store.record(&Event { v: 1, seq: 0, at, run: "20990101T000000Z-0000".into(), kind }).unwrap();
    drop(store);
    for text in ["first", "second", "third"] {
        let (code, shown) = output(folder.path(), &reason(text).each_ref().map(String::as_str));
        assert!(code == 0 && shown.contains("clock stands before the last run here, 20990101T"), "{code}: {shown}");
        let progress = Store::read(folder.path()).unwrap().0;
        assert_eq!(progress.waivers.iter().map(|w| w.reason.as_str()).collect::<Vec<_>>(), [text]);
    }
}

#[test]
fn a_baseline_is_pinned_and_let_go() {
    let folder = told(&[Ending::Holds, Ending::Holds]);
    let pin = ["baseline", "pin", "20260100", "--reason", "before the sale", "--owner", "ada"];
    let (code, shown) = output(folder.path(), &pin);
    assert!(code == 0 && shown.contains("BASELINE run 20260100T120000Z-0000 by ada: before the sale"), "{shown}");
    let pinned = || output(folder.path(), &["status"]).1.contains("ramps are compared with run 20260100T120000Z-0000");
    assert!(pinned());
    let (code, shown) = output(folder.path(), &["baseline", "unpin", "--reason", "the sale is over", "--owner", "ada"]);
    assert!(code == 0 && shown.contains("NO BASELINE run 20260100T120000Z-0000 by ada: the sale is over"), "{shown}");
    assert!(!pinned());
}

#[test]
fn progress_of_two_branches_is_merged() {
    let (ours, theirs) = (told(&[Ending::Holds]), told(&[Ending::Holds]));
    let file = |folder: &tempfile::TempDir| folder.path().join(".rampup/progress.toml");
    let text = std::fs::read_to_string(file(&theirs)).unwrap();
    let other = text.replace("[steps.5]", "[steps.4]").replace("steps.5.", "steps.4.");
    rampup::store::atomic::write(&file(&theirs), other.as_bytes()).unwrap();
    let base = ours.path().join("base.toml");
    let [o, a, b] = [base, file(&ours), file(&theirs)].map(|path| path.display().to_string());
    let (code, shown) = output(ours.path(), &["progress", "merge", &o, &a, &b]);
    assert_eq!(code, 0, "{shown}");
    let (merged, _) = Store::read(ours.path()).unwrap();
    assert_eq!(merged.steps.len(), 2);
    rampup::store::atomic::write(&file(&theirs), b"<<<<<<< ours\n").unwrap();
    assert_eq!(output(ours.path(), &["progress", "merge", &o, &a, &b]).0, 2);
}
