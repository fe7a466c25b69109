//! What the ramp must know of players in other processes: whether all they did has been heard, whether they can still be
//! trusted, how they feel.
//!
//! Filled by whoever listens to them. Knows no engine and no wire.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::health::p99;
use super::recorder::Recorder;
use crate::domain::ramp::GeneratorSample;

/// Players elsewhere.
#[derive(Debug)]
pub(super) struct Away {
    spoiled: OnceLock<String>,
    heard_out: AtomicBool,
    felt: Mutex<Felt>,
}

#[derive(Debug)]
struct Felt {
    /// How late timers woke, by process.
    lags: BTreeMap<String, Vec<Duration>>,
    /// Processor time of all, seconds.
    cpu: f64,
    since: Instant,
}

impl Away {
    /// Nothing has been heard yet.
    pub fn new() -> Self {
        let felt = Felt { lags: BTreeMap::new(), cpu: 0.0, since: Instant::now() };
        Self { spoiled: OnceLock::new(), heard_out: AtomicBool::new(false), felt: Mutex::new(felt) }
    }

    /// What they did is no longer what was asked for; the first reason stays.
    pub fn spoil(&self, why: impl Into<String>) {
        let _ = self.spoiled.set(why.into());
    }

    /// Why the measurement cannot be trusted.
    pub fn spoiled(&self) -> Option<String> {
        self.spoiled.get().cloned()
    }

    /// Every player has said, after the gate was shut, what it still has under way.
    pub fn heard_out(&self) {
        self.heard_out.store(true, Ordering::Release);
    }

    /// True while requests may have been made that nobody here has heard of.
    pub fn owing(&self) -> bool {
        !self.heard_out.load(Ordering::Acquire)
    }

    /// How a process feels: how late its timers woke, and the processor time it used since it last said so.
    pub fn feels(&self, who: &str, lags: impl Iterator<Item = Duration>, cpu: f64) {
        let mut felt = self.felt.lock().unwrap_or_else(PoisonError::into_inner);
        match felt.lags.get_mut(who) {
            Some(known) => known.extend(lags),
            None => _ = felt.lags.insert(who.to_owned(), lags.collect()),
        }
        felt.cpu += cpu;
    }

    /// The time since the last call: the worst process's lag, the processor time of all. Open files and control
    /// requests are not known.
    pub fn health(&self, recorder: &Recorder) -> GeneratorSample {
        let (lag, cpu) = {
            let mut felt = self.felt.lock().unwrap_or_else(PoisonError::into_inner);
            let lags = std::mem::take(&mut felt.lags);
            let cpu = std::mem::take(&mut felt.cpu) / felt.since.elapsed().as_secs_f64().max(0.001);
            felt.since = Instant::now();
            (lags.into_values().map(p99).max().unwrap_or_default(), cpu)
        };
        let departures = recorder.take_departures();
        GeneratorSample {
            lag_ms: lag.as_secs_f64() * 1000.0,
            cpu,
            socket_errors: recorder.take_socket_errors(),
            due: departures.due,
            late: departures.late,
            ..GeneratorSample::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_process_speaks_for_all() {
        let (away, recorder) = (Away::new(), Recorder::new(1));
        away.feels("a", (1..=100).map(Duration::from_millis), 0.5);
        away.feels("b", std::iter::once(Duration::from_millis(7)), 0.5);
        recorder.depart(Duration::from_millis(30));
        let sample = away.health(&recorder);
        assert_eq!((sample.lag_ms, sample.due, sample.late), (99.0, 1, 1));
        assert!(sample.cpu > 0.0 && sample.tainted());
        assert_eq!(away.health(&recorder).lag_ms, 0.0);
    }

    #[test]
    fn the_first_reason_stays() {
        let away = Away::new();
        assert!(away.owing() && away.spoiled().is_none());
        away.spoil("a worker was lost");
        away.spoil("the line broke");
        assert_eq!(away.spoiled().as_deref(), Some("a worker was lost"));
    }
}
