//! What the screen costs: a frame's processor time and bytes, the first frame after the start, a key until its answer.
//!
//! `cargo bench --bench draw` (docs/draw.md). The story is drawn at 120x36; the real binary starts in a pseudo-terminal on
//! a project with a year of runs.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark: a panic is the finding, the table is its answer"
)]

#[allow(dead_code, unused_imports, reason = "the tests use more of the story")]
#[path = "../tests/story/mod.rs"]
mod story;

use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rampup::domain::event::{Event, EventKind};
use rampup::domain::ids::RunId;
use rampup::store::Store;
use rampup::tui::model::Model;
use rampup::tui::theme::Look;
use rampup::tui::update::update;
use rampup::tui::view;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use story::Ending;

const AREA: Rect = Rect { x: 0, y: 0, width: 120, height: 36 };
/// Times that the story is told.
const TELLINGS: usize = 20;
/// Runs on disk, as after a year.
const RUNS: usize = 500;
/// Starts of the real binary, and keys pressed in it.
const STARTS: usize = 15;
const LIMIT: Duration = Duration::from_secs(20);

fn main() {
    let (mut draws, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..TELLINGS {
        tell(&mut draws, &mut bytes);
    }
    let blank = Buffer::empty(AREA);
    let model = Model::new(story::start(Look::default()), (AREA.width, AREA.height), story::dawn());
    let repaint = sent(&blank, &frame(&model));
    let (mut first, mut key) = (Vec::new(), Vec::new());
    let project = year();
    for _ in 0..STARTS {
        let (shown, answered) = start(project.path());
        first.push(shown);
        key.push(answered);
    }
    println!("| what | median | p99 | most | unit |\n|---|---|---|---|---|");
    row("a frame of the live ramp: model to cells", "ms of processor time", &mut draws);
    row("a second of data", "bytes", &mut bytes);
    row("the whole screen", "bytes", &mut [repaint]);
    row(&format!("from the start to the first frame, {RUNS} runs on disk"), "ms", &mut first);
    row("from a key to its first byte", "ms", &mut key);
}

/// Draws every second of the story's ramp as the screen would.
fn tell(draws: &mut Vec<f64>, bytes: &mut Vec<f64>) {
    let mut model = Model::new(story::start(Look::default()), (AREA.width, AREA.height), story::dawn());
    let mut shown = frame(&model);
    for feed in story::climbed(Ending::Breaks) {
        let second =
            matches!(&feed, rampup::domain::event::Feed::Event(e) if matches!(e.kind, EventKind::Sample { .. }));
        update(&mut model, feed.into());
        if second {
            let began = Instant::now();
            let next = frame(&model);
            draws.push(began.elapsed().as_secs_f64() * 1e3);
            bytes.push(sent(&shown, &next));
            shown = next;
        }
    }
}

fn frame(model: &Model) -> Buffer {
    let mut buffer = Buffer::empty(AREA);
    view::draw(model, AREA, &mut buffer);
    buffer
}

/// Bytes a terminal gets to turn one frame into the next.
fn sent(before: &Buffer, after: &Buffer) -> f64 {
    let mut bytes = Vec::new();
    CrosstermBackend::new(&mut bytes).draw(before.diff(after).into_iter()).unwrap();
    f64::from(u32::try_from(bytes.len()).unwrap())
}

/// A project with a year of runs, as the story's events.
fn year() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_rampup"))
        .arg("-C")
        .arg(folder.path())
        .args(["init", "--url", "http://127.0.0.1:9", "--name", "shop"])
        .output();
    assert!(made.unwrap().status.success());
    for number in 0..RUNS {
        let run = RunId::from(format!("2026{:04}T120000Z-{number:04x}", number).as_str());
        let mut store = Store::open(folder.path(), &run).unwrap();
        let kept = story::recorded(Ending::Holds).into_iter().filter(|event| !event.kind.is_droppable());
        for (seq, event) in (0..).zip(kept) {
            store.record(&Event { seq, run: run.clone(), ..event }).unwrap();
        }
    }
    folder
}

/// Milliseconds from the start to the first frame, and from a key to the first byte of its answer.
fn start(project: &Path) -> (f64, f64) {
    let size = PtySize { rows: AREA.height, cols: AREA.width, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).unwrap();
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_rampup"));
    command.args(["--theme", "dark", "-C"]);
    command.arg(project);
    command.env("TERM", "xterm-256color");
    let began = Instant::now();
    let mut child = pair.slave.spawn_command(command).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (heard, hears) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(read @ 1..) = reader.read(&mut buffer) {
            if heard.send((Instant::now(), buffer[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    // The end of a synchronized update is the end of a frame.
    let shown = until(&hears, b"\x1b[?2026l") - began;
    let mut keys = pair.master.take_writer().unwrap();
    let pressed = Instant::now();
    keys.write_all(b"?").unwrap();
    let answered = until(&hears, b"\x1b[?2026h") - pressed;
    keys.write_all(b"\x03").unwrap();
    child.wait().unwrap();
    (shown.as_secs_f64() * 1e3, answered.as_secs_f64() * 1e3)
}

fn until(hears: &Receiver<(Instant, Vec<u8>)>, wanted: &[u8]) -> Instant {
    let mut seen = Vec::new();
    loop {
        let (at, bytes) = hears.recv_timeout(LIMIT).unwrap();
        seen.extend(bytes);
        if seen.windows(wanted.len()).any(|part| part == wanted) {
            return at;
        }
    }
}

fn row(what: &str, unit: &str, values: &mut [f64]) {
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| values[(values.len() - 1) * share / 100];
    println!("| {what} | {:.2} | {:.2} | {:.2} | {unit} |", at(50), at(99), at(100));
}
