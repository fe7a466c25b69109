//! Simulated holds with a *known* truth: the yardstick that verdicts are measured against.
//!
//! Shared by the test (few holds) and the benchmark `truth` (hundreds). Knows nothing of how a verdict is made:
//! it draws requests, files them into a measurement as a driver would, and counts the answers.

use std::collections::BinaryHeap;
use std::ops::Range;
use std::time::Duration;

use rampup::domain::flow::Mix;
use rampup::domain::measurement::{ErrorKind, ErrorKinds, Histogram, Measurement, Window};
use rampup::domain::ramp::{Model, RampEnd, RampPlan};
use rampup::domain::slo::Slo;
use rampup::domain::verdict::{Next, RampOutcome, Verdict, after_look, judge_looked};
use rand::{Rng, SeedableRng, rngs::SmallRng};

/// How a simulated app behaves. All but `Errors*` have no errors and a true p95 of `truth` times the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Law {
    /// Independent lognormal latencies.
    Lognormal,
    /// Nine in ten from a cache, one in ten twelve times slower: p95 lies on the slow hump's flank.
    Bimodal,
    /// Users that think, ask, wait and think again, before a few workers whose service is slow enough to bring p95
    /// there: requests wait for each other.
    Queue,
    /// A level that wanders and comes back within some seconds (an autoregression, 0.8 from second to second).
    Wander,
    /// Slower and slower: from 0.7 of the truth at the start to the truth itself at the planned end, and there it stays.
    Drift,
    /// Lognormal, and in one random second everything takes ten times as long.
    BadSecond,
    /// Independent failures, at a true rate of `truth` times the limit; latency is far from its limit.
    Errors,
    /// Failures in bursts: every eighth second or so, for two seconds.
    ErrorBursts,
}

impl Law {
    /// All of them.
    pub const ALL: [Law; 8] = [
        Law::Lognormal,
        Law::Bimodal,
        Law::Queue,
        Law::Wander,
        Law::Drift,
        Law::BadSecond,
        Law::Errors,
        Law::ErrorBursts,
    ];

    /// True when the truth is an error rate.
    pub fn is_about_errors(self) -> bool {
        matches!(self, Law::Errors | Law::ErrorBursts)
    }
}

/// The size of a hold.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Its planned length.
    pub seconds: usize,
    /// Mean requests a second.
    pub rate: f64,
    /// Users of the queue; their pause follows from the rate, a third shorter or longer at random.
    pub users: u32,
    /// Workers of the queue.
    pub workers: u32,
    /// How often it may be extended by its planned length.
    pub extensions: u8,
}

impl Shape {
    fn plan(self) -> RampPlan {
        RampPlan {
            users: self.users,
            climb: Duration::ZERO,
            settle_limit: Duration::ZERO,
            hold: Duration::from_secs(self.seconds as u64),
            think: Mix::THINK,
            timeout: Duration::from_secs(10),
            seed: 1,
            quick: false,
            extensions: self.extensions,
            rungs: Vec::new(),
            rung_hold: Duration::ZERO,
            beyond: Vec::new(),
            model: Model::Closed,
        }
    }
}

/// A thousand users that pause five to ten seconds.
pub const THOUSAND_USERS: Shape = Shape { seconds: 60, rate: 130.0, users: 1000, workers: 16, extensions: 2 };
/// A practice measurement.
pub const QUICK: Shape = Shape { seconds: 20, rate: 40.0, users: 50, workers: 5, extensions: 1 };

/// Draws holds of one law, truth and shape.
pub struct Simulator {
    law: Law,
    shape: Shape,
    /// The truth over the limit: 1.05 is five percent too slow or too faulty.
    truth: f64,
    /// Factor from the law's own units to µs.
    scale: f64,
    /// Mean service of the queue, seconds.
    service: f64,
    slo: Slo,
}

/// Spread of a single latency, and of the wandering level, in logarithms.
const SIGMA: f64 = 0.5;
const WANDER: f64 = 0.2;
const Z95: f64 = 1.644_853_626_951_472_7;

impl Simulator {
    /// Calibrates a law so that its true figure is `truth` times the limit.
    pub fn new(law: Law, shape: Shape, truth: f64) -> Self {
        let slo = Slo::default();
        let own_p95 = match law {
            Law::Wander => (Z95 * SIGMA.hypot(WANDER)).exp(),
            Law::Bimodal => bimodal_p95(),
            _ => (Z95 * SIGMA).exp(),
        };
        let p95_ms = if law.is_about_errors() { 0.3 * slo.p95_ms } else { truth * slo.p95_ms };
        // Time is real in a queue: not the latencies are scaled, the work is.
        let service = if law == Law::Queue { Queue::calibrate(shape, p95_ms / 1000.0) } else { 0.0 };
        let scale = p95_ms * 1000.0 / own_p95;
        Self { law, shape, truth, scale, service, slo }
    }

    /// A hold about to begin.
    pub fn begin(&self, seed: u64) -> Run<'_> {
        let mut random = SmallRng::seed_from_u64(seed);
        let queue = (self.law == Law::Queue).then(|| Queue::new(self.shape, self.service, &mut random));
        let bad_second = random.random_range(0..self.shape.seconds);
        let level = WANDER * normal(&mut random);
        Run { of: self, random, queue, ahead: None, bad_second, level, burst: 0, file: File::default() }
    }

    /// Judges one hold as a ramp would: at half its length, at its planned length, after each extension.
    fn judged(&self, seed: u64) -> (Measurement, f64, Verdict) {
        let (plan, seconds) = (self.shape.plan(), self.shape.seconds);
        let mut run = self.begin(seed);
        let half = (plan.extensions > 0 && seconds >= 40).then_some((0, seconds / 2));
        let ends = (1..=plan.extensions).map(|look| (look, seconds * usize::from(look)));
        let mut seen = None;
        for (look, until) in half.into_iter().chain(ends) {
            run.hold_until(until);
            let (m, exact) = run.seen(look);
            if after_look(&m, &plan, &self.slo, &[], look) == Next::Stop {
                seen = Some((m, exact));
                break;
            }
        }
        let (m, exact) = seen.unwrap_or_else(|| {
            run.hold_until(seconds * (usize::from(plan.extensions) + 1));
            run.seen(plan.extensions + 1)
        });
        let verdict = judge_looked(&m, &plan, &self.slo, &[]);
        (m, exact, verdict)
    }

    /// Judges a hold for each of these seeds.
    pub fn tally(&self, seeds: Range<u64>) -> Tally {
        let mut tally = Tally::default();
        for seed in seeds {
            let (m, exact, verdict) = self.judged(seed.wrapping_mul(0x9e37_79b9).wrapping_add(17));
            match verdict.outcome {
                RampOutcome::Pass => tally.pass += 1,
                RampOutcome::Fail => tally.fail += 1,
                RampOutcome::Inconclusive => tally.undecided += 1,
                other => panic!("a fair hold was judged {other:?}: {}", verdict.sentence),
            }
            tally.seconds += m.hold_seconds;
            tally.unsteady += u64::from(verdict.sentence.starts_with("Not steady"));
            if let Some(p95) = verdict.objectives[0].value {
                tally.off_ms = tally.off_ms.max((p95 - exact).abs());
                tally.off_share = tally.off_share.max((p95 / exact - 1.0).abs());
            }
        }
        tally
    }
}

/// A hold under way, which can be made longer.
pub struct Run<'a> {
    of: &'a Simulator,
    random: SmallRng,
    queue: Option<Queue>,
    /// A request of the queue that belongs to a later second.
    ahead: Option<(f64, f64)>,
    bad_second: usize,
    level: f64,
    burst: u32,
    file: File,
}

/// The queue fills before the hold begins, as the climb and the settling do it. Seconds.
const WARM: f64 = 30.0;

impl Run<'_> {
    /// Goes on until the hold has lasted so many seconds.
    pub fn hold_until(&mut self, seconds: usize) {
        while self.file.windows.len() < seconds {
            let second = self.file.windows.len();
            self.file.windows.push(Window::default());
            match self.queue.take() {
                Some(mut queue) => {
                    self.queued(&mut queue, second);
                    self.queue = Some(queue);
                }
                None => self.drawn(second),
            }
        }
    }

    fn queued(&mut self, queue: &mut Queue, second: usize) {
        loop {
            let (at, latency) = self.ahead.take().unwrap_or_else(|| queue.next(&mut self.random));
            if at >= WARM + real(second + 1) {
                self.ahead = Some((at, latency));
                return;
            }
            if at >= WARM {
                self.file.add(second, latency * 1e6, false);
            }
        }
    }

    fn drawn(&mut self, second: usize) {
        let Simulator { law, shape, truth, scale, ref slo, .. } = *self.of;
        let random = &mut self.random;
        self.level = 0.8 * self.level + 0.6 * WANDER * normal(random);
        self.burst = if self.burst > 0 { self.burst - 1 } else { 2 * u32::from(random.random::<f64>() < 0.125) };
        // Two seconds of burst per burst, one burst per (8 + 2) seconds: a fifth of the time.
        let error_rate = truth * slo.error_percent / 100.0
            * match law {
                Law::Errors => 1.0,
                Law::ErrorBursts => f64::from(self.burst > 0) * 5.0,
                _ => 0.0,
            };
        let mut at = 0.0;
        loop {
            at -= (1.0 - random.random::<f64>()).ln() / shape.rate;
            if at >= 1.0 {
                return;
            }
            let now = real(second) + at;
            let own = match law {
                Law::Bimodal if random.random::<f64>() < 0.1 => 12.0 * (0.3 * normal(random)).exp(),
                Law::Bimodal => (0.3 * normal(random)).exp(),
                law => {
                    let factor = match law {
                        Law::Wander => self.level.exp(),
                        Law::Drift => 0.7 + 0.3 * (now / real(shape.seconds)).min(1.0),
                        Law::BadSecond if second == self.bad_second => 10.0,
                        _ => 1.0,
                    };
                    factor * (SIGMA * normal(random)).exp()
                }
            };
            self.file.add(second, own * scale, random.random::<f64>() < error_rate);
        }
    }

    /// What was measured so far, and the exact p95 of its own requests in ms.
    pub fn seen(&self, looks: u8) -> (Measurement, f64) {
        let (m, exact) = self.file.measured();
        (Measurement { looks, ..m }, exact)
    }
}

/// What became of many holds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Judged `pass`.
    pub pass: u64,
    /// Judged `fail`.
    pub fail: u64,
    /// Judged `inconclusive`.
    pub undecided: u64,
    /// Of these, for not being steady.
    pub unsteady: u64,
    /// Seconds held in all.
    pub seconds: f64,
    /// Largest distance of the reported p95 from the exact one, ms.
    pub off_ms: f64,
    /// The same as a share of the exact one.
    pub off_share: f64,
}

/// Requests on their way into a measurement.
#[derive(Default)]
struct File {
    windows: Vec<Window>,
    latency: Histogram,
    exact: Vec<f64>,
    errors: ErrorKinds,
}

impl File {
    fn add(&mut self, second: usize, micros: f64, failed: bool) {
        let window = &mut self.windows[second];
        window.requests += 1;
        if failed {
            window.errors += 1;
            self.errors.add(ErrorKind::ServerError);
        } else {
            window.latency.record(micros as u64);
            self.latency.record(micros as u64);
            self.exact.push(micros / 1000.0);
        }
    }

    fn measured(&self) -> (Measurement, f64) {
        let mut exact = self.exact.clone();
        let rank = (exact.len() as f64 * 0.95).ceil() as usize;
        let exact = *exact.select_nth_unstable_by(rank.max(1) - 1, f64::total_cmp).1;
        let measurement = Measurement {
            users: 100,
            hold_seconds: real(self.windows.len()),
            settle_seconds: 5.0,
            settle_limit_reached: false,
            requests: self.windows.iter().map(|w| w.requests).sum(),
            errors: self.errors.clone(),
            blocked: 0,
            first_byte: self.latency.clone(),
            latency: self.latency.clone(),
            endpoints: std::collections::BTreeMap::new(),
            windows: self.windows.clone(),
            end: RampEnd::Completed,
            ..Measurement::default()
        };
        (measurement, exact)
    }
}

/// Users before workers, first come, first served, with lognormal service; times in seconds.
struct Queue {
    /// When each worker is free. Instants are negated and in ns, so that a heap gives the earliest.
    free: BinaryHeap<i64>,
    /// When each user asks next.
    asks: BinaryHeap<i64>,
    service: f64,
    pause: f64,
}

impl Queue {
    fn new(shape: Shape, service: f64, random: &mut SmallRng) -> Self {
        let pause = f64::from(shape.users) / shape.rate - 0.1;
        Self {
            free: (0..shape.workers).map(|_| 0).collect(),
            asks: (0..shape.users).map(|_| instant(random.random_range(0.0..pause))).collect(),
            service,
            pause,
        }
    }

    /// The next request: when it is made and how long it takes.
    fn next(&mut self, random: &mut SmallRng) -> (f64, f64) {
        let at = -self.asks.pop().unwrap_or_default() as f64 / 1e9;
        let free = -self.free.pop().unwrap_or_default() as f64 / 1e9;
        let done = free.max(at) + self.service * (0.8 * normal(random) - 0.32).exp();
        self.free.push(instant(done));
        self.asks.push(instant(done + self.pause * random.random_range(0.67..1.33)));
        (at, done - at)
    }

    /// The mean service that brings p95 to a value, in seconds: bisection on long runs, for there is no closed form.
    fn calibrate(shape: Shape, p95: f64) -> f64 {
        let (mut low, mut high) = (0.0, p95);
        for _ in 0..10 {
            let middle = f64::midpoint(low, high);
            if Self::long_run_p95(shape, middle) < p95 { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    }

    fn long_run_p95(shape: Shape, service: f64) -> f64 {
        let mut random = SmallRng::seed_from_u64(99);
        let mut queue = Self::new(shape, service, &mut random);
        let mut seen: Vec<f64> = (0..LONG_RUN).map(|_| queue.next(&mut random).1).skip(10_000).collect();
        let rank = (seen.len() as f64 * 0.95) as usize;
        *seen.select_nth_unstable_by(rank, f64::total_cmp).1
    }
}

/// Requests by which a queue is calibrated.
const LONG_RUN: u32 = if cfg!(debug_assertions) { 60_000 } else { 1_000_000 };

fn instant(seconds: f64) -> i64 {
    -(seconds * 1e9) as i64
}

/// Where the mixture's distribution function is 0.95, by bisection.
fn bimodal_p95() -> f64 {
    let normal = |z: f64| 0.5 * statrs::function::erf::erfc(-z / std::f64::consts::SQRT_2);
    let cdf = |x: f64| 0.9 * normal(x.ln() / 0.3) + 0.1 * normal((x / 12.0).ln() / 0.3);
    let (mut low, mut high) = (1.0, 100.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if cdf(middle) < 0.95 { low = middle } else { high = middle }
    }
    low
}

/// Box & Muller.
fn normal(random: &mut SmallRng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

fn real(n: usize) -> f64 {
    n as f64
}
