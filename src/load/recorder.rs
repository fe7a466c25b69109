//! The stopwatch: every request of every user, exactly once, and what is under way right now.
//!
//! Users write here, the tally empties it every second; so it never holds more than about a second's worth.
//! Keeps plain samples and knows nothing of holds, percentiles or phases.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::answer::{CacheWord, Outcome};
use super::assets::File;
use crate::domain::ramp::GeneratorSample;

/// One request that ended, on the ramp's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    /// Index of its endpoint.
    pub endpoint: usize,
    /// Status; 0 without an answer.
    pub status: u16,
    /// When it should have left.
    pub due: Duration,
    /// From then to the last byte.
    pub latency: Duration,
    /// From then to the headers.
    pub first_byte: Duration,
    /// What it counts as.
    pub outcome: Outcome,
    /// Bytes of its body, as far as it was read.
    pub bytes: u64,
    /// What the edge says of its cache.
    pub cache: CacheWord,
}

/// How a request ended; durations count from when it should have left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    /// Status; 0 without an answer.
    pub status: u16,
    /// To the last byte.
    pub latency: Duration,
    /// To the headers.
    pub first_byte: Duration,
    /// What it counts as.
    pub outcome: Outcome,
    /// Bytes of its body, as far as it was read.
    pub bytes: u64,
    /// What the edge says of its cache.
    pub cache: CacheWord,
}

/// Requests that left, and how many of them too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Departures {
    /// All.
    pub due: u32,
    /// Later than [`Recorder::PUNCTUAL`] after they were due.
    pub late: u32,
}

/// What is under way.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct UnderWay {
    /// Requests.
    pub count: u32,
    /// Age of the oldest.
    pub oldest: Duration,
    /// How many are older than was asked.
    pub older: u32,
}

/// Shared by all users of a ramp.
#[derive(Debug)]
pub(super) struct Recorder {
    /// Zero of the ramp's clock.
    origin: Instant,
    /// One a user, who has one request under way at most: due time in µs of the clock plus one, 0 for none.
    seats: Vec<AtomicU64>,
    shards: [Mutex<Vec<Sample>>; 8],
    /// Files that pages link to.
    assets: Mutex<Vec<File>>,
    socket_errors: AtomicU32,
    departed: AtomicU32,
    departed_late: AtomicU32,
}

impl Recorder {
    /// What leaves later than this after it was due is late: the limit of the timer's lag, for the same reason.
    pub const PUNCTUAL: Duration = Duration::from_millis(GeneratorSample::PUNCTUAL_MS);

    /// For so many users; its clock begins now.
    pub fn new(users: u32) -> Self {
        Self {
            origin: Instant::now(),
            seats: (0..users).map(|_| AtomicU64::new(0)).collect(),
            shards: Default::default(),
            assets: Mutex::default(),
            socket_errors: AtomicU32::new(0),
            departed: AtomicU32::new(0),
            departed_late: AtomicU32::new(0),
        }
    }

    /// An instant on the ramp's clock.
    pub fn at(&self, instant: Instant) -> Duration {
        instant.saturating_duration_since(self.origin)
    }

    /// A request leaves that should have left at `due`. Dropping the result unended counts it as cut.
    pub fn begin(&self, user: u32, endpoint: usize, due: Instant) -> InFlight<'_> {
        self.seats[user as usize].store(micros(self.at(due)) + 1, Ordering::Release);
        InFlight { recorder: self, user, endpoint, due, ended: None, forgotten: false }
    }

    /// A request leaves, so long after its user could and should have sent it.
    pub fn depart(&self, late_by: Duration) {
        self.departed.fetch_add(1, Ordering::Relaxed);
        if late_by > Self::PUNCTUAL {
            self.departed_late.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Departures since the last call.
    pub fn take_departures(&self) -> Departures {
        // Late ones first: one that departs in between must not be late without having been due.
        let late = self.departed_late.swap(0, Ordering::Relaxed);
        Departures { due: self.departed.swap(0, Ordering::Relaxed).max(late), late }
    }

    /// Local sockets ran out for one request.
    pub fn socket_error(&self) {
        self.socket_errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Local socket errors since the last call.
    pub fn take_socket_errors(&self) -> u32 {
        self.socket_errors.swap(0, Ordering::Relaxed)
    }

    /// A file that a page links to came, or did not.
    pub fn asset(&self, file: File) {
        self.assets.lock().unwrap_or_else(PoisonError::into_inner).push(file);
    }

    /// All files since the last call, with when each was asked for.
    pub fn drain_assets(&self) -> Vec<(Duration, File)> {
        let files = std::mem::take(&mut *self.assets.lock().unwrap_or_else(PoisonError::into_inner));
        files.into_iter().map(|file| (self.at(file.left), file)).collect()
    }

    /// All requests that ended since the last call.
    pub fn drain(&self) -> Vec<Sample> {
        let mut all = Vec::new();
        for shard in &self.shards {
            all.append(&mut shard.lock().unwrap_or_else(PoisonError::into_inner));
        }
        all
    }

    /// What is under way now, and how much of it is older than `age`.
    pub fn under_way(&self, age: Duration) -> UnderWay {
        let now = self.at(Instant::now());
        let mut seen = UnderWay::default();
        for due in self.dues() {
            let old = now.saturating_sub(due);
            seen.count += 1;
            seen.oldest = seen.oldest.max(old);
            seen.older += u32::from(old > age);
        }
        seen
    }

    fn dues(&self) -> impl Iterator<Item = Duration> {
        self.seats.iter().filter_map(|seat| seat.load(Ordering::Acquire).checked_sub(1)).map(Duration::from_micros)
    }

    /// A request that a user elsewhere made has ended.
    pub fn add(&self, sample: Sample) {
        self.record(0, sample);
    }

    /// All that users elsewhere have under way, as they last said: when each should have left.
    pub fn under_way_elsewhere(&self, dues: impl Iterator<Item = Duration>) {
        let mut dues = dues.map(|due| micros(due) + 1);
        self.seats.iter().for_each(|seat| seat.store(dues.next().unwrap_or(0), Ordering::Release));
    }

    fn record(&self, user: u32, sample: Sample) {
        let shard = &self.shards[user as usize % self.shards.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct InFlight<'a> {
    recorder: &'a Recorder,
    user: u32,
    endpoint: usize,
    due: Instant,
    ended: Option<Sample>,
    forgotten: bool,
}

impl InFlight<'_> {
    /// It ended.
    pub fn end(mut self, how: Ended) {
        self.ended = Some(self.sample(how));
    }

    fn sample(&self, how: Ended) -> Sample {
        let Ended { status, latency, first_byte, outcome, bytes, cache } = how;
        Sample { endpoint: self.endpoint, status, due: self.due(), latency, first_byte, outcome, bytes, cache }
    }

    /// It was never made.
    pub fn forget(mut self) {
        self.forgotten = true;
    }

    fn due(&self) -> Duration {
        self.recorder.at(self.due)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let sample = self.ended.take().unwrap_or_else(|| {
            let age = self.due.elapsed();
            self.sample(Ended {
                status: 0,
                latency: age,
                first_byte: age,
                outcome: Outcome::Cut,
                bytes: 0,
                cache: CacheWord::default(),
            })
        });
        if !self.forgotten {
            self.recorder.record(self.user, sample);
        }
        self.recorder.seats[self.user as usize].store(0, Ordering::Release);
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_recorded_once_whether_it_ends_or_is_cut() {
        let recorder = Recorder::new(2);
        let due = Instant::now();
        let ended = recorder.begin(0, 3, due);
        let cut = recorder.begin(1, 4, due);
        assert_eq!(recorder.under_way(Duration::from_secs(9)).count, 2);
        assert_eq!(recorder.under_way(Duration::ZERO).older, 2);
        ended.end(Ended {
            status: 200,
            latency: Duration::from_millis(7),
            first_byte: Duration::from_millis(5),
            outcome: Outcome::Success,
            bytes: 70,
            cache: CacheWord::default(),
        });
        drop(cut);
        let samples = recorder.drain();
        let seen: Vec<_> = samples.iter().map(|s| (s.endpoint, s.outcome)).collect();
        assert_eq!(seen, [(3, Outcome::Success), (4, Outcome::Cut)]);
        assert_eq!(recorder.under_way(Duration::ZERO), UnderWay::default());
        assert!(recorder.drain().is_empty());
    }

    #[test]
    fn departures_are_late_past_the_limit_only() {
        let recorder = Recorder::new(1);
        for late in [0, 24, 25, 26, 900] {
            recorder.depart(Duration::from_millis(late));
        }
        assert_eq!(recorder.take_departures(), Departures { due: 5, late: 2 });
        assert_eq!(recorder.take_departures(), Departures::default());
    }

    #[test]
    fn a_sample_stays_small() {
        assert!(size_of::<Sample>() <= 72, "{}", size_of::<Sample>());
    }

    #[test]
    fn age_counts_from_when_a_request_should_have_left() {
        let recorder = Recorder::new(1);
        std::thread::sleep(Duration::from_millis(5));
        let late = recorder.begin(0, 0, Instant::now().checked_sub(Duration::from_millis(4)).unwrap());
        assert!(recorder.under_way(Duration::ZERO).oldest >= Duration::from_millis(3));
        drop(late);
    }
}
