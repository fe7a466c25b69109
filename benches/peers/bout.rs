//! One tool against the server once: started, watched from outside, counted by the server, ended.

use std::io::{BufRead, BufReader, Lines, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;

use crate::meter;
use crate::players::Drive;
use crate::server::Report;
use crate::tools::Tool;

/// Longest time to the first request: interpreters, a thousand clients.
const START: Duration = Duration::from_secs(30);
/// Longest time from the end of the drive to the end of the process.
const LEAVE: Duration = Duration::from_secs(20);
/// For answers under way when a tool has gone, and for the machine to become quiet.
const REST: Duration = Duration::from_millis(500);

/// What is driven, and the stretch of it that is metered from outside.
#[derive(Debug, Clone, Serialize)]
pub struct Scene {
    /// For `--only`.
    pub name: &'static str,
    /// What it shows.
    pub title: &'static str,
    /// The drive; its `base` is the server's.
    pub drive: Drive,
    /// Seconds from the first request to the metered stretch.
    pub warm: u64,
    /// Its seconds.
    pub window: u64,
    /// Rounds.
    pub rounds: usize,
}

/// What one run showed.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Bout {
    /// Requests that the server answered in the metered stretch, a second.
    pub rps: f64,
    /// Cores that the tool used in it.
    pub cores: f64,
    /// Cores that others than tool, server and this program used in it.
    pub others: f64,
    /// Requests of the whole run.
    pub requests: u64,
    /// Connections it opened.
    pub connections: u64,
    /// Processor time of the whole run, seconds.
    pub cpu: f64,
    /// Most memory it held, MiB.
    pub peak_mib: f64,
    /// The same without what the idle program holds; rampup only.
    pub above_idle_mib: Option<f64>,
    /// p95 by the tool, ms.
    pub p95_ms: f64,
    /// p95 by the server of the whole run, ms.
    pub truth_ms: f64,
}

impl Bout {
    /// Requests for one second of the processor.
    pub fn per_cpu_second(&self) -> f64 {
        self.rps / self.cores
    }

    /// How far the tool's p95 is off, ms.
    pub fn off_ms(&self) -> f64 {
        self.p95_ms - self.truth_ms
    }

    /// The same in percent of the truth.
    pub fn off_percent(&self) -> f64 {
        self.off_ms() / self.truth_ms * 100.0
    }
}

/// The server's process.
pub struct Server {
    child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    /// Scheme, host and port.
    pub base: String,
}

impl Server {
    pub fn start() -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("as-server")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let asks = child.stdin.take().context("the server has no input")?;
        let mut answers = BufReader::new(child.stdout.take().context("the server has no output")?).lines();
        let port = answers.next().context("the server did not start")??;
        Ok(Self { child, asks, answers, base: format!("http://127.0.0.1:{port}") })
    }

    fn ask(&mut self, what: &str) -> anyhow::Result<String> {
        writeln!(self.asks, "{what}")?;
        Ok(self.answers.next().context("the server is gone")??)
    }

    fn count(&mut self) -> anyhow::Result<u64> {
        Ok(self.ask("count")?.parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An instant's readings.
struct Reading {
    at: Instant,
    requests: u64,
    tool: f64,
    known: f64,
    machine: f64,
    peak_kib: u64,
}

impl Reading {
    fn take(server: &mut Server, tool: &Child) -> anyhow::Result<Self> {
        let cpu = |pid: u32| meter::cpu_seconds(&pid.to_string()).context("a process is gone");
        let used = cpu(tool.id())?;
        Ok(Self {
            at: Instant::now(),
            requests: server.count()?,
            tool: used,
            known: used + cpu(server.child.id())? + cpu(std::process::id())?,
            machine: meter::machine_seconds().context("no /proc/stat")?,
            // It may end before anybody looks again.
            peak_kib: meter::status(&tool.id().to_string(), "VmHWM").context("a process is gone")?,
        })
    }
}

/// Runs a tool once.
#[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
pub fn run(tool: Tool, program: &Path, scene: &Scene, server: &mut Server, out: &Path) -> anyhow::Result<Bout> {
    let drive = Drive { base: server.base.clone(), ..scene.drive.clone() };
    let printed: PathBuf = out.join("printed");
    server.ask("reset")?;
    let mut child = tool
        .command(program, &drive, out)?
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&printed)?)
        .stderr(std::fs::File::create(out.join("complained"))?)
        .spawn()?;
    let metered = metered(scene, server, &child);
    let spent = meter::wait(&mut child, Duration::from_secs(drive.seconds) + LEAVE)?;
    let complaint = || std::fs::read_to_string(out.join("complained")).unwrap_or_default();
    anyhow::ensure!(spent.status.success(), "it ended with {}: {}", spent.status, complaint());
    let (from, to) = metered?;
    std::thread::sleep(REST);
    let report: Report = serde_json::from_str(&server.ask("report")?)?;
    let said = tool.said(&std::fs::read_to_string(&printed)?, out)?;
    let peak_kib = spent.peak_kib.max(to.peak_kib);
    let took = to.at.duration_since(from.at).as_secs_f64();
    let mib = |kib: u64| kib as f64 / 1024.0;
    Ok(Bout {
        rps: (to.requests - from.requests) as f64 / took,
        cores: (to.tool - from.tool) / took,
        others: ((to.machine - from.machine) - (to.known - from.known)) / took,
        requests: report.requests,
        connections: report.connections,
        cpu: spent.cpu,
        peak_mib: mib(peak_kib),
        above_idle_mib: said.idle_kib.map(|idle| mib(peak_kib.saturating_sub(idle))),
        p95_ms: said.p95_ms.context("it made no request")?,
        truth_ms: report.p95_ms.context("the server saw no request")?,
    })
}

fn metered(scene: &Scene, server: &mut Server, child: &Child) -> anyhow::Result<(Reading, Reading)> {
    let since = Instant::now();
    while server.count()? == 0 {
        anyhow::ensure!(since.elapsed() < START, "no request came in {START:?}");
        anyhow::ensure!(!meter::ended(child)?, "it ended without a request");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_secs(scene.warm));
    let from = Reading::take(server, child)?;
    std::thread::sleep(Duration::from_secs(scene.window));
    Ok((from, Reading::take(server, child)?))
}
