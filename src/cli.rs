//! The command line as clap types, and nothing else.
#![expect(missing_docs, reason = "a comment on a flattened field would become help text")]

mod flow;
mod lab;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::domain::ids::StepId;
use crate::domain::units;

pub use flow::{FlowCheck, FlowExport, FlowImport, FlowVerb, ResultsImport, ScriptEngine};
pub use lab::{LabBench, LabClimb, LabFault, LabFaults, LabPlace, LabStep, LabUp, LabVerb};

/// Take a Django app from 10 to 1000 concurrent users in ten proven steps.
///
/// Without a command it opens (or resumes) the climb of the project in this folder.
#[derive(Debug, Parser)]
#[command(name = "rampup", version, propagate_version = true)]
pub struct Cli {
    /// Folder that holds rampup.toml.
    #[arg(short = 'C', long, global = true, default_value = ".", value_name = "DIR")]
    pub project: PathBuf,

    #[command(flatten)]
    pub look: Look,

    #[command(subcommand)]
    pub command: Option<Verb>,
}

/// How things are shown.
#[derive(Debug, Clone, Args)]
pub struct Look {
    /// Colours for a dark or a light background; the terminal is asked when absent.
    #[arg(long, global = true, value_enum)]
    pub theme: Option<Theme>,

    /// When to use colour; NO_COLOR is respected.
    #[arg(long, global = true, value_enum, default_value_t = ColorWhen::Auto)]
    pub color: ColorWhen,

    /// Draw with ASCII only.
    #[arg(long, global = true)]
    pub ascii: bool,

    /// Keys of your own, in TOML, as in verify = "ctrl-r"; else ~/.config/rampup/keys.toml. `rampup keys` lists them.
    #[arg(long, global = true, value_name = "FILE")]
    pub keys: Option<PathBuf>,

    /// Plain lines and numbered choices instead of a screen; so does ACCESSIBLE=1.
    #[arg(long, global = true)]
    pub plain: bool,
}

/// A background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Theme {
    /// Light text on a dark background.
    Dark,
    /// Dark text on a light background.
    Light,
    /// Blue and orange instead of green and red, on a dark background.
    Cvd,
    /// The same on a light background.
    CvdLight,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Write a commented rampup.toml for your own site.
    Init(Init),
    /// Run steps whole: checks, ramp, verdict. Without a step: the first that is not proven.
    Run(Run),
    /// Run the checks of a step, or of several, that need no load.
    Verify(Verify),
    /// Drive a step's ramp and show it, without judging the step.
    Ramp(Ramp),
    /// Show how far the climb is.
    Status(Output),
    /// Say which systems answer, which secrets are set, and which permissions are missing; changes nothing anywhere.
    Doctor(Output),
    /// Play a recorded run back in the terminal interface; the last one when none is named.
    Replay(Replay),
    /// Show what a verdict rests on, from the disk alone: a step (5), a check (pool.in-path) or a run.
    Explain(Explain),
    /// Decide every recorded judgement again from its run's log; says what was edited since.
    VerifyEvidence(Output),
    /// Say what changed between two measured ramps, and whether their figures did.
    Diff(Diff),
    /// Read a Django project's settings, without running them: what it has for its way to 1000 users, and where.
    Scan(Scan),
    /// The progress file.
    #[command(subcommand)]
    Progress(ProgressVerb),
    /// Print a JSON Schema: for an editor that completes rampup.toml, or for whoever reads the events.
    Schema(SchemaOf),
    /// List the keys in force and the names by which a file of your own may change them.
    Keys,
    /// Tell the climb to others: a pull request, a manager, a build server.
    Report(Report),
    /// Count a step or one of its checks as done, with a reason, an owner and a last day.
    Waive(Waive),
    /// Let a run that is over count no more: what it proved is stale, and nothing is compared with it.
    Invalidate(OfRun),
    /// The run that ramps are compared with.
    #[command(subcommand)]
    Baseline(BaselineVerb),
    /// Try it all on a real practice stack on this machine: no account, no cloud.
    Demo(Demo),
    /// The practice stack.
    #[command(subcommand)]
    Lab(LabVerb),
    /// Flows: what virtual users do.
    #[command(subcommand)]
    Flow(FlowVerb),
    /// Show what k6 or Locust measured, beside the promise: client side only, never proving a step.
    Import(ResultsImport),
    /// Playbooks.
    #[command(subcommand)]
    Playbook(PlaybookVerb),
}

/// How headless output looks.
#[derive(Debug, Clone, Copy, Args)]
pub struct Output {
    /// One JSON object a line instead of words.
    #[arg(long)]
    pub json: bool,
}

/// How long measurements are.
#[derive(Debug, Clone, Copy, Args)]
pub struct Pace {
    /// Practice measurements: fewer users, short holds, marked as such and never standing in for full ones.
    #[arg(long)]
    pub quick: bool,
}

/// `init`.
#[derive(Debug, Default, Args)]
pub struct Init {
    /// Where users arrive: https://shop.example
    #[arg(long)]
    pub url: Option<String>,
    /// A short name for the site; the folder's name if absent.
    #[arg(long)]
    pub name: Option<String>,
    /// Path of the health page [default: /healthz]
    #[arg(long, value_name = "PATH")]
    pub health: Option<String>,
    /// 95 of 100 requests shall be faster than this [default: 300]
    #[arg(long, value_name = "MS")]
    pub p95: Option<f64>,
    /// Fewer than this share of requests may fail [default: 0.5]
    #[arg(long, value_name = "PERCENT")]
    pub errors: Option<f64>,
    /// Name of the variable that holds the database's address; proposed from the project's files.
    #[arg(long, value_name = "NAME")]
    pub database_env: Option<String>,
    /// Name of the variable that holds the cache's address.
    #[arg(long, value_name = "NAME")]
    pub cache_env: Option<String>,
    /// Name of the variable that holds the task queue's address.
    #[arg(long, value_name = "NAME")]
    pub broker_env: Option<String>,
    /// A public page that users look at, like /menu/; give it several times. Proposed from the project's paths.
    #[arg(long, value_name = "PATH")]
    pub page: Vec<String>,
    /// The service that runs the app, as Railway calls it; proposed by Railway itself where RAILWAY_TOKEN is set.
    #[arg(long, value_name = "NAME")]
    pub railway_service: Option<String>,
    /// The site's domain, as Cloudflare lists it; proposed by Cloudflare itself where CLOUDFLARE_API_TOKEN is set.
    #[arg(long, value_name = "DOMAIN")]
    pub cloudflare_zone: Option<String>,
    /// Ask nothing: take what is not given from the project's files, else the usual.
    #[arg(short, long)]
    pub yes: bool,
    /// Replace a rampup.toml that is already there.
    #[arg(long)]
    pub force: bool,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// A step (5) or a range (1-5).
    #[arg(value_parser = steps, value_name = "STEP | A-B", conflicts_with = "all")]
    pub steps: Option<StepRange>,
    /// Every step from the first that is not proven, until one is held.
    #[arg(long)]
    pub all: bool,
    /// The same up to and with this step.
    #[arg(long, value_parser = step, value_name = "STEP", conflicts_with_all = ["steps", "all"])]
    pub until: Option<StepId>,
    /// Stop after so long (as in 45m): what was seen is kept, and the code is 3.
    #[arg(long, value_parser = units::parse_duration, value_name = "TIME")]
    pub deadline: Option<Duration>,
    /// Say a verdict again, without load, that was reached on this commit and contract within so long; with --all or
    /// --until, whatever is proven is asked from step 1 on.
    #[arg(long, value_parser = units::parse_duration, value_name = "AGE", num_args = 0..=1, require_equals = true,
        default_missing_value = "24h")]
    pub once: Option<Duration>,
    /// What too little evidence is for the exit code; a hold that is undecided was extended already.
    #[arg(long, value_enum, default_value_t = OnInconclusive::Tell)]
    pub on_inconclusive: OnInconclusive,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub output: Output,
}

/// `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    pub format: Format,
    /// Into this file instead of the standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a pull request, a wiki, or GitHub's step summary.
    Markdown,
    /// One page with charts, for people who were not there.
    Html,
    /// JUnit's XML, for build servers.
    Junit,
    /// SARIF 2.1.0, for code hosts: findings with file and line.
    Sarif,
    /// GitHub's workflow commands: findings beside the lines of a pull request.
    Github,
}

/// What too little evidence is for the exit code of `run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnInconclusive {
    /// A code of its own, 3: a script may try again.
    Tell,
    /// A failure, 1.
    Fail,
}

/// `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// How the earlier run's name begins.
    pub before: String,
    /// How the later run's name begins.
    pub after: String,
    /// The step whose ramps are compared, where a run holds several.
    #[arg(long, value_parser = step)]
    pub step: Option<StepId>,
}

/// `progress`.
#[derive(Debug, Subcommand)]
pub enum ProgressVerb {
    /// Merge two branches' progress.toml, as a merge driver of git: `rampup progress merge %O %A %B`.
    Merge {
        /// Where the branches part.
        base: PathBuf,
        /// This branch's; it is written.
        ours: PathBuf,
        /// The other branch's.
        theirs: PathBuf,
    },
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaOf {
    /// Of what.
    #[arg(value_enum)]
    pub of: Published,
}

/// What has a published form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Published {
    /// rampup.toml.
    Settings,
    /// The lines of a run's log and of --json.
    Events,
    /// .rampup/progress.toml.
    Progress,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A step's number, a check's name, or how a run's name begins; the last judgement when absent.
    #[arg(value_name = "STEP | CHECK | RUN")]
    pub what: Option<String>,
}

/// `scan`.
#[derive(Debug, Args)]
pub struct Scan {
    /// The project's folder.
    #[arg(default_value = ".", value_name = "DIR")]
    pub folder: PathBuf,
    /// One JSON object instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// `replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// The run's name, or how it begins.
    pub run: Option<String>,
}

/// `ramp`.
#[derive(Debug, Args)]
pub struct Ramp {
    /// The step, 1 to 10.
    #[arg(value_parser = step)]
    pub step: StepId,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub output: Output,
    /// Who plays the users: rampup itself, or a Locust that you run and that calls, for more load than one machine makes.
    #[arg(long, value_enum, default_value_t = LoadEngine::Goose)]
    pub engine: LoadEngine,
    /// Where to listen for Locust's master. It must know the token in RAMPUP_TOKEN.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:5590")]
    pub listen: std::net::SocketAddr,
    /// Longest wait for Locust and all its workers, seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub wait: u32,
}

/// Who plays the users of a ramp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LoadEngine {
    /// rampup's own users, in this process.
    Goose,
    /// A Locust with the script of `rampup flow export locust`.
    Locust,
}

/// `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// One step, or several: 5, or 1-5.
    #[arg(value_parser = steps, value_name = "STEP | A-B")]
    pub steps: StepRange,
    #[command(flatten)]
    pub output: Output,
}

/// `waive`.
#[derive(Debug, Args)]
pub struct Waive {
    /// The step, 1 to 10.
    #[arg(value_parser = step)]
    pub step: StepId,
    /// Only this check of it.
    #[arg(long)]
    pub check: Option<String>,
    /// Why it is acceptable.
    #[arg(long)]
    pub reason: String,
    /// Who answers for it.
    #[arg(long)]
    pub owner: String,
    /// Last day it counts, like 2026-12-01.
    #[arg(long)]
    pub until: jiff::civil::Date,
}

/// `invalidate` and `baseline pin`.
#[derive(Debug, Args)]
pub struct OfRun {
    /// The run's name, or how it begins.
    pub run: String,
    #[command(flatten)]
    pub signed: Signed,
}

/// A decision that somebody answers for.
#[derive(Debug, Args)]
pub struct Signed {
    /// Why.
    #[arg(long)]
    pub reason: String,
    /// Who answers for it.
    #[arg(long)]
    pub owner: String,
}

/// `baseline`.
#[derive(Debug, Subcommand)]
pub enum BaselineVerb {
    /// Compare every ramp with those of this run, too, so that what gets slower bit by bit shows.
    Pin(OfRun),
    /// Compare with the last comparable ramps alone again.
    Unpin(Signed),
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Install what is missing without asking.
    #[arg(short, long)]
    pub yes: bool,
    /// Full measurements instead of practice ones.
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub place: LabPlace,
}

/// `playbook`.
#[derive(Debug, Subcommand)]
pub enum PlaybookVerb {
    /// Say what is wrong with the playbooks in force, with file and line.
    Lint,
    /// Name every check of the catalogue, what it proves and how.
    Checks,
}

/// A first and a last step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepRange {
    /// The first.
    pub from: StepId,
    /// The last, not before the first.
    pub to: StepId,
}

fn step(text: &str) -> Result<StepId, String> {
    let number: u8 = text.parse().map_err(|_| format!("{text:?} is not a step; steps are 1 to 10"))?;
    StepId::new(number).map_err(|e| e.to_string())
}

fn steps(text: &str) -> Result<StepRange, String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let range = StepRange { from: step(from)?, to: step(to)? };
    if range.from > range.to { Err(format!("{text} runs backwards")) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn ranges_are_read_and_nonsense_is_refused() {
        assert_eq!(steps("4-5").unwrap().to.number(), 5);
        assert_eq!(steps("7").unwrap().from.number(), 7);
        for bad in ["0", "11", "5-4", "a-b", "1-"] {
            assert!(steps(bad).is_err(), "{bad}");
        }
    }
}
