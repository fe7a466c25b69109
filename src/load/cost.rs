//! What the stopwatch itself costs, for the benchmark: the same path that every request of a ramp takes, and no network.

use std::time::{Duration, Instant};

use super::answer::{CacheWord, Outcome};
use super::recorder::{Ended, Recorder};
use super::tally::{Settled, Tally};
use crate::domain::measurement::Measurement;
use crate::domain::ramp::RampEnd;

/// Time spent on so many requests of 100 users, and what became of them.
#[derive(Debug)]
pub struct Spent {
    /// At the users: a request begins, ends and is kept.
    pub recording: Duration,
    /// At the ramp, once a second: all that ended is counted into histograms.
    pub folding: Duration,
    /// The hold that they make.
    pub measurement: Measurement,
}

/// Records `per_second` requests for each second of a hold, with latencies spread evenly over 20 to 220 ms.
#[must_use]
pub fn stopwatch(seconds: u32, per_second: u32) -> Spent {
    const USERS: u32 = 100;
    let recorder = Recorder::new(USERS);
    let mut tally = Tally::new(vec!["home".into()], Duration::from_secs(2));
    tally.hold(Duration::ZERO, Duration::from_secs(u64::from(seconds)));
    let (mut recording, mut folding) = (Duration::ZERO, Duration::ZERO);
    let origin = Instant::now();
    for second in 0..seconds {
        let due = origin + Duration::from_secs(u64::from(second));
        let began = Instant::now();
        for i in 0..per_second {
            let latency = Duration::from_micros(20_000 + u64::from(i.wrapping_mul(7919) % 200_000));
            recorder.depart(Duration::ZERO);
            recorder.begin(i % USERS, 0, due).end(Ended {
                status: 200,
                latency,
                first_byte: latency / 2,
                outcome: Outcome::Success,
                bytes: 2000,
                cache: CacheWord::default(),
            });
        }
        recording += began.elapsed();
        let began = Instant::now();
        tally.fold(&recorder.drain());
        folding += began.elapsed();
    }
    let end = Duration::from_secs(u64::from(seconds) + 1);
    Spent { recording, folding, measurement: tally.finish(USERS, Settled::default(), end, RampEnd::Completed) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_timed_is_a_whole_measurement() {
        let spent = stopwatch(3, 200);
        let m = &spent.measurement;
        assert_eq!((m.requests, m.latency.count(), m.windows.len()), (600, 600, 3));
        assert_eq!(m.answers.bytes, 1_200_000);
        assert!(!spent.recording.is_zero() && !spent.folding.is_zero());
    }
}
