//! Killing the real program while it climbs, and looking at what is left. The practice test and `cargo bench --bench kills`
//! share it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rampup::domain::event::{Event, EventKind};
use rampup::domain::ids::StepId;
use rampup::domain::progress::StepState;
use rampup::store::Store;

const RAMPUP: &str = env!("CARGO_BIN_EXE_rampup");

/// When a run is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// Within its first second, when files are opened.
    Opening,
    /// At any time of its first minute.
    Any,
    /// Within 30 ms of its saying that a step is proven.
    Unlock,
}

impl Moment {
    /// One after the other.
    pub fn of(kill: usize) -> Self {
        [Self::Opening, Self::Any, Self::Unlock][kill % 3]
    }
}

/// Goes on with the climb until the moment has come. Gives the steps that were shown as proven; whether the moment came, and
/// the run was still alive then.
pub fn run_and_kill(project: &Path, moment: Moment) -> (Vec<StepId>, bool) {
    let mut child = Command::new(RAMPUP)
        .arg("-C")
        .arg(project)
        .args(["run", "--all", "--quick", "--json"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (proven, shown) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        for event in out.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str::<Event>(&line).ok()) {
            if let EventKind::StepJudged { step, state: StepState::Proven, .. } = event.kind {
                // The test may have seen enough.
                let _ = proven.send(step);
            }
        }
    });
    let (_never, silence) = mpsc::channel::<()>();
    let pause = |longest: f64| _ = silence.recv_timeout(Duration::from_secs_f64(rand::random::<f64>() * longest));
    let mut seen = Vec::new();
    match moment {
        Moment::Opening => pause(1.0),
        Moment::Any => pause(60.0),
        Moment::Unlock => {
            seen.extend(shown.recv_timeout(Duration::from_secs(240)));
            pause(0.03);
        }
    }
    let came = child.try_wait().unwrap().is_none() && (moment != Moment::Unlock || !seen.is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap();
    seen.extend(shown.try_iter());
    (seen, came)
}

/// The steps that progress calls proven, each of them shown by a whole log.
pub fn not_ahead_of_its_evidence(project: &Path) -> Vec<StepId> {
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
