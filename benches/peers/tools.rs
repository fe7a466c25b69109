//! The tools: where each is found, how it is told what to do, what it says its p95 was.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::found::{self, words};
use crate::players::{Drive, Said};

/// One load generator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Rampup,
    Tuned,
    K6,
    Locust,
    Oha,
    Hey,
    Wrk,
}

/// A file beside this one.
fn beside(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name)
}

impl Tool {
    pub const ALL: [Self; 7] = [Self::Rampup, Self::Tuned, Self::K6, Self::Locust, Self::Oha, Self::Hey, Self::Wrk];

    /// Its name in tables and for `--only`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rampup => "rampup",
            Self::Tuned => "tuned goose",
            Self::K6 => "k6",
            Self::Locust => "locust",
            Self::Oha => "oha",
            Self::Hey => "hey",
            Self::Wrk => "wrk",
        }
    }

    /// What is not quite the same as with the others.
    pub const fn remark(self) -> &'static str {
        match self {
            Self::Rampup => "flows, whole bodies, recorder, generator health; a client a user",
            Self::Tuned => "no metrics, no gzip, one client for all users, own recorder",
            Self::K6 => "bodies discarded",
            Self::Locust => "FastHttpUser; p95 as it rounds it",
            Self::Oha => "think: a rate for all connections together",
            Self::Hey => "think: a rate for each connection",
            Self::Wrk => "two threads; corrects p95 for coordinated omission",
        }
    }

    /// The program; none when it is not installed.
    pub fn program(self) -> Option<PathBuf> {
        if matches!(self, Self::Rampup | Self::Tuned) {
            return std::env::current_exe().ok();
        }
        found::program(self.name())
    }

    /// Its version, as it says it.
    pub fn version(self, program: &Path) -> String {
        let arguments: &[&str] = match self {
            Self::Rampup => return env!("CARGO_PKG_VERSION").into(),
            Self::Tuned => return "goose 0.19.0".into(),
            Self::K6 => &["version"],
            Self::Wrk => &["-v"],
            // It does not know its own; the package does.
            Self::Hey => return words(Command::new("dpkg-query").args(["--show", "hey"])),
            Self::Locust | Self::Oha => &["--version"],
        };
        words(Command::new(program).args(arguments))
    }

    /// The command that makes it drive. What it writes to files goes below `out`.
    pub fn command(self, program: &Path, drive: &Drive, out: &Path) -> anyhow::Result<Command> {
        let mut command = Command::new(program);
        let url = format!("{}{}", drive.base, drive.path);
        let (users, seconds) = (drive.users.to_string(), drive.seconds.to_string());
        command.env("THINK", drive.think.to_string());
        match self {
            Self::Rampup => command.args(["as-rampup", &serde_json::to_string(drive)?]),
            Self::Tuned => command.args(["as-tuned", &serde_json::to_string(drive)?]),
            Self::K6 => command
                .args(["run", "--quiet", "--no-usage-report", "--address", "", "--summary-export"])
                .arg(out.join("k6.json"))
                .arg(beside("k6.js"))
                .envs([("USERS", &users), ("SECONDS", &seconds), ("URL", &url)]),
            Self::Locust => command
                .args(["--headless", "--only-summary", "--loglevel", "ERROR", "--stop-timeout", "2"])
                .args(["--users", &users, "--spawn-rate", &users, "--run-time", &seconds])
                .args(["--host", &drive.base, "--csv"])
                .arg(out.join("locust"))
                .arg("--locustfile")
                .arg(beside("locustfile.py"))
                .env("TARGET", &drive.path),
            Self::Oha => {
                if let Some(rate) = u64::from(drive.users).checked_div(drive.think) {
                    command.args(["-q", &rate.to_string()]);
                }
                command.args(["--no-tui", "--output-format", "json", "--wait-ongoing-requests-after-deadline"]).args([
                    "-c",
                    &users,
                    "-z",
                    &format!("{seconds}s"),
                    &url,
                ])
            }
            Self::Hey => {
                if drive.think > 0 {
                    // Whole requests a second are the least it knows.
                    command.args(["-q", "1"]);
                }
                command.args(["-c", &users, "-z", &format!("{seconds}s"), &url])
            }
            Self::Wrk => command
                .args(["-t", "2", "-c", &users, "-d", &format!("{seconds}s"), "-s"])
                .arg(beside("wrk.lua"))
                .arg(&url),
        };
        Ok(command)
    }

    /// What it says of its run, from what it printed and wrote.
    pub fn said(self, printed: &str, out: &Path) -> anyhow::Result<Said> {
        let p95_ms = match self {
            Self::Rampup | Self::Tuned => return Ok(serde_json::from_str(printed.trim())?),
            Self::K6 => {
                let summary: serde_json::Value = serde_json::from_reader(std::fs::File::open(out.join("k6.json"))?)?;
                summary.pointer("/metrics/http_req_duration/p(95)").and_then(serde_json::Value::as_f64)
            }
            Self::Locust => {
                let table = std::fs::read_to_string(out.join("locust_stats.csv"))?;
                column(&table, "95%", "Aggregated")
            }
            Self::Oha => {
                let summary: serde_json::Value = serde_json::from_str(printed)?;
                let seconds = summary.pointer("/latencyPercentiles/p95").and_then(serde_json::Value::as_f64);
                seconds.map(|s| s * 1000.0)
            }
            Self::Hey => after(printed, "95% in ").or_else(|| after(printed, "95%% in ")).map(|s| s * 1000.0),
            Self::Wrk => after(printed, "p95_us ").map(|us| us / 1000.0),
        };
        anyhow::ensure!(p95_ms.is_some(), "{} did not say its p95: {printed}", self.name());
        Ok(Said { p95_ms, idle_kib: None })
    }
}

/// The number behind some words.
fn after(text: &str, words: &str) -> Option<f64> {
    let rest = &text[text.find(words)? + words.len()..];
    rest.split_whitespace().next()?.parse().ok()
}

/// A number of a CSV table without quotes: the column's, in the line that holds a word.
fn column(table: &str, name: &str, word: &str) -> Option<f64> {
    let mut lines = table.lines();
    let at = lines.next()?.split(',').position(|head| head == name)?;
    lines.find(|line| line.split(',').any(|cell| cell == word))?.split(',').nth(at)?.parse().ok()
}
