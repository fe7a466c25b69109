//! The practice stack's part of the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::domain::ids::StepId;

use super::{Output, Pace, StepRange, step, steps};

/// Where the practice stack lives.
#[derive(Debug, Clone, Args)]
pub struct LabPlace {
    /// Folder of the practice stack; a folder of its own under the user's data if absent.
    #[arg(long, value_name = "DIR")]
    pub lab: Option<PathBuf>,
}

/// `lab`.
#[derive(Debug, Subcommand)]
pub enum LabVerb {
    /// Install what is missing, start it, and leave it running.
    Up(LabUp),
    /// Stop every process of it.
    Down(LabPlace),
    /// Ask each part how it is.
    Status(LabPlace),
    /// Apply step N's remedy, the way a person would.
    Fix(LabStep),
    /// Take step N's remedy back.
    Unfix(LabStep),
    /// Start it with the remedies of steps 1 to N in place.
    Climbed(LabStep),
    /// Climb all ten steps: each is held before its remedy and proven after it.
    Climb(LabClimb),
    /// List the faults that can be put into it, and the healthy variants.
    Faults(LabFaults),
    /// Put faults into it, beside those that are in it.
    Break(LabFault),
    /// Take faults out of it; all of them when none is named.
    Mend(LabFault),
    /// Try every fault against the checks: each must be caught, and no healthy variant alarmed about.
    Bench(LabBench),
}

/// `lab faults`.
#[derive(Debug, Args)]
pub struct LabFaults {
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub place: LabPlace,
}

/// `lab break` and `lab mend`.
#[derive(Debug, Args)]
pub struct LabFault {
    /// Their ids, as `lab faults` lists them.
    pub faults: Vec<String>,
    /// Install what is missing without asking.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub place: LabPlace,
}

/// `lab bench`.
#[derive(Debug, Args)]
pub struct LabBench {
    /// The steps whose faults are tried: 5, or 1-5; all when absent.
    #[arg(value_parser = steps, value_name = "STEP | A-B")]
    pub steps: Option<StepRange>,
    /// Only these faults.
    #[arg(long, value_name = "FAULT")]
    pub only: Vec<String>,
    /// A second practice stack in this folder tries half of the rows, at the same time.
    #[arg(long, value_name = "DIR")]
    pub beside: Option<PathBuf>,
    /// Install what is missing without asking.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub place: LabPlace,
}

/// `lab up`.
#[derive(Debug, Args)]
pub struct LabUp {
    /// The library that does the shop's background work; it stays so for the commands that follow.
    #[arg(long, value_parser = ["celery", "rq", "huey"])]
    pub queue: Option<String>,
    /// Stand-ins for Railway's and Cloudflare's APIs run, too, and the settings name them: what they say is true of the
    /// stack. It stays so, until --clouds=false.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub clouds: Option<bool>,
    /// Install what is missing without asking.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub place: LabPlace,
}

/// `lab fix` and its like.
#[derive(Debug, Args)]
pub struct LabStep {
    /// The step; `climbed` also takes 0.
    #[arg(value_parser = clap::value_parser!(u8).range(0..=10))]
    pub step: u8,
    /// Install what is missing without asking.
    #[arg(short, long)]
    pub yes: bool,
    #[command(flatten)]
    pub place: LabPlace,
}

/// `lab climb`.
#[derive(Debug, Args)]
pub struct LabClimb {
    /// Install what is missing without asking.
    #[arg(short, long)]
    pub yes: bool,
    /// Climb only this far.
    #[arg(long, value_parser = step)]
    pub until: Option<StepId>,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub place: LabPlace,
}
