//! The whole product on the whole practice stack, real servers throughout: install, start, climb all ten steps with
//! the real binary, be stopped by an edge that limits the load and by somebody else's measurement, survive being killed at random moments, leave nothing
//! behind. One stack serves all of it.
//!
//! `RAMPUP_KILLS=50` makes the number of kills larger than a build server has time for; `RAMPUP_PRACTICE=kills` (or
//! `lab`, `climb`, `blocked`, `two`, `screen`, `tls`) plays one part alone.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of a test, where a panic is the finding")]

mod blocked;
#[path = "../kill/mod.rs"]
mod kill;
mod lab;
mod screen;
mod tls;
#[path = "../tty/mod.rs"]
mod tty;
mod two;

use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use futures_util::FutureExt;
use kill::Moment;
use rampup::config::Environment;
use rampup::domain::ids::StepId;
use rampup::lab::Lab;
use rampup::store::atomic;
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
    let environment = Environment::read();
    let plays = |part: &str| environment.get("RAMPUP_PRACTICE").is_none_or(|only| only == part);
    let name = dir.to_str().unwrap();
    if plays("lab") {
        lab::story(dir).await;
        assert_eq!(rampup(&["lab", "status", "--lab", name]).0, 0);
    } else {
        assert_eq!(rampup(&["lab", "up", "--yes", "--lab", name]).0, 0);
    }
    if plays("climb") {
        // With all that can be asked, the clouds' APIs among it; it costs no second more.
        Lab::open(dir).unwrap().choose_clouds(true).unwrap();
        climb(name);
        Lab::open(dir).unwrap().choose_clouds(false).unwrap();
        assert_eq!(lab::processes_of(dir), Vec::<String>::new(), "the climb ends with its stack");
    }
    if plays("blocked") {
        blocked::story(name);
    }
    if plays("two") {
        two::story(name);
    }
    if plays("screen") {
        screen::story(name);
    }
    if plays("tls") {
        tls::story(dir).await;
    }
    if plays("kills") {
        kill_at_random_moments(name);
    }
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
    // With the stack gone and nothing but the disk, all of it is decided again, and told.
    let project = Path::new(lab).join("project/climb");
    let project = project.to_str().unwrap();
    let (code, out) = rampup(&["-C", project, "verify-evidence"]);
    assert_eq!((code, out.matches("  upheld  ").count()), (0, 10), "{out}");
    let (code, page) = rampup(&["-C", project, "report", "--format", "html"]);
    assert_eq!(code, 0);
    for id in StepId::all() {
        assert!(page.contains(&format!("id=\"step-{id}\"")), "step {id} is not told");
    }
    assert!(page.matches("<svg").count() >= 20, "each step's ramp has its pictures");
}

/// Whatever moment the program dies at, progress can be read, claims nothing that the log does not show, and has
/// forgotten nothing that was shown. Each run resumes where the killed one left off.
fn kill_at_random_moments(lab: &str) {
    let kills = Environment::read().get("RAMPUP_KILLS").and_then(|n| n.parse().ok()).unwrap_or(8);
    assert_eq!(rampup(&["lab", "climbed", "10", "--lab", lab]).0, 0);
    let project = Path::new(lab).join("project");
    loosen(&project.join("rampup.toml"));
    let (mut unlocks, mut left) = (0, Vec::new());
    for kill in 0..kills {
        if left.len() == StepId::all().count() {
            std::fs::remove_dir_all(project.join(".rampup")).unwrap();
        }
        let (shown, _) = kill::run_and_kill(&project, Moment::of(kill));
        left = kill::not_ahead_of_its_evidence(&project);
        assert!(shown.iter().all(|step| left.contains(step)), "shown as proven: {shown:?}; left: {left:?}");
        unlocks += shown.len();
    }
    eprintln!("killed {kills} times, {unlocks} steps were shown as proven before");
    assert!(kills < 3 || unlocks > 0, "no run came to a verdict");
}

/// A promise that few requests can show, so that steps are proven within a minute.
fn loosen(settings: &Path) {
    let text = std::fs::read_to_string(settings).unwrap();
    let loose =
        text.replace("\np95_ms = 300\n", "\np95_ms = 3000\n").replace("error_percent = 0.5", "error_percent = 5");
    assert_ne!(text, loose);
    atomic::write(settings, loose.as_bytes()).unwrap();
}
