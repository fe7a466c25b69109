//! Samples become counts and histograms: one second for the pulse, the hold for the measurement.
//!
//! Pure: samples and instants of the ramp's clock come in, numbers go out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::answer::{CacheWord, Outcome};
use super::assets::File;
use super::recorder::{Sample, micros};
use crate::domain::measurement::{Answers, Endpoint, ErrorKind, ErrorKinds, Histogram, Measurement, Window};
use crate::domain::ramp::{GeneratorSample, RampEnd};

/// What ended in one second.
#[derive(Debug, Default)]
pub(super) struct Tick {
    /// Requests, of any outcome.
    pub finished: u64,
    /// Failed ones.
    pub errors: u64,
    /// Answered by the edge instead of the app.
    pub blocked: u64,
    /// Successful ones with the edge's word on its cache. An error is not kept, so an app that fails would look like a
    /// cache that does not work.
    pub edge_answers: u64,
    /// Of these, given from its cache.
    pub edge_hits: u64,
    /// Latency of the successful ones.
    pub latency: Histogram,
    /// Of these, how many took longer than the breakers' limit.
    pub slow: u64,
}

/// All that a ramp saw.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    endpoints: Vec<String>,
    /// The hold on the ramp's clock: first instant, first instant after it.
    hold: Option<(Duration, Duration)>,
    windows: Vec<Window>,
    by_endpoint: Vec<Counted>,
    /// Users when the generator was first unwell for two seconds in a row.
    unwell_from: Option<u32>,
    /// Whether it was in each of the last seconds, newest in the lowest bit.
    unwell: u16,
    errors: ErrorKinds,
    blocked: u64,
    latency: Histogram,
    first_byte: Histogram,
    requests: u64,
    assets: Endpoint,
    /// Requests that ended since the ramp began.
    pub total: u64,
    /// Of these, failed.
    pub total_errors: u64,
    /// Of these, blocked.
    pub total_blocked: u64,
    statuses: [u64; 6],
    /// What takes longer is slow.
    slow_after: Duration,
    /// True once a cut request counts as one that never ended.
    pub cut_is_timeout: bool,
}

impl Tally {
    /// For endpoints of these names; answers that take longer than `slow_after` are counted apart.
    pub fn new(endpoints: Vec<String>, slow_after: Duration) -> Self {
        Self {
            by_endpoint: endpoints.iter().map(|_| Counted::default()).collect(),
            endpoints,
            hold: None,
            windows: Vec::new(),
            errors: ErrorKinds::default(),
            unwell_from: None,
            unwell: 0,
            blocked: 0,
            latency: Histogram::new(),
            first_byte: Histogram::new(),
            requests: 0,
            assets: Endpoint::default(),
            total: 0,
            total_errors: 0,
            total_blocked: 0,
            statuses: [0; 6],
            slow_after,
            cut_is_timeout: false,
        }
    }

    /// The hold goes from `from` to just before `until`.
    pub fn hold(&mut self, from: Duration, until: Duration) {
        self.hold = Some((from, until));
    }

    /// Adds what ended; says what the second was like.
    pub fn fold(&mut self, samples: &[Sample]) -> Tick {
        let mut second = Tick::default();
        for sample in samples {
            let outcome = match sample.outcome {
                Outcome::Cut if self.cut_is_timeout => Outcome::Error(ErrorKind::Timeout),
                Outcome::Cut => continue,
                outcome => outcome,
            };
            second.finished += 1;
            self.statuses[usize::from(sample.status / 100).min(5)] += 1;
            match outcome {
                Outcome::Success => {
                    second.latency.record(micros(sample.latency));
                    second.slow += u64::from(sample.latency > self.slow_after);
                    second.edge_answers += u64::from(sample.cache.said());
                    second.edge_hits += u64::from(sample.cache.hit());
                }
                Outcome::Error(_) => second.errors += 1,
                Outcome::Blocked => second.blocked += 1,
                Outcome::Cut => {}
            }
            if let Some((from, until)) = self.hold
                && sample.due >= from
                && sample.due < until
            {
                self.fold_into_hold(sample, outcome, from);
            }
        }
        self.total += second.finished;
        self.total_errors += second.errors;
        self.total_blocked += second.blocked;
        second
    }

    /// Adds files that pages link to. They touch none of the other figures.
    pub fn fold_assets(&mut self, files: &[(Duration, File)]) {
        let Some((from, until)) = self.hold else { return };
        for (_, file) in files.iter().filter(|(left, _)| *left >= from && *left < until) {
            let kept = &mut self.assets;
            kept.requests += 1;
            kept.answers.bytes += file.bytes;
            if let Some(status) = file.status {
                *kept.answers.statuses.entry(status).or_default() += 1;
            }
            match file.outcome {
                Outcome::Success => {
                    kept.latency.record(micros(file.latency));
                    kept.first_byte.record(micros(file.first_byte));
                }
                Outcome::Error(kind) => kept.errors.add(kind),
                Outcome::Blocked | Outcome::Cut => kept.errors.add(ErrorKind::UnexpectedStatus),
            }
        }
    }

    fn fold_into_hold(&mut self, sample: &Sample, outcome: Outcome, from: Duration) {
        let window = window_at(&mut self.windows, sample.due.saturating_sub(from));
        let counted = &mut self.by_endpoint[sample.endpoint];
        self.requests += 1;
        window.requests += 1;
        window.bytes += sample.bytes;
        counted.answer(sample);
        let endpoint = &mut counted.endpoint;
        endpoint.requests += 1;
        match outcome {
            Outcome::Success => {
                let latency = micros(sample.latency);
                self.latency.record(latency);
                self.first_byte.record(micros(sample.first_byte));
                window.latency.record(latency);
                endpoint.latency.record(latency);
                endpoint.first_byte.record(micros(sample.first_byte));
            }
            Outcome::Error(kind) => {
                self.errors.add(kind);
                endpoint.errors.add(kind);
                window.errors += 1;
            }
            Outcome::Blocked => {
                self.blocked += 1;
                window.blocked += 1;
            }
            Outcome::Cut => {}
        }
    }

    /// How the generator was between two instants; every second of the hold that it touches keeps the worst.
    pub fn generator(&mut self, after: Duration, until: Duration, sample: GeneratorSample) {
        let Some((from, end)) = self.hold else { return };
        let (first, last) = (after.max(from), until.min(end));
        if first >= last {
            return;
        }
        // The last instant itself belongs to the next second.
        let last = last.saturating_sub(from).saturating_sub(Duration::from_micros(1)).as_secs();
        for second in first.saturating_sub(from).as_secs()..=last {
            let kept = &mut window_at(&mut self.windows, Duration::from_secs(second)).generator;
            kept.lag_ms = kept.lag_ms.max(sample.lag_ms);
            kept.cpu = kept.cpu.max(sample.cpu);
            kept.sockets = kept.sockets.max(sample.sockets);
            kept.socket_limit = sample.socket_limit;
            kept.socket_errors += sample.socket_errors;
            kept.control_ms = kept.control_ms.max(sample.control_ms);
            // A sample that spans seconds says of each what it says of all.
            kept.due = kept.due.max(sample.due);
            kept.late = kept.late.max(sample.late);
        }
    }

    /// How the generator was with so many users, in whichever phase.
    pub fn generator_at(&mut self, users: u32, sample: &GeneratorSample) {
        self.unwell = self.unwell << 1 | u16::from(sample.tainted());
        if self.unwell & 0b11 == 0b11 {
            self.unwell_from.get_or_insert(users);
        }
    }

    /// True when the generator was unwell in at least half of the last ten seconds: what trips a breaker now may be its
    /// own doing.
    pub fn unwell(&self) -> bool {
        (self.unwell & 0x3ff).count_ones() >= 5
    }

    /// Answers since the ramp began by class: `2xx`, `3xx`, `4xx`, `5xx`. What got no answer has none.
    pub fn statuses(&self) -> BTreeMap<String, u64> {
        (1..=5).filter(|class| self.statuses[*class] > 0).map(|c| (format!("{c}xx"), self.statuses[c])).collect()
    }

    /// p95 of the hold so far, ms.
    pub fn hold_p95_ms(&self) -> Option<f64> {
        self.latency.quantile_ms(0.95)
    }

    /// The measurement: `now` cuts a hold that did not run its time.
    pub fn finish(mut self, users: u32, settled: Settled, now: Duration, end: RampEnd) -> Measurement {
        let hold = self.hold.map_or(Duration::ZERO, |(from, until)| until.min(now).saturating_sub(from));
        if !hold.is_zero() {
            // A second without requests is a window too.
            window_at(&mut self.windows, hold.saturating_sub(Duration::from_micros(1)));
        }
        let endpoints: BTreeMap<_, _> = self
            .endpoints
            .into_iter()
            .zip(self.by_endpoint.into_iter().map(Counted::done))
            .filter(|(_, e)| e.requests > 0)
            .collect();
        let mut answers = Answers::default();
        endpoints.values().for_each(|endpoint| answers.merge(&endpoint.answers));
        Measurement {
            users,
            hold_seconds: hold.as_secs_f64(),
            settle_seconds: settled.took.as_secs_f64(),
            settle_limit_reached: settled.limit_reached,
            requests: self.requests,
            errors: self.errors,
            blocked: self.blocked,
            latency: self.latency,
            first_byte: self.first_byte,
            endpoints,
            answers,
            unwell_from: self.unwell_from,
            windows: self.windows,
            assets: self.assets,
            looks: 1,
            end,
            ..Measurement::default()
        }
    }
}

/// An endpoint while it is counted: words as numbers, so that a sample allocates nothing.
#[derive(Debug, Clone, Default)]
struct Counted {
    endpoint: Endpoint,
    cache: [u64; CacheWord::KINDS],
}

impl Counted {
    fn answer(&mut self, sample: &Sample) {
        let answers = &mut self.endpoint.answers;
        answers.bytes += sample.bytes;
        if sample.status > 0 {
            *answers.statuses.entry(sample.status).or_default() += 1;
        }
        self.cache[sample.cache.index()] += 1;
    }

    fn done(mut self) -> Endpoint {
        let said = CacheWord::words().filter(|(index, _)| self.cache[*index] > 0);
        self.endpoint.answers.cache = said.map(|(index, word)| (word.to_owned(), self.cache[index])).collect();
        self.endpoint
    }
}

/// How settling went.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Settled {
    /// Its length.
    pub took: Duration,
    /// It ended by its limit.
    pub limit_reached: bool,
}

fn window_at(windows: &mut Vec<Window>, into_hold: Duration) -> &mut Window {
    let second = usize::try_from(into_hold.as_secs()).unwrap_or_default();
    if windows.len() <= second {
        windows.resize_with(second + 1, Window::default);
    }
    &mut windows[second]
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn sample(due: u64, latency: u64, outcome: Outcome) -> Sample {
        Sample {
            endpoint: 0,
            due: ms(due),
            status: 200,
            latency: ms(latency),
            first_byte: ms(latency / 2),
            outcome,
            bytes: 100,
            cache: CacheWord::default(),
        }
    }

    fn held(samples: &[Sample], cut_is_timeout: bool) -> Measurement {
        let mut tally = Tally::new(vec!["home".into(), "never asked".into()], ms(1500));
        tally.hold(ms(1000), ms(4000));
        tally.cut_is_timeout = cut_is_timeout;
        tally.fold(samples);
        tally.finish(5, Settled::default(), ms(9000), RampEnd::Completed)
    }

    #[test]
    fn only_what_should_have_left_inside_the_hold_is_measured() {
        let measured = held(
            &[
                sample(999, 10, Outcome::Success),
                sample(1000, 20, Outcome::Success),
                sample(3999, 5000, Outcome::Success),
                sample(4000, 10, Outcome::Error(ErrorKind::ServerError)),
            ],
            true,
        );
        assert_eq!((measured.requests, measured.latency.count(), measured.errors.total()), (2, 2, 0));
        assert_eq!(measured.windows.iter().map(|w| w.requests).collect::<Vec<_>>(), [1, 0, 1]);
        assert_eq!(measured.endpoints.keys().collect::<Vec<_>>(), ["home"]);
        assert!((measured.hold_seconds - 3.0).abs() < 1e-9);
    }

    #[test]
    fn every_request_is_a_success_an_error_or_blocked() {
        let samples = [
            sample(1000, 20, Outcome::Success),
            sample(1500, 20, Outcome::Error(ErrorKind::Connect)),
            sample(1600, 20, Outcome::Blocked),
            sample(1700, 900, Outcome::Cut),
        ];
        let drained = held(&samples, true);
        assert_eq!(drained.requests, drained.latency.count() + drained.errors.total() + drained.blocked);
        assert_eq!(drained.errors.0[&ErrorKind::Timeout], 1, "what never ended is a timeout");
        let aborted = held(&samples, false);
        assert_eq!((aborted.requests, aborted.errors.total()), (3, 1), "what we cut ourselves is nothing");
    }

    #[test]
    fn a_second_knows_its_edge() {
        let word = |text| {
            let name = reqwest::header::HeaderName::from_static("cf-cache-status");
            CacheWord::of(&[(name, reqwest::header::HeaderValue::from_static(text))].into_iter().collect())
        };
        let with = |cache, outcome| Sample { cache: word(cache), ..sample(0, 20, outcome) };
        let mut tally = Tally::new(vec!["home".into()], ms(1500));
        let second = tally.fold(&[
            with("HIT", Outcome::Success),
            with("DYNAMIC", Outcome::Success),
            with("MISS", Outcome::Error(ErrorKind::ServerError)),
            sample(0, 20, Outcome::Success),
            sample(0, 20, Outcome::Blocked),
        ]);
        assert_eq!((second.finished, second.blocked, second.edge_answers, second.edge_hits), (5, 1, 2, 1));
        let next = tally.fold(&[sample(0, 20, Outcome::Blocked)]);
        assert_eq!((next.blocked, next.edge_answers, tally.total_blocked), (1, 0, 2));
    }

    #[test]
    fn answers_are_kept_by_status_cache_and_bytes() {
        let hit = reqwest::header::HeaderMap::from_iter([(
            reqwest::header::HeaderName::from_static("cf-cache-status"),
            reqwest::header::HeaderValue::from_static("HIT"),
        )]);
        let ok = sample(1000, 20, Outcome::Success);
        let measured = held(
            &[
                Sample { cache: CacheWord::of(&hit), ..ok },
                Sample { status: 404, outcome: Outcome::Error(ErrorKind::UnexpectedStatus), due: ms(2500), ..ok },
                Sample { status: 0, bytes: 0, outcome: Outcome::Error(ErrorKind::Connect), ..ok },
                sample(9000, 20, Outcome::Success),
            ],
            true,
        );
        let home = &measured.endpoints["home"];
        assert_eq!(home.answers, measured.answers);
        assert_eq!(home.answers.statuses, BTreeMap::from([(200, 1), (404, 1)]));
        assert_eq!(home.answers.cache, BTreeMap::from([("HIT".to_owned(), 1)]));
        assert_eq!(home.answers.bytes, 200);
        assert_eq!(measured.windows.iter().map(|w| w.bytes).collect::<Vec<_>>(), [100, 100, 0]);
        assert_eq!(home.first_byte.count(), home.latency.count());
    }

    /// Two hours at 200 requests a second: at full width each second would take 40 KB, 290 MB in all.
    #[test]
    fn a_long_hold_stays_small() {
        let mut tally = Tally::new(vec!["home".into()], ms(1500));
        tally.hold(ms(0), ms(7_200_000));
        for second in 0..7200 {
            let samples: Vec<_> = (0..200)
                .map(|i| Sample {
                    latency: Duration::from_micros(20_000 + (i * 7919 + second * 104_729) % 280_000),
                    ..sample(second * 1000 + i * 5, 0, Outcome::Success)
                })
                .collect();
            tally.fold(&samples);
        }
        let measured = tally.finish(200, Settled::default(), ms(7_200_000), RampEnd::Completed);
        let heap: usize = measured.windows.iter().map(|w| w.latency.bytes()).sum();
        let whole = heap + measured.windows.capacity() * size_of::<Window>();
        assert_eq!((measured.requests, measured.windows.len()), (1_440_000, 7200));
        assert!(heap > 7200 * 150 * 8 && whole < 20 << 20, "{heap} and {whole} bytes");
    }

    #[test]
    fn the_users_at_which_the_generator_fell_ill_are_kept() {
        let after = |lags: &[(u32, f64)]| {
            let mut tally = Tally::new(vec![], ms(1500));
            for (users, lag_ms) in lags {
                tally.generator_at(*users, &GeneratorSample { lag_ms: *lag_ms, ..GeneratorSample::default() });
            }
            tally.finish(9, Settled::default(), ms(1), RampEnd::Completed).unwell_from
        };
        assert_eq!(after(&[(1, 99.0), (2, 1.0), (3, 99.0), (4, 99.0), (5, 99.0)]), Some(4));
        assert_eq!(after(&[(1, 99.0), (2, 1.0)]), None, "one bad second is no illness");
    }

    #[test]
    fn the_generator_s_state_reaches_every_second_it_covers() {
        let mut tally = Tally::new(vec![], ms(1500));
        tally.hold(ms(1000), ms(4000));
        let lag = |lag_ms| GeneratorSample { lag_ms, ..GeneratorSample::default() };
        tally.generator(ms(0), ms(1000), lag(99.0));
        tally.generator(ms(1000), ms(2000), lag(1.0));
        tally.generator(ms(2000), ms(4003), lag(20.0));
        let measured = tally.finish(1, Settled::default(), ms(4000), RampEnd::Completed);
        assert_eq!(measured.windows.iter().map(|w| w.generator.lag_ms).collect::<Vec<_>>(), [1.0, 20.0, 20.0]);
    }

    #[test]
    fn an_aborted_hold_is_as_long_as_it_lasted() {
        let mut tally = Tally::new(vec![], ms(1500));
        tally.hold(ms(1000), ms(4000));
        let measured = tally.finish(1, Settled::default(), ms(2500), RampEnd::Aborted("x".into()));
        assert!((measured.hold_seconds - 1.5).abs() < 1e-9);
        assert_eq!(measured.windows.len(), 2);
        let never = Tally::new(vec![], ms(1500)).finish(1, Settled::default(), ms(2500), RampEnd::Aborted("x".into()));
        assert_eq!((never.hold_seconds, never.windows.len()), (0.0, 0));
    }
}
