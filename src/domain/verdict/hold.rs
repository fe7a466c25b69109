//! A measurement laid out for judging: its seconds as tables, and whether it may be judged at all.

use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

use crate::domain::measurement::{Measurement, Window};
use crate::domain::ramp::{GeneratorSample, Sign};
use crate::domain::verdict::{BLOCKED_LIMIT, TAINTED_LIMIT};
use crate::stats::batches;
use crate::stats::bootstrap::Bootstrap;
use crate::stats::effective::design_effect;
use crate::stats::seconds::{Counts, Seconds, Stretch, Sums};

/// Length of a bootstrap block, seconds: longer than the echo of a request in the next ones, short enough that a
/// minute holds a dozen.
pub const BLOCK: usize = 5;

/// Lengths of the batches that show what lasts longer than a block, seconds: queues that fill and drain, a cache that
/// expires, a noisy neighbour. Longer ones would leave too few in a minute.
const BATCHES: [usize; 2] = [10, 20];

/// Length of the window whose worst p95 is shown, seconds.
pub const WORST: usize = 10;

/// The bootstrap's seed: constant, so that the same measurement always gets the same verdict.
const SEED: u64 = 0x7261_6d70_7570;

/// A run of seconds of a hold: latencies in µs, failures and trials (requests that were not blocked).
#[derive(Clone)]
pub struct Part {
    /// Latency of the successes, of the whole hold.
    pub latency: Rc<Seconds>,
    /// Failed requests, of the whole hold.
    pub errors: Rc<Sums>,
    /// Requests that count, of the whole hold.
    pub trials: Rc<Sums>,
    /// Which seconds this part is about.
    seconds: Range<usize>,
    /// Draws of its blocks; none when it is too short.
    pub bootstrap: Option<Bootstrap>,
    /// One-sided confidence of every bound.
    pub confidence: f64,
}

impl Part {
    /// The same with bounds of another confidence; the bootstrap keeps its own.
    pub fn at(&self, confidence: f64) -> Self {
        Self { confidence, ..self.clone() }
    }

    /// Its seconds, as the tables want them.
    pub fn all(&self) -> &[Stretch] {
        std::slice::from_ref(&self.seconds)
    }

    /// Successes.
    pub fn count(&self) -> u64 {
        self.latency.count(self.all())
    }

    /// Failed requests.
    pub fn failures(&self) -> u64 {
        self.errors.of(self.all())
    }

    /// Requests that count.
    pub fn tried(&self) -> u64 {
        self.trials.of(self.all())
    }

    /// Successes slower than this many µs.
    pub fn slower(&self, micros: u64) -> u64 {
        self.latency.over(self.all(), micros)
    }

    /// Design effect of being slower than this many µs.
    pub fn slow_effect(&self, micros: u64) -> f64 {
        let slow = Sums::new(self.latency.over_each(micros));
        let served = Sums::new(self.latency.over_each(0));
        design_effect(&slow, &served, &self.seconds, BLOCK, self.confidence)
    }

    /// How far the true share of requests slower than this many µs may lie from that seen, by long batches.
    pub fn slow_distance(&self, micros: u64) -> Option<f64> {
        let slow = Sums::new(self.latency.over_each(micros));
        let served = Sums::new(self.latency.over_each(0));
        batches::distance(&slow, &served, &self.seconds, &BATCHES, self.confidence)
    }

    /// How high a quantile may truly be, ms, by what it is in each of some long batches.
    pub fn highest(&self, quantile: f64) -> Option<f64> {
        let of = |batch: &Range<usize>| self.latency.quantile(std::slice::from_ref(batch), quantile).map(ms);
        batches::highest(of, &self.seconds, &BATCHES, self.confidence)
    }

    /// The same for the share of failures.
    pub fn error_distance(&self) -> Option<f64> {
        batches::distance(&self.errors, &self.trials, &self.seconds, &BATCHES, self.confidence)
    }

    /// Design effect of failing.
    pub fn error_effect(&self) -> f64 {
        design_effect(&self.errors, &self.trials, &self.seconds, BLOCK, self.confidence)
    }
}

/// The whole hold.
pub struct Hold<'a> {
    /// What was measured.
    pub measurement: &'a Measurement,
    /// All its seconds.
    pub whole: Part,
}

impl<'a> Hold<'a> {
    /// Lays out a measurement.
    pub fn new(measurement: &'a Measurement, confidence: f64) -> Self {
        let windows = &measurement.windows;
        let lists: Vec<Counts> = windows.iter().map(|w| w.latency.buckets().collect()).collect();
        let seconds = 0..windows.len();
        let whole = Part {
            latency: Rc::new(Seconds::new(&lists)),
            errors: Rc::new(Sums::new(windows.iter().map(|w| w.errors))),
            trials: Rc::new(Sums::new(windows.iter().map(|w| w.requests.saturating_sub(w.blocked)))),
            bootstrap: Bootstrap::new(seconds.clone(), BLOCK, confidence, SEED),
            seconds,
            confidence,
        };
        Self { measurement, whole }
    }

    /// Some of its seconds as a part of their own, with bounds of this confidence.
    pub fn part(&self, seconds: Range<usize>, confidence: f64) -> Part {
        let bootstrap = Bootstrap::new(seconds.clone(), BLOCK, confidence, SEED);
        Part { bootstrap, seconds, confidence, ..self.whole.clone() }
    }

    /// How many seconds it has.
    pub fn seconds(&self) -> usize {
        self.whole.seconds.end
    }

    /// The worst p95 of any ten seconds, ms, and the second it began; none for a shorter hold or one without a success.
    pub fn worst_window(&self) -> Option<(f64, u32)> {
        let last = self.seconds().checked_sub(WORST)?;
        (0..=last)
            .filter_map(|from| {
                Some((self.whole.latency.quantile(std::slice::from_ref(&(from..from + WORST)), 0.95)?, from))
            })
            // The earliest of equals: a person looks there first.
            .max_by_key(|(p95, from)| (*p95, std::cmp::Reverse(*from)))
            .map(|(p95, from)| (ms(p95), u32::try_from(from).unwrap_or(u32::MAX)))
    }

    /// Share of seconds in which the generator was unwell; 0 without seconds.
    pub fn tainted(&self) -> f64 {
        let windows = &self.measurement.windows;
        share(windows.iter().filter(|w| w.generator.tainted()).count() as u64, windows.len() as u64)
    }

    /// Why this measurement says nothing about the app, and what to do; none when it may be judged.
    pub fn spoiled(&self, tainted: f64) -> Option<String> {
        let m = self.measurement;
        if !self.adds_up() {
            return Some(format!(
                "the record does not add up ({} requests in all, {} in its seconds, {} by their outcome, {} seconds of \
                 {:.0}), so it proves nothing; this is a fault of rampup, please report it with the run log",
                m.requests,
                m.windows.iter().map(|w| w.requests).sum::<u64>(),
                m.latency.count() + m.errors.total() + m.blocked,
                m.windows.len(),
                m.hold_seconds,
            ));
        }
        if share(m.blocked, m.requests) > BLOCKED_LIMIT {
            return Some(format!(
                "{} of {} requests ({:.1} %) were answered by the edge or the platform, not by the app; allow this \
                 machine's address or the test header past the rate limit, bot and challenge rules for the time of the \
                 ramp, then run again",
                m.blocked,
                m.requests,
                share(m.blocked, m.requests) * 100.0,
            ));
        }
        if tainted > TAINTED_LIMIT {
            return Some(format!(
                "the load generator itself was unwell at {} users in {:.0} % of the seconds{} ({}); measure from a machine \
                 with more free CPU or sockets",
                m.users,
                tainted * 100.0,
                self.unwell_since(),
                self.signs().join(", "),
            ));
        }
        None
    }

    fn unwell_since(&self) -> String {
        let m = self.measurement;
        let began = m.windows.iter().position(|w| w.generator.tainted()).unwrap_or(0);
        match m.unwell_from {
            Some(users) if users < m.users => format!(", and had been since {users} users"),
            _ => format!(", from second {began} of the hold"),
        }
    }

    /// What the generator suffered from, each with its worst value.
    fn signs(&self) -> Vec<String> {
        let ill: Vec<_> = self.measurement.windows.iter().map(|w| &w.generator).filter(|g| g.tainted()).collect();
        let worst = |of: fn(&GeneratorSample) -> f64| ill.iter().map(|g| of(g)).fold(0.0, f64::max);
        let sum = |of: fn(&GeneratorSample) -> u32| ill.iter().map(|g| u64::from(of(g))).sum::<u64>();
        let seen: BTreeSet<Sign> = ill.iter().flat_map(|g| g.signs()).collect();
        let said = |sign: &Sign| match sign {
            Sign::Lag => format!("timer lag up to {:.0} ms", worst(|g| g.lag_ms)),
            Sign::Late => format!("{} of {} requests left late", sum(|g| g.late), sum(|g| g.due)),
            Sign::Control => format!("its own control request took up to {:.0} ms", worst(|g| g.control_ms)),
            Sign::SocketErrors => format!("{} local socket errors", sum(|g| g.socket_errors)),
            Sign::Sockets => {
                let open = worst(|g| f64::from(g.sockets));
                format!("{open:.0} of {:.0} allowed files open", worst(|g| f64::from(g.socket_limit)))
            }
        };
        seen.iter().map(said).collect()
    }

    /// Totals and seconds tell the same story, and no second of the hold is missing.
    fn adds_up(&self) -> bool {
        let m = self.measurement;
        let sum = |of: fn(&Window) -> u64| m.windows.iter().map(of).sum::<u64>();
        #[expect(clippy::cast_precision_loss, reason = "some hundreds of seconds")]
        let seconds = m.windows.len() as f64;
        m.requests == m.latency.count() + m.errors.total() + m.blocked
            && (m.requests == 0 || seconds + 1.0 >= m.hold_seconds)
            && sum(|w| w.requests) == m.requests
            && sum(|w| w.errors) == m.errors.total()
            && sum(|w| w.blocked) == m.blocked
            && sum(|w| w.latency.count()) == m.latency.count()
    }
}

/// Part of a whole, 0 to 1; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Milliseconds from µs.
#[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^52 µs")]
pub fn ms(micros: u64) -> f64 {
    micros as f64 / 1000.0
}
