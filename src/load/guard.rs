//! The breakers: they protect the people on the site, so they look every second and know no mercy.
//!
//! Pure: a second comes in, a reason to stop may come out.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::domain::ramp::RampEnd;
use crate::domain::slo::Slo;

/// What trips a breaker (`verdicts.md`).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limits {
    /// Failed share of the requests, 0 to 1.
    pub error_share: f64,
    /// p95, and the age of requests under way, ms: five times the promise.
    pub slow_ms: f64,
    /// Seconds it must have gone wrong for.
    pub span: usize,
    /// With fewer requests in the span than this, more seconds are looked at: three requests prove nothing.
    pub least: u64,
    /// Failures in a row of the health endpoint.
    pub health_failures: u32,
}

impl Limits {
    /// The limits that a promise asks for.
    pub fn of(slo: &Slo) -> Self {
        Self { error_share: 0.05, slow_ms: slo.p95_ms * 5.0, span: 10, least: 20, health_failures: 3 }
    }

    /// Age at which a request under way counts as stuck.
    pub fn stuck_after(&self) -> Duration {
        Duration::try_from_secs_f64(self.slow_ms / 1000.0).unwrap_or(Duration::MAX)
    }
}

/// One second, as the breakers see it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Glance {
    /// Requests that ended.
    pub finished: u64,
    /// Failed ones.
    pub errors: u64,
    /// Successful ones.
    pub answers: u64,
    /// Of these, slower than [`Limits::stuck_after`].
    pub slow: u64,
    /// Users let in.
    pub users: u32,
    /// Requests under way that are older than [`Limits::stuck_after`].
    pub stuck: u32,
    /// Age of the oldest, ms.
    pub oldest_ms: f64,
    /// Failures in a row of the health endpoint.
    pub health_failures: u32,
}

/// Why the ramp must end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Trip {
    /// Too many errors.
    Errors { percent: f64, limit: f64, seconds: usize },
    /// Too slow.
    Slow { percent: f64, limit: f64, seconds: usize },
    /// Requests hang.
    Stuck { requests: u32, oldest_ms: f64, limit: f64, seconds: usize },
    /// The site says that it is ill.
    Health { failures: u32 },
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors { percent, limit, seconds } => {
                write!(f, "error rate {percent:.1} % over {seconds} s (breaker at {limit:.0} %)")
            }
            Self::Slow { percent, limit, seconds } => write!(
                f,
                "p95 over {limit:.0} ms, five times its limit, over {seconds} s: {percent:.1} % of the answers were slower"
            ),
            Self::Stuck { requests, oldest_ms, limit, seconds } => write!(
                f,
                "{requests} requests without an answer for more than {limit:.0} ms during {seconds} s, \
                 the oldest for {oldest_ms:.0} ms"
            ),
            Self::Health { failures } => write!(f, "the health endpoint failed {failures} times in a row"),
        }
    }
}

impl Trip {
    /// How a ramp ends when the generator itself was unwell meanwhile: nobody can say then whose fault it was.
    pub fn by_ourselves(&self, users: u32) -> RampEnd {
        RampEnd::Invalid(format!(
            "a breaker tripped at {users} users ({self}) while the load generator itself was unwell, so this says nothing \
             of the app; measure from a machine with more free CPU or sockets"
        ))
    }
}

/// The breakers' memory.
#[derive(Debug)]
pub(super) struct Guard {
    limits: Limits,
    recent: VecDeque<Glance>,
    stuck_seconds: usize,
}

impl Guard {
    /// Seconds looked back at most, when requests are few.
    const REACH: usize = 60;

    /// Watches with these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, recent: VecDeque::new(), stuck_seconds: 0 }
    }

    /// Takes in a second.
    pub fn look(&mut self, glance: &Glance) -> Option<Trip> {
        if self.recent.len() == Self::REACH {
            self.recent.pop_front();
        }
        self.recent.push_back(*glance);
        self.stuck(glance).or_else(|| self.unwell(glance)).or_else(|| self.pooled())
    }

    /// A stalled server completes nothing, so completions alone would go blind. One slow request is no stall: at
    /// least two, and one user in twenty, must hang in every second of the span.
    fn stuck(&mut self, glance: &Glance) -> Option<Trip> {
        let many = (glance.users / 20).max(2).min(glance.users.max(1));
        self.stuck_seconds = if glance.stuck >= many { self.stuck_seconds + 1 } else { 0 };
        (self.stuck_seconds >= self.limits.span).then_some(Trip::Stuck {
            requests: glance.stuck,
            oldest_ms: glance.oldest_ms,
            limit: self.limits.slow_ms,
            seconds: self.stuck_seconds,
        })
    }

    fn unwell(&self, glance: &Glance) -> Option<Trip> {
        let failures = glance.health_failures;
        (failures >= self.limits.health_failures).then_some(Trip::Health { failures })
    }

    /// The shortest look back that spans enough seconds and enough requests.
    #[expect(clippy::cast_precision_loss, reason = "counts of a minute")]
    fn pooled(&self) -> Option<Trip> {
        let mut sum = Glance::default();
        let mut seconds = 0;
        for second in self.recent.iter().rev() {
            sum.finished += second.finished;
            sum.errors += second.errors;
            sum.answers += second.answers;
            sum.slow += second.slow;
            seconds += 1;
            if seconds >= self.limits.span && sum.finished >= self.limits.least {
                break;
            }
        }
        if seconds < self.limits.span || sum.finished < self.limits.least {
            return None;
        }
        let errors = sum.errors as f64 / sum.finished as f64;
        if errors > self.limits.error_share {
            let limit = self.limits.error_share * 100.0;
            return Some(Trip::Errors { percent: errors * 100.0, limit, seconds });
        }
        // The 95th percentile lies over a limit exactly when more than 5 % do.
        let slow = sum.slow as f64 / sum.answers.max(1) as f64;
        (slow > 0.05).then_some(Trip::Slow { percent: slow * 100.0, limit: self.limits.slow_ms, seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        finished: u64,
        errors: u64,
        slow: bool,
        users: u32,
        stuck: u32,
        health: u32,
    }

    /// The second, from 1, at which it trips within a minute and a half.
    fn trips(case: &Case) -> Option<(usize, String)> {
        let mut guard = Guard::new(Limits::of(&Slo::default()));
        (1..=90).find_map(|second| {
            let answers = case.finished - case.errors;
            let glance = Glance {
                finished: case.finished,
                errors: case.errors,
                answers,
                slow: if case.slow { answers } else { 0 },
                users: case.users,
                stuck: case.stuck,
                oldest_ms: 3000.0,
                health_failures: case.health,
            };
            guard.look(&glance).map(|trip| (second, trip.to_string()))
        })
    }

    #[test]
    fn breakers_trip_when_they_should_and_only_then() {
        let calm = Case { finished: 100, errors: 0, slow: false, users: 100, stuck: 0, health: 0 };
        for (name, case, expected) in [
            ("calm", Case { ..calm }, None),
            ("errors at the limit", Case { errors: 5, ..calm }, None),
            ("errors over it", Case { errors: 6, ..calm }, Some((10, "error rate 6.0 %"))),
            ("nothing but errors", Case { errors: 100, ..calm }, Some((10, "error rate 100.0 %"))),
            ("few requests wait for twenty", Case { finished: 1, errors: 1, ..calm }, Some((20, "over 20 s"))),
            ("five times as slow", Case { slow: true, ..calm }, Some((10, "p95 over 1500 ms"))),
            ("a stalled server", Case { finished: 0, stuck: 100, ..calm }, Some((10, "100 requests without"))),
            ("one user in twenty hangs", Case { stuck: 5, ..calm }, Some((10, "5 requests"))),
            ("fewer do", Case { stuck: 4, ..calm }, None),
            ("one of ten users hangs", Case { users: 10, stuck: 1, ..calm }, None),
            ("the only user hangs", Case { users: 1, stuck: 1, ..calm }, Some((10, "1 requests"))),
            ("health fails twice", Case { health: 2, ..calm }, None),
            ("health fails thrice", Case { health: 3, ..calm }, Some((1, "3 times"))),
            ("nobody asks anything", Case { finished: 0, ..calm }, None),
        ] {
            let seen = trips(&case);
            assert_eq!(seen.as_ref().map(|s| s.0), expected.map(|e| e.0), "{name}: {seen:?}");
            if let (Some((_, said)), Some((_, words))) = (seen, expected) {
                assert!(said.contains(words), "{name}: {said}");
            }
        }
    }

    #[test]
    fn one_slow_answer_in_twenty_is_not_p95_yet() {
        let after_ten = |slow| {
            let mut guard = Guard::new(Limits::of(&Slo::default()));
            let second = Glance { finished: 100, answers: 100, slow, users: 10, ..Glance::default() };
            (0..10).filter_map(|_| guard.look(&second)).next()
        };
        assert_eq!(after_ten(5), None);
        assert!(matches!(after_ten(6), Some(Trip::Slow { seconds: 10, .. })));
    }

    #[test]
    fn a_stall_that_ends_is_forgiven() {
        let mut guard = Guard::new(Limits::of(&Slo::default()));
        let second = |stuck| Glance { users: 10, stuck, finished: 5, ..Glance::default() };
        for _ in 0..5 {
            assert!((0..9).all(|_| guard.look(&second(10)).is_none()));
            assert!(guard.look(&second(0)).is_none());
        }
    }
}
