//! Do workers keep up? A queue that returns to almost nothing while all users are there is kept up with, however high its
//! waves; one whose lowest point rises is not, however slowly. Rules over series, no clock.

use serde::{Deserialize, Serialize};

use crate::stats::growth::growth;

use super::measurement::{FarSide, series};

/// Seconds over which increments are taken: some tasks come and go in each.
const BATCH: usize = 5;
const CONFIDENCE: f64 = 0.95;
/// A worker's last word of what it is at may be so old, seconds.
const SAID: u32 = 3;
/// Readings whose mean is the end.
const END: usize = 3;

/// What was waiting for a worker, besides what workers are at, while all users were there.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Backlog {
    /// The least in each third of the hold.
    pub lows: [f64; 3],
    /// The most in the last third, and what was left at the end.
    pub most: f64,
    /// See `most`.
    pub end: f64,
    /// Growth in tasks a second from when all users were there, and its lower bound; none for a hold that is too short.
    pub growth: Option<[f64; 2]>,
}

/// What to make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The workers keep up.
    Kept,
    /// They do not.
    Behind,
    /// It grew, and may have by chance.
    Open,
}

impl Backlog {
    /// From what was sampled: the hold in thirds, and the growth since `users` were there. None without a hold.
    #[must_use]
    pub fn of(far_side: &FarSide, users: u32) -> Option<Self> {
        let (from, to) = far_side.hold?;
        let here = |(_, count): &(u32, f64)| *count >= f64::from(users);
        let full = far_side.series(series::LOAD_USERS).find(here).map_or(from, |(second, _)| second.min(from));
        let active: Vec<(u32, f64)> = far_side.series(series::QUEUE_ACTIVE).collect();
        let at = |second: u32| {
            let said = active.iter().rev().find(|(when, _)| *when <= second);
            said.filter(|(when, _)| second - when <= SAID).map_or(0.0, |(_, count)| *count)
        };
        let waits = |(second, depth): (u32, f64)| (second, (depth - at(second)).max(0.0));
        let all: Vec<(u32, f64)> =
            far_side.series(series::QUEUE_DEPTH).filter(|(s, _)| (full..to).contains(s)).map(waits).collect();
        let held: Vec<f64> = all.iter().filter(|(second, _)| *second >= from).map(|(_, value)| *value).collect();
        if held.is_empty() {
            return None;
        }
        let third = held.len().div_ceil(3);
        let part = |n: usize| &held[(n * third).min(held.len() - 1)..((n + 1) * third).min(held.len())];
        let low = |n: usize| part(n).iter().copied().reduce(f64::min);
        let low = |n: usize| low(n).or_else(|| held.last().copied()).unwrap_or(0.0);
        let grew = growth(&all.iter().map(|(_, value)| *value).collect::<Vec<_>>(), BATCH, CONFIDENCE);
        let last: Vec<f64> = held.iter().rev().take(END).copied().collect();
        #[expect(clippy::cast_precision_loss, reason = "three readings")]
        let end = last.iter().sum::<f64>() / last.len() as f64;
        Some(Self {
            lows: [low(0), low(1), low(2)],
            most: part(2).iter().copied().fold(0.0, f64::max),
            end,
            growth: grew.map(|grew| [grew.per_step, grew.low]),
        })
    }

    /// What it means when `rate` tasks a second came in: growth under a share of `tolerated` of them is none.
    #[must_use]
    pub fn pace(&self, rate: f64, tolerated: f64) -> Pace {
        let [first, middle, last] = self.lows;
        // Half a second's tasks may wait at any instant, and two readings are never of the same one.
        let few = 2.0 + rate / 2.0;
        if last <= few || last <= first {
            return Pace::Kept;
        }
        let Some([growth, surely]) = self.growth else { return Pace::Open };
        let more_than_tolerated = growth > tolerated * rate;
        if more_than_tolerated && (surely > 0.0 || (first < middle && middle < last && last - first > few)) {
            return Pace::Behind;
        }
        // Half of what had come in at once is done by now; or it is long and grows no longer.
        if self.end <= self.most / 2.0 || !more_than_tolerated {
            return Pace::Kept;
        }
        Pace::Open
    }
}

#[cfg(test)]
mod tests;
