//! Does rampup's p95 agree with k6's? Both drive the same flows against the practice stack, k6 by the script that
//! `rampup flow export k6` writes, in the order rampup, k6, k6, rampup. Both stand beside the edge's own access log.
//!
//! `cargo bench --bench agree [-- --json FILE] [--lab DIR] [--users N] [--hold SECONDS] [--think PAUSE]`, as root, after
//! `scripts/peers.sh venv`. Installs the practice stack where `--lab` says (a folder that is removed again if absent).
//! About eight minutes, and one more for installing. Ends with an error when they disagree.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "agree/edge.rs"]
mod edge;
#[path = "peers/found.rs"]
mod found;
#[path = "agree/k6.rs"]
mod k6;
#[path = "agree/seen.rs"]
mod seen;
#[path = "agree/stack.rs"]
mod stack;
#[path = "agree/table.rs"]
mod table;

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use seen::Seen;
use stack::Stack;

#[derive(Debug, Parser)]
struct Arguments {
    /// Write everything that was measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the practice stack is, or is installed and kept.
    #[arg(long)]
    lab: Option<PathBuf>,
    /// Concurrent users.
    #[arg(long, default_value_t = 100)]
    users: u32,
    /// Seconds that count.
    #[arg(long, default_value_t = 60)]
    hold: u32,
    /// Pause between two actions.
    #[arg(long, default_value = "1s-3s")]
    think: String,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What both tools do.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Drive {
    /// Concurrent users.
    pub users: u32,
    /// Pause between two actions, as rampup.toml says it.
    pub think: String,
    /// Seconds in which users come in, evenly.
    pub climb: u32,
    /// Seconds until they are settled: k6 waits so long, rampup waits until nothing drifts, at most so long.
    pub settle: u32,
    /// Seconds that count.
    pub hold: u32,
}

/// The state of the stack: all remedies in place. Before, a hundred users in a hurry bring it near its knee, where no two
/// runs of the same tool are alike.
const CLIMBED: u8 = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Rampup,
    K6,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let program = found::program("k6").context("k6 is missing; scripts/peers.sh venv installs it")?;
    let version = found::words(std::process::Command::new(&program).arg("version"));
    let Arguments { users, hold, think, .. } = &arguments;
    let drive = Drive { users: *users, think: think.clone(), climb: 5, settle: 15, hold: *hold };
    println!("{}; {version}", found::here());

    let stack = Stack::up(arguments.lab.as_deref(), CLIMBED, &drive)?;
    // Caches fill, processes import what they need: nobody's first run.
    k6::drive(&program, &stack, &Drive { settle: 0, hold: 30, ..drive.clone() })?;
    let mut runs: Vec<(Turn, Seen)> = Vec::new();
    for turn in [Turn::Rampup, Turn::K6, Turn::K6, Turn::Rampup] {
        let seen = match turn {
            Turn::Rampup => stack.ramp()?,
            Turn::K6 => k6::drive(&program, &stack, &drive)?,
        };
        runs.push((turn, seen));
    }
    drop(stack);
    let of = |wanted: Turn| runs.iter().filter(move |(turn, _)| *turn == wanted).map(|(_, seen)| seen);
    let (ours, theirs) = (Seen::pooled(of(Turn::Rampup)), Seen::pooled(of(Turn::K6)));
    let rows: Vec<(String, &Seen)> = runs
        .iter()
        .enumerate()
        .map(|(number, (turn, seen))| (format!("{turn:?}, run {}", number + 1), seen))
        .chain([("Rampup, both".to_owned(), &ours), ("K6, both".to_owned(), &theirs)])
        .collect();
    table::runs(&rows);
    table::endpoints(&ours, &theirs);
    let agree =
        table::verdict(&of(Turn::Rampup).collect::<Vec<_>>(), &of(Turn::K6).collect::<Vec<_>>(), &ours, &theirs);
    if let Some(file) = &arguments.json {
        let data = serde_json::json!({
            "at": jiff::Timestamp::now(), "machine": found::machine(), "k6": version, "climbed": CLIMBED, "drive": drive,
            "runs": rows.iter().map(|(name, seen)| table::data(name, seen)).collect::<Vec<_>>(), "agree": agree,
        });
        serde_json::to_writer_pretty(std::fs::File::create(file)?, &data)?;
    }
    anyhow::ensure!(agree, "rampup and k6 disagree");
    Ok(())
}
