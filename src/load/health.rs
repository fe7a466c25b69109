//! How the generator itself feels: does its runtime wake on time, do requests leave on time, what do its own
//! requests take, what does it use, did it run out of sockets.
//!
//! When it does not feel well, what it measures is its own weakness; the verdict must know.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::control::Control;
use super::limits;
use super::recorder::Recorder;
use crate::domain::ramp::GeneratorSample;

/// Pause between two probes of the timer.
const PROBE: Duration = Duration::from_millis(5);
/// Linux counts processor time in hundredths of a second for everyone (`USER_HZ`, `proc(5)`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Watches the runtime that it was started on.
#[derive(Debug)]
pub(super) struct Health {
    probes: Arc<Mutex<Probes>>,
    control: Control,
    cpu: Option<f64>,
    looked: Instant,
}

#[derive(Debug)]
struct Probes {
    lateness: Vec<Duration>,
    /// When the probe that sleeps now should wake.
    next: Instant,
}

impl Health {
    /// Starts probing on the current runtime until that ends.
    pub fn start() -> Self {
        let probes = Arc::new(Mutex::new(Probes { lateness: Vec::new(), next: Instant::now() + PROBE }));
        tokio::spawn(probe(Arc::downgrade(&probes)));
        Self { probes, control: Control::start(), cpu: cpu_seconds(), looked: Instant::now() }
    }

    /// The time since the last call.
    pub fn take(&mut self, recorder: &Recorder) -> GeneratorSample {
        let now = Instant::now();
        let lag = {
            let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
            let mut lateness = std::mem::take(&mut probes.lateness);
            // A probe that has not woken yet is late already.
            lateness.push(now.saturating_duration_since(probes.next));
            p99(lateness)
        };
        let (cpu, elapsed) = (cpu_seconds(), now.duration_since(self.looked).as_secs_f64());
        let used = cpu.zip(self.cpu).map_or(0.0, |(now, before)| (now - before) / elapsed.max(0.001));
        (self.cpu, self.looked) = (cpu, now);
        let departures = recorder.take_departures();
        GeneratorSample {
            lag_ms: lag.as_secs_f64() * 1000.0,
            cpu: used,
            sockets: open_files(),
            socket_errors: recorder.take_socket_errors(),
            socket_limit: limits::allowed(),
            due: departures.due,
            late: departures.late,
            control_ms: self.control.take().as_secs_f64() * 1000.0,
        }
    }
}

async fn probe(probes: std::sync::Weak<Mutex<Probes>>) {
    loop {
        let due = Instant::now() + PROBE;
        {
            let Some(probes) = probes.upgrade() else { return };
            probes.lock().unwrap_or_else(PoisonError::into_inner).next = due;
        }
        tokio::time::sleep_until(due.into()).await;
        let Some(probes) = probes.upgrade() else { return };
        let late = due.elapsed();
        probes.lock().unwrap_or_else(PoisonError::into_inner).lateness.push(late);
    }
}

pub(super) fn p99(mut lateness: Vec<Duration>) -> Duration {
    lateness.sort_unstable();
    let rank = (lateness.len() * 99).div_ceil(100).max(1);
    lateness.get(rank - 1).copied().unwrap_or_default()
}

/// Processor time of this process so far, in seconds; none where the system does not keep `/proc`.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in brackets and may hold anything; user and system time are the 14th and 15th.
    let mut after = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = after.next()?.parse().ok()?;
    let system: f64 = after.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn open_files() -> u32 {
    std::fs::read_dir("/dev/fd").map_or(0, |files| u32::try_from(files.count()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blocked_runtime_is_noticed() {
        let mut health = Health::start();
        let recorder = Recorder::new(1);
        recorder.socket_error();
        tokio::time::sleep(Duration::from_millis(100)).await;
        std::thread::sleep(Duration::from_millis(120));
        let sample = health.take(&recorder);
        assert!(sample.lag_ms > 90.0, "{sample:?}");
        assert!(sample.socket_errors == 1 && sample.sockets > 0 && sample.tainted());
        assert_eq!(health.take(&recorder).socket_errors, 0);
    }

    #[test]
    fn the_99th_of_a_hundred() {
        assert_eq!(p99((1..=100).map(Duration::from_millis).collect()), Duration::from_millis(99));
        assert_eq!(p99(vec![Duration::from_millis(4)]), Duration::from_millis(4));
    }
}
