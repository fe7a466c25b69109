//! Shows the terminal interface with no engine behind it: plays a recorded run, or a story that is built in.
//!
//! `cargo run --example tui_replay -- [RUN.jsonl] [--speed N] [--play] [--light] [--cvd] [--mono] [--sixteen] [--ascii]
//! [--demo] [--quick] [--breaks | --unsure] [--recorded] [--stale]`. In the story `r` runs the checks of step 5, which hold it; `R` runs it whole.
//! `--panic-ui` and `--panic-task` make `r` panic, to see that the terminal is given back.
#![expect(clippy::print_stderr, reason = "an example speaks to whoever started it")]

#[path = "../tests/story/mod.rs"]
mod story;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use rampup::domain::command::Command;
use rampup::domain::event::Event;
use rampup::domain::event::Feed;
use rampup::domain::ids::RunId;
use rampup::domain::spot::Spot;
use rampup::tui::theme::{Look, Theme, Tier};
use rampup::tui::{Desk, Leave, Ticks, run};
use story::Ending;
use tokio::sync::mpsc;

/// A machine with no folder.
struct Nowhere;

impl Desk for Nowhere {
    fn read(&self, run: &RunId) -> Result<Vec<Event>, String> {
        Err(format!("no log of {run} is here"))
    }

    async fn edit(&self, spot: &Spot) -> Result<(), String> {
        Err(format!("{} is not here", spot.file))
    }

    fn tick(&self, _ticks: &Ticks) -> Result<(), String> {
        Ok(())
    }

    fn keep(&self, _text: &str) -> String {
        "an example keeps nothing".to_owned()
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|a| a == flag);
    let theme = match (has("--light"), has("--cvd")) {
        (false, false) => Theme::Dark,
        (true, false) => Theme::Light,
        (false, true) => Theme::CvdDark,
        (true, true) => Theme::CvdLight,
    };
    let tier = match (has("--mono"), has("--sixteen")) {
        (true, _) => Tier::Mono,
        (_, true) => Tier::Sixteen,
        _ => Tier::Indexed,
    };
    let mut start = story::start(Look { theme, tier, ascii: has("--ascii") });
    start.demo = has("--demo").then(|| "rampup lab fix".into());
    start.quick = has("--quick");
    if has("--stale") {
        start.states = story::stale();
    }
    if has("--recorded") {
        start.replay = Some(("20261123T140000Z-51a7".into(), story::recorded(Ending::Breaks)));
    }
    let value = |flag: &str| arguments.iter().skip_while(|a| *a != flag).nth(1);
    let speed = value("--speed").and_then(|s| s.parse::<f64>().ok()).unwrap_or(10.0).max(0.1);
    let recorded = arguments.iter().find(|a| a.ends_with(".jsonl"));

    let (to_screen, events) = mpsc::channel(4096);
    let (commands, asked) = mpsc::channel(16);
    let ending = match (has("--breaks"), has("--unsure")) {
        (true, _) => Ending::Breaks,
        (_, true) => Ending::Unsure,
        _ => Ending::Holds,
    };
    let first = match recorded.map(|path| read(path)) {
        Some(Ok(events)) => Some(events),
        Some(Err(why)) => {
            eprintln!("cannot play it: {why}");
            return ExitCode::from(2);
        }
        None => has("--play").then(|| story::climbed(ending)),
    };
    let (pull, pulled) = tokio::sync::oneshot::channel();
    let trap = (has("--panic-ui").then_some(pull), has("--panic-task"));
    let player = tokio::spawn(play(to_screen, asked, first, speed, ending, trap));
    let left = tokio::select! {
        left = run(start, events, commands, Nowhere) => left,
        Ok(()) = pulled => panic!("a panic beside the screen, as asked for"),
    };
    player.abort();
    match left {
        Ok(Leave::Quit) => ExitCode::SUCCESS,
        Ok(Leave::Signal(number)) => ExitCode::from(u8::try_from(128 + number).unwrap_or(1)),
        Err(error) => {
            // Nobody is left to read it when the terminal itself has gone.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn read(path: &str) -> Result<Vec<Feed>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(i, line)| {
            let event: Event = serde_json::from_str(line).map_err(|e| format!("{path}:{}: {e}", i + 1))?;
            Ok(Feed::Event(Box::new(event)))
        })
        .collect()
}

/// Plays what is asked for; a stop ends the tape.
async fn play(
    screen: mpsc::Sender<Feed>,
    mut asked: mpsc::Receiver<Command>,
    first: Option<Vec<Feed>>,
    speed: f64,
    ending: Ending,
    (mut pull, panics): (Option<tokio::sync::oneshot::Sender<()>>, bool),
) {
    let mut tape = first.unwrap_or_default().into_iter();
    let mut clock: Option<jiff::Timestamp> = None;
    loop {
        tokio::select! {
            command = asked.recv() => match command {
                None | Some(Command::Quit) => return,
                Some(Command::Verify(_)) => {
                    assert!(!panics, "a panic in a task, as asked for");
                    if let Some(pull) = pull.take() {
                        let _ = pull.send(());
                    }
                    tape = story::held().into_iter();
                }
                Some(Command::Run(_)) => tape = story::climbed(ending).into_iter(),
                Some(Command::Stop) => {
                    tape = Vec::new().into_iter();
                    if screen.send(Feed::Busy(false)).await.is_err() {
                        return;
                    }
                }
                Some(_) => {}
            },
            () = async {}, if tape.len() > 0 => {
                let Some(feed) = tape.next() else { continue };
                // Waits as long as the recording waited, at the wanted speed.
                if let Feed::Event(event) = &feed {
                    let pause = clock.map_or(0.0, |before| event.at.duration_since(before).as_secs_f64());
                    clock = Some(event.at);
                    tokio::time::sleep(Duration::from_secs_f64(f64::clamp(pause, 0.0, 5.0) / speed)).await;
                }
                if screen.send(feed).await.is_err() {
                    return;
                }
            }
        }
    }
}
