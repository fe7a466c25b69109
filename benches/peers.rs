//! rampup beside other load generators, all against one local server: requests for a second of processor, processor
//! and memory of a thousand users, and how true p95 is.
//!
//! `cargo bench --bench peers [-- --json FILE] [--only NAME]… [--quick]`. `--only` names a tool or a scene and may be
//! repeated. `scripts/peers.sh` installs the peers; whatever is missing is named and left out. About eleven minutes.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "peers/bout.rs"]
mod bout;
#[path = "peers/found.rs"]
mod found;
#[path = "peers/meter.rs"]
mod meter;
#[path = "peers/players.rs"]
mod players;
#[path = "peers/server.rs"]
mod server;
#[path = "peers/table.rs"]
mod table;
#[path = "peers/tools.rs"]
mod tools;

use std::path::PathBuf;
use std::time::Instant;

use bout::{Bout, Scene, Server};
use clap::Parser;
use players::Drive;
use tools::Tool;

/// Above this share of a core used by other programs a run is made again.
const DISTURBED: f64 = 0.25;
/// Runs that may be made again, so that the whole stays bounded in time.
const SPARE: usize = 6;

#[derive(Debug, Parser)]
struct Arguments {
    /// Write everything that was measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only this tool or scene.
    #[arg(long)]
    only: Vec<String>,
    /// One short round: shows that it works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What a tool did in a scene, round by round; a run that failed is missing.
struct Row {
    tool: Tool,
    bouts: Vec<Option<Bout>>,
}

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let mut drive = || -> anyhow::Result<Drive> { Ok(serde_json::from_str(&words.next().unwrap_or_default())?) };
    match mode.as_str() {
        "as-server" => server::serve(),
        "as-rampup" => players::rampup(&drive()?),
        "as-tuned" => players::tuned(&drive()?),
        _ => compare(&Arguments::parse()),
    }
}

fn scenes(quick: bool) -> Vec<Scene> {
    let drive =
        |path: &str, users, think, seconds| Drive { base: String::new(), path: path.into(), users, seconds, think };
    let mut scenes = vec![
        Scene {
            name: "throughput",
            title: "100 connections, no think time, answers at once",
            drive: drive("/fast", 100, 0, 6),
            warm: 1,
            window: 3,
            rounds: 5,
        },
        Scene {
            name: "hundred",
            title: "100 users, no think time, answers after a lognormal pause (median 120 ms, sigma 0.55)",
            drive: drive("/slow", 100, 0, 8),
            warm: 2,
            window: 4,
            rounds: 3,
        },
        Scene {
            name: "thousand",
            title: "1000 users, 1 s think time, the same pause",
            drive: drive("/slow", 1000, 1, 12),
            warm: 3,
            window: 6,
            rounds: 3,
        },
    ];
    if quick {
        for scene in &mut scenes {
            (scene.rounds, scene.warm, scene.window, scene.drive.seconds) = (1, 1, 1, 3);
        }
    }
    scenes
}

fn compare(arguments: &Arguments) -> anyhow::Result<()> {
    meter::raise_file_limit();
    let named = |name: &str| arguments.only.iter().any(|only| only == name);
    let mut scenes = scenes(arguments.quick);
    if scenes.iter().any(|scene| named(scene.name)) {
        scenes.retain(|scene| named(scene.name));
    }
    let mut tools = Tool::ALL.to_vec();
    if tools.iter().any(|tool| named(tool.name())) {
        tools.retain(|tool| named(tool.name()));
    }
    let (found, missing): (Vec<_>, Vec<_>) =
        tools.into_iter().map(|tool| (tool, tool.program())).partition(|(_, program)| program.is_some());
    let found: Vec<_> = found.into_iter().filter_map(|(tool, program)| Some((tool, program?))).collect();
    let versions: Vec<_> = found.iter().map(|(tool, program)| (tool.name(), tool.version(program))).collect();
    table::head(&versions, &missing.iter().map(|(tool, _)| tool.name()).collect::<Vec<_>>());

    let began = Instant::now();
    let mut server = Server::start()?;
    let out = tempfile::tempdir()?;
    let mut spare = SPARE;
    let mut all = Vec::new();
    for scene in scenes {
        let mut rows: Vec<Row> = found.iter().map(|(tool, _)| Row { tool: *tool, bouts: Vec::new() }).collect();
        for round in 0..scene.rounds {
            // Back and forth, so that nobody always follows the same neighbour.
            let turn: Vec<usize> =
                if round % 2 == 0 { (0..found.len()).collect() } else { (0..found.len()).rev().collect() };
            for at in turn {
                let (tool, program) = &found[at];
                let mut bout = bout::run(*tool, program, &scene, &mut server, out.path());
                if bout.as_ref().is_ok_and(|bout| bout.others > DISTURBED) && spare > 0 && !arguments.quick {
                    spare -= 1;
                    bout = bout::run(*tool, program, &scene, &mut server, out.path());
                }
                if let Err(why) = &bout {
                    println!("{} failed in round {} of {}: {why:#}", tool.name(), round + 1, scene.name);
                }
                rows[at].bouts.push(bout.ok());
            }
        }
        table::scene(&scene, &rows);
        all.push((scene, rows));
    }
    let targets = table::targets(&all);
    println!(
        "\n{:.0} s in all, {} runs made again because other programs were busy",
        began.elapsed().as_secs_f64(),
        SPARE - spare
    );
    if let Some(file) = &arguments.json {
        serde_json::to_writer_pretty(std::fs::File::create(file)?, &table::data(&versions, &all, &targets))?;
    }
    Ok(())
}
