//! The flows' part of the command line, and what other load engines give and take.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Output;

/// `flow`.
#[derive(Debug, Subcommand)]
pub enum FlowVerb {
    /// Walk through each flow once, without load, and show what every step sent, got and kept.
    Check(FlowCheck),
    /// Turn a browser's recording (HAR) into a flow, printed for rampup.toml; says what it left out.
    Import(FlowImport),
    /// Print the flows as a script for another load engine; says what that engine cannot do.
    Export(FlowExport),
}

/// `flow check`.
#[derive(Debug, Args)]
pub struct FlowCheck {
    /// Only the flow of this name.
    pub name: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

/// `import`.
#[derive(Debug, Args)]
pub struct ResultsImport {
    /// A k6 summary (--summary-export), or Locust's PREFIX_stats.csv or --json.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// `flow import`.
#[derive(Debug, Args)]
pub struct FlowImport {
    /// The recording: "Save all as HAR" in the browser's network panel.
    #[arg(value_name = "FILE.har")]
    pub file: PathBuf,
    /// Name of the flow.
    #[arg(long, default_value = "recorded")]
    pub name: String,
    /// Whose requests to keep (shop.example); the site of rampup.toml, or the first page's host, if absent.
    #[arg(long)]
    pub host: Option<String>,
}

/// `flow export`.
#[derive(Debug, Args)]
pub struct FlowExport {
    /// The engine.
    #[arg(value_enum)]
    pub engine: ScriptEngine,
    /// Users in the hold; the ladder's largest gate if absent.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub users: Option<u32>,
}

/// An engine that scripts are written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScriptEngine {
    /// Grafana k6.
    K6,
    /// Locust.
    Locust,
}
