//! What the system says of a process: processor time and memory, from `/proc` (`proc(5)`).

use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, WaitId, WaitIdOptions};

/// Linux counts processor time in hundredths of a second for everyone (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// How often the peak is read: it is gone with the process.
const LOOK: Duration = Duration::from_millis(50);

/// User and system time of a process and of its children that have ended, seconds; also of one that has ended and was
/// not waited for yet.
pub fn cpu_seconds(pid: &str) -> Option<f64> {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).ok()?;
    // The second field is the program's name in brackets and may hold anything; the times are fields 14 to 17.
    let times: Vec<f64> =
        stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(4).filter_map(|t| t.parse().ok()).collect();
    Some(times.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// A line of a process's `status` that counts KiB.
pub fn status(pid: &str, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid).join("status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Processor time that the whole machine has spent working, seconds.
pub fn machine_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let times: Vec<f64> =
        stat.lines().next()?.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let idle = times.get(3)? + times.get(4)?;
    Some((times.iter().take(8).sum::<f64>() - idle) / TICKS_PER_SECOND)
}

/// Every tool, and the server, may open as many files as this process may at most.
pub fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Whoever then runs out of files says so.
    let _ = rustix::process::setrlimit(Resource::Nofile, limit);
}

/// What a process took in all.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// Processor time, seconds.
    pub cpu: f64,
    /// Most memory it ever held, KiB.
    pub peak_kib: u64,
    /// How it ended.
    pub status: ExitStatus,
}

/// Waits for a process's end; one that outlives `limit` is killed and is an error.
pub fn wait(child: &mut Child, limit: Duration) -> anyhow::Result<Spent> {
    let (since, name) = (Instant::now(), child.id().to_string());
    let mut peak_kib = 0;
    while !ended(child)? {
        if since.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("it did not end in {limit:?} and was killed");
        }
        peak_kib = status(&name, "VmHWM").unwrap_or_default().max(peak_kib);
        std::thread::sleep(LOOK);
    }
    let cpu = cpu_seconds(&name).ok_or_else(|| anyhow::anyhow!("its processor time could not be read"))?;
    Ok(Spent { cpu, peak_kib, status: child.wait()? })
}

/// Whether it has ended, without taking it away.
pub fn ended(child: &Child) -> anyhow::Result<bool> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| anyhow::anyhow!("no process"))?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    Ok(rustix::process::waitid(WaitId::Pid(pid), options)?.is_some())
}
