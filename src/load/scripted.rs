//! A driver that plays what it was told: for tests of whoever drives, with no network and no waiting.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{BoxFuture, Driver, LoadError, Order, Signal};
use crate::domain::measurement::{ErrorKinds, Histogram, Measurement, Window};
use crate::domain::ramp::RampEnd;

/// Plays a queue of scripts, one a ramp.
#[derive(Debug, Default)]
pub struct ScriptedDriver {
    scripts: Mutex<Vec<Script>>,
}

/// One ramp as it will appear to have gone.
#[derive(Debug)]
pub struct Script {
    /// Signals sent in order, before the end.
    pub signals: Vec<Signal>,
    /// What is handed back.
    pub end: Result<Measurement, LoadError>,
    /// Wait for the order's stop before ending, as a ramp does that a person breaks off; the end becomes `Aborted`.
    pub until_stopped: bool,
}

impl ScriptedDriver {
    /// Plays these, first one first.
    #[must_use]
    pub fn new(mut scripts: Vec<Script>) -> Self {
        scripts.reverse();
        Self { scripts: Mutex::new(scripts) }
    }
}

impl Driver for ScriptedDriver {
    fn drive(&self, order: Order) -> BoxFuture<'static, Result<Measurement, LoadError>> {
        let script = self.scripts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        Box::pin(async move {
            let Some(script) = script else {
                return Err(LoadError::Engine("the scripted driver has no ramp left to play".into()));
            };
            for signal in script.signals {
                let _ = order.pulses.send(signal);
            }
            if script.until_stopped {
                order.stop.cancelled().await;
                return script.end.map(|m| Measurement { end: RampEnd::Aborted("stopped by a person".into()), ..m });
            }
            script.end
        })
    }
}

/// A completed hold of whole `seconds` without errors, the latencies (ms) dealt evenly over its windows.
#[must_use]
pub fn clean_hold(users: u32, seconds: u32, latencies_ms: &[f64]) -> Measurement {
    let mut latency = Histogram::new();
    let mut windows = vec![Window::default(); seconds as usize];
    let count = windows.len().max(1);
    for (i, ms) in latencies_ms.iter().enumerate() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "tests give small positive numbers"
        )]
        let micros = (ms * 1000.0) as u64;
        latency.record(micros);
        if let Some(window) = windows.get_mut(i % count) {
            window.requests += 1;
            window.latency.record(micros);
        }
    }
    Measurement {
        users,
        hold_seconds: f64::from(seconds),
        settle_seconds: 0.0,
        settle_limit_reached: false,
        requests: latency.count(),
        errors: ErrorKinds::default(),
        blocked: 0,
        first_byte: latency.clone(),
        latency,
        endpoints: BTreeMap::new(),
        windows,
        end: RampEnd::Completed,
        ..Measurement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::slo::Slo;
    use crate::domain::verdict::{RampOutcome, judge};

    #[test]
    fn a_clean_hold_is_one_the_judge_believes() {
        let of = |ms: f64| clean_hold(10, 60, &(0..6000).map(|i| ms + f64::from(i / 60 % 20)).collect::<Vec<_>>());
        let passed = judge(&of(50.0), &Slo::default(), &[]);
        assert_eq!(passed.outcome, RampOutcome::Pass, "{}", passed.sentence);
        assert_eq!(judge(&of(500.0), &Slo::default(), &[]).outcome, RampOutcome::Fail);
    }
}
