//! `cargo bench --bench kills [-- N]`: N climbs (200 when absent) against a small site on loopback, each killed with SIGKILL;
//! what is left is read, compared with what was shown, and decided again. Ends with an error at the first loss.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark, where a panic is the finding")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use kill::{Moment, not_ahead_of_its_evidence, run_and_kill};
use rampup::domain::ids::StepId;
use rampup::store::atomic;

#[path = "../tests/kill/mod.rs"]
mod kill;

/// Projects at a time, each with a site of its own: a run waits more than it works.
const AT_ONCE: usize = 8;

/// Kills of one moment.
#[derive(Debug, Default)]
struct Row {
    kills: usize,
    /// Those whose moment did not come: the run had ended, or proved nothing.
    missed: usize,
    /// Steps that were shown as proven before the kill.
    shown: usize,
    /// Judgements that were decided again after it.
    upheld: usize,
    /// Longest time to read what is left, ms.
    longest_ms: u128,
}

fn main() {
    let wanted: usize = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(200);
    let (next, rows) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<Moment, Row>::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let mut project = project(&site());
                let mut left: Vec<StepId> = Vec::new();
                loop {
                    let kill = next.fetch_add(1, Ordering::Relaxed);
                    if kill >= wanted {
                        return;
                    }
                    if left.len() == StepId::all().count() {
                        (project, left) = (self::project(&site()), Vec::new());
                    }
                    let moment = Moment::of(kill);
                    let (shown, came) = run_and_kill(project.path(), moment);
                    let began = Instant::now();
                    let before = std::mem::replace(&mut left, not_ahead_of_its_evidence(project.path()));
                    let took = began.elapsed().as_millis();
                    let kept = |step: &StepId| left.contains(step);
                    assert!(
                        shown.iter().all(kept) && before.iter().all(kept),
                        "{moment:?}: {before:?} and {shown:?} became {left:?}"
                    );
                    let upheld = upheld(project.path());
                    assert!(upheld >= left.len(), "{moment:?}: {upheld} of {left:?}");
                    let mut rows = rows.lock().unwrap();
                    let row = rows.entry(moment).or_default();
                    row.kills += 1;
                    row.missed += usize::from(!came);
                    row.shown += shown.len();
                    row.upheld += upheld;
                    row.longest_ms = row.longest_ms.max(took);
                }
            });
        }
    });
    println!("killed within       kills  missed  steps shown as proven  judgements upheld  longest read, ms");
    for (moment, Row { kills, missed, shown, upheld, longest_ms }) in rows.into_inner().unwrap() {
        let within = match moment {
            Moment::Opening => "its first second",
            Moment::Any => "its first minute",
            Moment::Unlock => "30 ms of an unlock",
        };
        println!("{within:<18} {kills:>6} {missed:>7} {shown:>22} {upheld:>18} {longest_ms:>17}");
    }
    println!("nothing shown was lost, nothing left is ahead of its evidence");
}

/// How many recorded judgements are decided again, and the same; none may be decided otherwise.
fn upheld(project: &Path) -> usize {
    let done =
        Command::new(env!("CARGO_BIN_EXE_rampup")).arg("-C").arg(project).arg("verify-evidence").output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{text}");
    text.matches("  upheld  ").count()
}

/// A project whose ten steps ask for a health page and ten users each: a step is proven in half a minute.
fn project(url: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut init = Command::new(env!("CARGO_BIN_EXE_rampup"));
    init.arg("-C").arg(folder.path()).args(["init", "--yes", "--url", url, "--errors", "5", "--p95", "5000"]);
    assert!(init.stdin(Stdio::null()).stdout(Stdio::null()).status().unwrap().success());
    let playbooks = folder.path().join("playbooks");
    std::fs::create_dir(&playbooks).unwrap();
    for step in StepId::all() {
        let text = format!(
            "+++\ntitle = \"Step {step}\"\nshort = \"{step}\"\nchecks = [{{ check = \"health.answers\" }}]\n\
             gate = {{ users = 10, hold = \"20s\", think = \"1s\" }}\n+++\n\
             ## Why\n\nx\n\n## Do\n\nx\n\n## Verify\n\nx\n\n## Undo\n\nx\n"
        );
        atomic::write(&playbooks.join(format!("{:02}-short.md", step.number())), text.as_bytes()).unwrap();
    }
    folder
}

/// Says to everybody that all is well; only a health page that does not exist is not there.
fn site() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut path) = (String::new(), String::new());
                while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
                    if path.is_empty() {
                        path = line.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
                    }
                    if line == "\r\n" {
                        let (status, body) = match std::mem::take(&mut path).as_str() {
                            path if path.starts_with("/healthz") && path != "/healthz" => ("404 Not Found", "{}"),
                            _ => ("200 OK", r#"{"ok":true}"#),
                        };
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                        );
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    format!("http://{address}")
}
