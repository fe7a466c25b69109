//! The exit code: what a script may conclude (`verdicts.md`).

use crate::domain::check::CheckOutcome;
use crate::domain::event::{Event, EventKind};
use crate::domain::progress::StepState;
use crate::domain::ramp::RampEnd;
use crate::domain::step::Level;
use crate::domain::verdict::RampOutcome;

/// Everything asked for is proven.
pub const PROVEN: u8 = 0;
/// Measured, and a check or an objective failed.
pub const FAILED: u8 = 1;
/// Usage, settings or a playbook are wrong.
pub const USAGE: u8 = 2;
/// Not enough evidence.
pub const INCONCLUSIVE: u8 = 3;
/// The generator was too weak, or blocked on the way.
pub const INVALID: u8 = 4;
/// The target is not proven ours, or a breaker tripped.
pub const UNSAFE: u8 = 5;
/// Stopped by SIGINT.
pub const INTERRUPTED: u8 = 130;
/// Stopped by SIGTERM.
pub const TERMINATED: u8 = 143;

/// Reads the exit code of one job off its events. Without an answer it is [`INCONCLUSIVE`]: silence proves nothing.
#[derive(Debug, Default)]
pub struct Tally {
    settled: bool,
    proven: bool,
    asked: bool,
    failed: bool,
    undecided: bool,
    invalid: bool,
    unsafe_: bool,
}

impl Tally {
    /// Takes one event of the job.
    pub fn see(&mut self, event: &Event) {
        match &event.kind {
            EventKind::CheckFinished { evidence } if evidence.level == Level::Required => {
                self.asked = true;
                match evidence.outcome {
                    CheckOutcome::Fail(_) => self.failed = true,
                    CheckOutcome::Weak(_) | CheckOutcome::Unknown(_) => self.undecided = true,
                    CheckOutcome::Pass | CheckOutcome::NotApplicable(_) => {}
                }
            }
            EventKind::RampFinished { verdict, measurement, .. } => {
                self.asked = true;
                match verdict.outcome {
                    RampOutcome::Pass => {}
                    RampOutcome::Fail => self.failed = true,
                    RampOutcome::Inconclusive => self.undecided = true,
                    RampOutcome::Invalid => self.invalid = true,
                    RampOutcome::Aborted => self.unsafe_ |= matches!(measurement.end, RampEnd::Aborted(_)),
                }
            }
            EventKind::RampFailed { unsafe_target, .. } => {
                self.unsafe_ |= unsafe_target;
                self.invalid |= !unsafe_target;
            }
            EventKind::StepJudged { state, .. } => {
                self.settled = true;
                self.proven = *state == StepState::Proven;
            }
            _ => {}
        }
    }

    /// The code for a job that was to prove a step.
    #[must_use]
    pub fn proving(&self) -> u8 {
        if self.settled && self.proven { PROVEN } else { self.trouble().unwrap_or(INCONCLUSIVE) }
    }

    /// The code for a job that was only to look (`verify`, `ramp`).
    #[must_use]
    pub fn looking(&self) -> u8 {
        self.trouble().unwrap_or(if self.asked { PROVEN } else { INCONCLUSIVE })
    }

    /// The worst that was seen: safety first, then a spoiled measurement, then a failure, then doubt.
    fn trouble(&self) -> Option<u8> {
        [(self.unsafe_, UNSAFE), (self.invalid, INVALID), (self.failed, FAILED), (self.undecided, INCONCLUSIVE)]
            .into_iter()
            .find_map(|(seen, code)| seen.then_some(code))
    }
}
