//! When flows begin in the open model: by chance, at a rate of their own, whether or not anybody is free to begin.
//!
//! Knows nothing of users or requests: it hands out instants after the climb began, in order.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// A Poisson process whose rate rises evenly over the climb, then stays.
#[derive(Debug)]
pub(super) struct Arrivals {
    /// Beginnings a second after the climb.
    rate: f64,
    /// Seconds.
    climb: f64,
    next: Mutex<Next>,
}

#[derive(Debug)]
struct Next {
    /// Expected number of beginnings until the next one: grows by unit exponentials.
    expected: f64,
    due: Duration,
    dice: SmallRng,
}

impl Arrivals {
    /// The same seed gives the same instants.
    pub fn new(rate: f64, climb: Duration, seed: u64) -> Self {
        let dice = SmallRng::seed_from_u64(seed);
        let arrivals = Self {
            rate: rate.max(f64::MIN_POSITIVE),
            climb: climb.as_secs_f64(),
            next: Mutex::new(Next { expected: 0.0, due: Duration::ZERO, dice }),
        };
        arrivals.take();
        arrivals
    }

    /// Takes the next beginning, which may lie in the future, or in the past when nobody was free for it.
    pub fn take(&self) -> Duration {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let due = next.due;
        next.expected -= (1.0 - next.dice.random::<f64>()).ln();
        next.due = self.at(next.expected);
        due
    }

    /// Takes it only when it is due before `now`.
    pub fn take_overdue(&self, now: Duration) -> Option<Duration> {
        (self.next_due() < now).then(|| self.take())
    }

    /// The next beginning that nobody has taken.
    pub fn next_due(&self) -> Duration {
        self.next.lock().unwrap_or_else(PoisonError::into_inner).due
    }

    /// When so many beginnings are expected: the inverse of the integrated rate, `r·t²/2c` in a climb of length `c` and
    /// `r·(t − c/2)` after it.
    fn at(&self, expected: f64) -> Duration {
        let in_climb = self.rate * self.climb / 2.0;
        let seconds = if expected < in_climb {
            (2.0 * self.climb * expected / self.rate).sqrt()
        } else {
            expected / self.rate + self.climb / 2.0
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_climbs_evenly_then_stays_and_gaps_are_a_matter_of_chance() {
        let arrivals = Arrivals::new(100.0, Duration::from_secs(10), 7);
        let dues: Vec<f64> =
            std::iter::repeat_with(|| arrivals.take().as_secs_f64()).take_while(|t| *t < 110.0).collect();
        assert!(dues.is_sorted());
        let within = |from: f64, to: f64| dues.iter().filter(|t| (from..to).contains(*t)).count();
        // Expected 125, 375 and 10 000, each give or take four standard deviations.
        assert!((80..170).contains(&within(0.0, 5.0)), "{}", within(0.0, 5.0));
        assert!((297..453).contains(&within(5.0, 10.0)), "{}", within(5.0, 10.0));
        assert!((9600..10400).contains(&within(10.0, 110.0)), "{}", within(10.0, 110.0));
        // A share of 1/e of exponential gaps is longer than their mean.
        let gaps: Vec<f64> = dues.windows(2).filter(|w| w[0] > 10.0).map(|w| w[1] - w[0]).collect();
        let long = gaps.iter().filter(|gap| **gap > 0.01).count() as f64 / gaps.len() as f64;
        assert!((long - 0.368).abs() < 0.03, "{long}");
    }

    #[test]
    fn what_is_not_yet_due_is_not_overdue() {
        let arrivals = Arrivals::new(10.0, Duration::ZERO, 1);
        let next = arrivals.next_due();
        assert_eq!(arrivals.take_overdue(next), None);
        assert_eq!(arrivals.take_overdue(next + Duration::from_micros(1)), Some(next));
        assert!(arrivals.next_due() > next);
    }
}
