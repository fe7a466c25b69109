//! The workers: which there are, what each last said, and what that means for the ramp's stopwatch.
//!
//! Turns reports into samples by the same rules as our own requests. Knows no socket.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::wire::{Done, Fault, Report};
use crate::domain::measurement::ErrorKind;
use crate::domain::text::tame;
use crate::load::answer::{CacheWord, Outcome, judge};
use crate::load::away::Away;
use crate::load::recorder::{Recorder, Sample};

/// A worker that says nothing for this long is lost: it speaks ten times a second.
const SILENCE: Duration = Duration::from_secs(5);

/// All workers of a test.
#[derive(Debug)]
pub(super) struct Crew {
    endpoints: BTreeMap<String, usize>,
    timeout: Duration,
    workers: BTreeMap<String, Worker>,
    /// True once nobody may join.
    complete: bool,
}

#[derive(Debug)]
struct Worker {
    heard: Instant,
    /// From its clock to the ramp's, µs: the least that a report has shown, which is the one that travelled fastest.
    offset: i64,
    under: Vec<(usize, Duration)>,
    playing: u32,
    cpu: f64,
    shut: bool,
}

impl Crew {
    /// Nobody, for these endpoints; a request that takes longer than `timeout` timed out.
    pub fn new(endpoints: &[String], timeout: Duration) -> Self {
        let endpoints = endpoints.iter().cloned().zip(0..).collect();
        Self { endpoints, timeout, workers: BTreeMap::new(), complete: false }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.workers.len()).unwrap_or(u32::MAX)
    }

    /// Nobody else may join.
    pub fn close(&mut self) {
        self.complete = true;
    }

    /// Users that play.
    pub fn playing(&self) -> u32 {
        self.workers.values().map(|worker| worker.playing).sum()
    }

    /// True once every worker has said, knowing that the gate is shut, what it still has under way.
    pub fn heard_out(&self) -> bool {
        self.workers.values().all(|worker| worker.shut)
    }

    /// Takes in a report that arrived at `at`.
    pub fn hear(&mut self, at: Instant, report: Report, recorder: &Recorder, away: &Away) {
        let sent = i64::try_from(report.now).unwrap_or(i64::MAX);
        let offset = i64::try_from(recorder.at(at).as_micros()).unwrap_or(i64::MAX).saturating_sub(sent);
        if !self.workers.contains_key(&report.worker) {
            if self.complete {
                away.spoil("a worker joined Locust in the midst of the ramp; start all of them, then the ramp again");
                return;
            }
            let new = Worker { heard: at, offset, under: Vec::new(), playing: 0, cpu: report.cpu, shut: false };
            self.workers.insert(report.worker.clone(), new);
        }
        let Some(worker) = self.workers.get_mut(&report.worker) else { return };
        if let Some(why) = &report.trouble {
            away.spoil(format!("Locust's users cannot go on: {}", tame(why, 200)));
        }
        worker.offset = worker.offset.min(offset);
        away.feels(&report.worker, report.lags.iter().copied().map(Duration::from_micros), report.cpu - worker.cpu);
        (worker.heard, worker.playing, worker.cpu, worker.shut) = (at, report.playing, report.cpu, report.shut);
        report.waits.iter().for_each(|late| recorder.depart(Duration::from_micros(*late)));

        let known = |name: &str| {
            // A presigned upload without a name has one in scripts only.
            let index = self.endpoints.get(name).or_else(|| self.endpoints.get(""));
            if index.is_none() {
                away.spoil(format!("Locust counts {:?}, which no flow has; export the script again", tame(name, 80)));
            }
            index.copied()
        };
        let placed = |due: u64| {
            let local = i64::try_from(due).unwrap_or(i64::MAX).saturating_add(worker.offset);
            Duration::from_micros(u64::try_from(local).unwrap_or_default())
        };
        for done in &report.done {
            let Some(endpoint) = known(&done.name) else { continue };
            if done.fault == Some(Fault::Local) {
                recorder.socket_error();
            }
            recorder.add(sample(done, endpoint, placed(done.due), self.timeout));
        }
        let under = report.under.iter().filter_map(|(name, due)| Some((known(name)?, placed(*due)))).collect();
        worker.under = under;
        recorder.under_way_elsewhere(self.workers.values().flat_map(|w| w.under.iter().map(|(_, due)| *due)));
    }

    /// The worker that was not heard for too long.
    pub fn lost(&self, now: Instant) -> Option<&str> {
        let silent = |worker: &Worker| now.saturating_duration_since(worker.heard) > SILENCE;
        self.workers.iter().find(|(_, worker)| silent(worker)).map(|(name, _)| name.as_str())
    }

    /// What is still under way has been cut.
    pub fn cut(&mut self, now: Duration, recorder: &Recorder) {
        for (endpoint, due) in self.workers.values_mut().flat_map(|worker| worker.under.drain(..)) {
            let age = now.saturating_sub(due);
            recorder.add(Sample {
                endpoint,
                status: 0,
                due,
                latency: age,
                first_byte: age,
                outcome: Outcome::Cut,
                bytes: 0,
                cache: CacheWord::default(),
            });
        }
        recorder.under_way_elsewhere(std::iter::empty());
    }
}

fn sample(done: &Done, endpoint: usize, due: Duration, timeout: Duration) -> Sample {
    let latency = Duration::from_micros(done.latency);
    let mut headers = headers(&done.headers);
    if let Some(word) = done.cache.as_deref().and_then(|word| HeaderValue::from_str(word).ok()) {
        headers.insert("cf-cache-status", word);
    }
    Sample {
        endpoint,
        status: done.status,
        due,
        latency,
        first_byte: Duration::from_micros(done.first_byte),
        outcome: outcome(done, &headers, latency > timeout),
        bytes: done.bytes,
        cache: CacheWord::of(&headers),
    }
}

fn outcome(done: &Done, headers: &HeaderMap, late: bool) -> Outcome {
    let kind = match done.fault {
        _ if late => ErrorKind::Timeout,
        Some(Fault::Timeout) => ErrorKind::Timeout,
        Some(Fault::Connect | Fault::Local) => ErrorKind::Connect,
        Some(Fault::Tls) => ErrorKind::Tls,
        Some(Fault::Truncated) => ErrorKind::Truncated,
        None => {
            // Only whether the flow names this status is known here, and that is all that is asked.
            let expect: &[u16] = match done.listed {
                None => &[],
                Some(true) => &[done.status],
                Some(false) => &[0],
            };
            return match judge(done.status, headers, expect) {
                Outcome::Success if done.wrong => Outcome::Error(ErrorKind::Assertion),
                outcome => outcome,
            };
        }
    };
    Outcome::Error(kind)
}

fn headers(named: &[(String, String)]) -> HeaderMap {
    let pair = |(name, value): &(String, String)| {
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?))
    };
    let mut map = HeaderMap::new();
    named.iter().filter_map(pair).for_each(|(name, value)| _ = map.append(name, value));
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(worker: &str, now: u64) -> Report {
        Report {
            worker: worker.into(),
            now,
            done: Vec::new(),
            waits: Vec::new(),
            lags: Vec::new(),
            under: Vec::new(),
            playing: 1,
            cpu: 0.0,
            shut: false,
            trouble: None,
            flows: String::new(),
            host: String::new(),
        }
    }

    fn done(due: u64) -> Done {
        Done {
            name: "home".into(),
            due,
            latency: 20_000,
            first_byte: 10_000,
            status: 200,
            bytes: 7,
            fault: None,
            listed: None,
            wrong: false,
            cache: None,
            headers: Vec::new(),
        }
    }

    fn crew() -> (Crew, Recorder, Away) {
        (Crew::new(&["home".into()], Duration::from_secs(1)), Recorder::new(4), Away::new())
    }

    #[test]
    fn clocks_are_set_by_the_fastest_report() {
        let (mut crew, recorder, away) = crew();
        let start = Instant::now();
        let began = recorder.at(start);
        // Its clock stands at 5 s when ours stands at `began`; the first report took 300 ms, the second 1 ms.
        crew.hear(start + Duration::from_millis(300), report("w", 5_000_000), &recorder, &away);
        let second = Report { done: vec![done(5_400_000)], ..report("w", 5_500_000) };
        crew.hear(start + Duration::from_millis(501), second, &recorder, &away);
        let third = Report { done: vec![done(5_600_000)], ..report("w", 5_700_000) };
        crew.hear(start + Duration::from_millis(900), third, &recorder, &away);
        // Clocks are set in whole microseconds, each rounded down.
        let rounding = Duration::from_micros(2);
        let dues: Vec<_> = recorder.drain().iter().map(|s| (s.due + rounding - began).as_millis()).collect();
        assert_eq!(dues, [401, 601]);
        assert_eq!(away.spoiled(), None);
    }

    #[test]
    fn what_is_under_way_is_seen_and_counts_as_cut() {
        let (mut crew, recorder, away) = crew();
        let now = Instant::now();
        let under = vec![("home".to_owned(), 1_000_000), ("home".to_owned(), 1_900_000)];
        crew.hear(now, Report { under, ..report("a", 2_000_000) }, &recorder, &away);
        crew.hear(now, Report { under: vec![("home".into(), 7)], shut: true, ..report("b", 8) }, &recorder, &away);
        assert_eq!(recorder.under_way(Duration::MAX).count, 3);
        assert!(!crew.heard_out());
        crew.cut(recorder.at(now), &recorder);
        assert_eq!(recorder.under_way(Duration::MAX).count, 0);
        assert!(recorder.drain().iter().all(|sample| sample.outcome == Outcome::Cut));
    }

    #[test]
    fn a_stranger_in_the_midst_and_a_silent_worker_are_noticed() {
        let (mut crew, recorder, away) = crew();
        let now = Instant::now();
        crew.hear(now, report("a", 1), &recorder, &away);
        crew.close();
        assert_eq!(crew.lost(now + Duration::from_secs(4)), None);
        assert_eq!(crew.lost(now + Duration::from_secs(6)), Some("a"));
        crew.hear(now, report("b", 1), &recorder, &away);
        assert!(away.spoiled().unwrap().contains("joined"));
        assert_eq!(crew.count(), 1);
    }

    #[test]
    fn locust_s_requests_are_judged_by_our_rules() {
        use ErrorKind::{Assertion, Connect, ServerError, Timeout, Tls, UnexpectedStatus};
        let edge = vec![("cf-ray".to_owned(), "1".to_owned())];
        for (name, done, outcome) in [
            ("a page", done(0), Outcome::Success),
            ("a body that is wrong", Done { wrong: true, ..done(0) }, Outcome::Error(Assertion)),
            ("a server's error", Done { status: 503, ..done(0) }, Outcome::Error(ServerError)),
            ("a status that is named", Done { status: 404, listed: Some(true), ..done(0) }, Outcome::Success),
            ("one that is not", Done { listed: Some(false), ..done(0) }, Outcome::Error(UnexpectedStatus)),
            ("the edge refused", Done { status: 429, headers: edge, ..done(0) }, Outcome::Blocked),
            ("the app refused", Done { status: 429, ..done(0) }, Outcome::Error(UnexpectedStatus)),
            ("no TLS", Done { status: 0, fault: Some(Fault::Tls), ..done(0) }, Outcome::Error(Tls)),
            ("no port", Done { status: 0, fault: Some(Fault::Local), ..done(0) }, Outcome::Error(Connect)),
            ("too long, however it ended", Done { latency: 1_000_001, ..done(0) }, Outcome::Error(Timeout)),
        ] {
            let (mut crew, recorder, away) = crew();
            crew.hear(Instant::now(), Report { done: vec![done], ..report("w", 9) }, &recorder, &away);
            assert_eq!(recorder.drain()[0].outcome, outcome, "{name}");
        }
    }
}
