//! The whole product on the whole practice stack, real servers throughout: install, start, climb all ten steps with
//! the real binary, survive being killed at random moments, leave nothing behind. One stack serves all of it.
//!
//! `RAMPUP_KILLS=50` makes the number of kills larger than a build server has time for.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of a test, where a panic is the finding")]

mod lab;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;
use rampup::config::Environment;
use rampup::domain::event::{Event, EventKind};
use rampup::domain::ids::StepId;
use rampup::domain::progress::StepState;
use rampup::lab::Lab;
use rampup::store::Store;
use serde_json::Value;

const RAMPUP: &str = env!("CARGO_BIN_EXE_rampup");

fn rampup(arguments: &[&str]) -> (i32, String) {
    eprintln!("$ rampup {}", arguments.join(" "));
    let Output { status, stdout, stderr } = Command::new(RAMPUP).args(arguments).stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&stdout).into_owned(), String::from_utf8_lossy(&stderr).into_owned());
    if !status.success() {
        eprintln!("{out}\n{err}");
    }
    (status.code().unwrap_or(-1), out)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_practice_stack_from_install_to_the_last_step() {
    let folder = tempfile::tempdir().unwrap();
    // The stack's services run as another account when the test runs as root.
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let dir = folder.path().join("lab");
    let story = AssertUnwindSafe(story(&dir)).catch_unwind().await;
    let down = Lab::open(&dir).unwrap().down(&lab::telling()).await;
    if let Err(panic) = story {
        resume_unwind(panic);
    }
    down.unwrap();
    assert_eq!(lab::processes_of(&dir), Vec::<String>::new());
}

async fn story(dir: &Path) {
    lab::story(dir).await;
    let name = dir.to_str().unwrap();
    assert_eq!(rampup(&["lab", "status", "--lab", name]).0, 0);
    climb(name);
    assert_eq!(lab::processes_of(dir), Vec::<String>::new(), "the climb ends with its stack");
    kill_at_random_moments(name);
}

/// Every step is held before its remedy and proven after it.
fn climb(lab: &str) {
    let (code, out) = rampup(&["lab", "climb", "--yes", "--quick", "--json", "--lab", lab]);
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    for row in last["steps"].as_array().unwrap() {
        eprintln!("{row}");
    }
    assert_eq!(code, 0);
    let steps = last["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 10);
    for (index, row) in steps.iter().enumerate() {
        assert_eq!(row["step"], index + 1);
        assert_eq!((&row["before"], &row["after"]), (&Value::from("held"), &Value::from("proven")), "{row}");
        assert!(row["requests"].as_u64().unwrap() >= 598, "{row}");
        // The promise of a practice climb: five times the usual, so that a busy machine does not decide.
        assert!(row["p95_high_ms"].as_f64().unwrap() < 1500.0, "{row}");
        assert!(row["error_rate_high"].as_f64().unwrap() < 0.005, "{row}");
        assert_eq!(row["quick"], true);
    }
}

/// Whatever moment the program dies at, progress can be read and claims nothing that the log does not show.
fn kill_at_random_moments(lab: &str) {
    let kills: u32 = Environment::read().get("RAMPUP_KILLS").and_then(|n| n.parse().ok()).unwrap_or(8);
    assert_eq!(rampup(&["lab", "climbed", "3", "--lab", lab]).0, 0);
    let project = Path::new(lab).join("project");
    let (never, silence) = mpsc::channel::<()>();
    let mut proven = BTreeSet::new();
    for kill in 0..kills {
        let mut child = Command::new(RAMPUP)
            .arg("-C")
            .arg(&project)
            .args(["run", "1-3", "--quick", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // A random moment, some of them within the first second, when files are opened.
        let longest = if kill % 4 == 0 { 1.0 } else { 60.0 };
        let _ = silence.recv_timeout(Duration::from_secs_f64(rand::random::<f64>() * longest));
        child.kill().unwrap();
        child.wait().unwrap();
        proven.extend(not_ahead_of_its_evidence(&project));
    }
    drop(never);
    eprintln!("killed {kills} times; proven at some moment: {proven:?}");
}

/// The steps that progress calls proven, each of them shown by a whole log.
fn not_ahead_of_its_evidence(project: &Path) -> Vec<StepId> {
    let (progress, _) = Store::read(project).unwrap();
    let proven = progress.steps.iter().filter(|(_, record)| record.state == StepState::Proven);
    proven
        .map(|(step, record)| {
            let log = project.join(".rampup/runs").join(format!("{}.jsonl", record.run));
            let text = std::fs::read_to_string(&log).unwrap();
            let events: Vec<Event> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let judged = events.iter().position(
                |e| matches!(&e.kind, EventKind::StepJudged { step: s, state: StepState::Proven, .. } if s == step),
            );
            let before = &events[..judged.unwrap()];
            assert!(
                before.iter().any(|e| matches!(&e.kind, EventKind::RampFinished { step: s, .. } if s == step)),
                "step {step} is proven without a ramp in {}",
                log.display()
            );
            *step
        })
        .collect()
}
