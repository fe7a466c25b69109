//! The exported script in the hands of the real k6, and its raw points as a measurement of ours.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use rampup::domain::measurement::{ErrorKind, Histogram, Measurement, Window};
use rampup::store::atomic;
use serde::Deserialize;

use crate::Drive;
use crate::edge;
use crate::seen::Seen;
use crate::stack::{Stack, run};

/// Seconds that users play on after the stretch that counts, so that its last second is like the others.
const BEYOND: u32 = 5;

/// A row of k6's CSV.
#[derive(Debug, Deserialize)]
struct Point {
    metric_name: String,
    /// µs since 1970; a request's is its end.
    timestamp: i64,
    /// ms for times.
    metric_value: f64,
    expected_response: String,
    name: String,
}

/// One request, from its rows.
#[derive(Debug, Default, Clone)]
struct Request {
    name: String,
    ended: i64,
    duration: f64,
    /// Waiting for a connection; k6 counts connecting and TLS into it.
    blocked: f64,
    connecting: f64,
    expected: bool,
}

impl Request {
    /// From wanting to send it to its last byte, ms: what rampup calls latency.
    fn latency(&self) -> f64 {
        self.blocked + self.duration
    }

    /// When it wanted to leave, µs.
    fn left(&self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "some seconds in µs")]
        let took = (self.latency() * 1000.0) as i64;
        self.ended - took
    }
}

/// One run of k6.
pub fn drive(program: &Path, stack: &Stack, drive: &Drive) -> anyhow::Result<Seen> {
    let out = tempfile::tempdir()?;
    let (script, points) = (out.path().join("flows.js"), out.path().join("points.csv"));
    atomic::write(&script, &stack.script()?)?;
    let seconds = |seconds: u32| format!("{seconds}s");
    run(Command::new(program)
        .args(["run", "--quiet", "--no-usage-report", "--no-summary", "--no-thresholds", "--address", "", "--out"])
        .arg(format!("csv={}", points.display()))
        .arg(&script)
        .env("K6_CSV_TIME_FORMAT", "unix_micro")
        .env("USERS", drive.users.to_string())
        .env("CLIMB", seconds(drive.climb))
        .env("HOLD", seconds(drive.settle + drive.hold + BEYOND))
        .envs(keys(stack.project())?))?;
    let requests = requests(&points)?;
    let began = requests.iter().map(Request::left).min().context("k6 made no request")?;
    let from = began + i64::from(drive.climb + drive.settle) * 1_000_000;
    let edge = edge::seen(stack.lab(), jiff::Timestamp::from_microsecond(from)?, drive.hold)?;
    Ok(seen(&requests, from, drive).beside(edge))
}

/// The project's keys, as `NAME=value` lines.
fn keys(project: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(project.join(".env"))?;
    Ok(text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect())
}

/// Puts the rows of each request together again: k6 writes them one behind the other.
fn requests(points: &Path) -> anyhow::Result<Vec<Request>> {
    let mut all = Vec::new();
    let mut under_way = Request::default();
    for point in csv::Reader::from_path(points)?.deserialize() {
        let Point { metric_name, timestamp, metric_value, expected_response, name } = point?;
        match metric_name.as_str() {
            "http_reqs" => {
                let expected = expected_response == "true";
                under_way = Request { name, ended: timestamp, expected, ..Request::default() };
            }
            "http_req_duration" => under_way.duration = metric_value,
            "http_req_blocked" => under_way.blocked = metric_value,
            "http_req_connecting" => under_way.connecting = metric_value,
            "http_req_failed" => {
                anyhow::ensure!(under_way.ended == timestamp, "k6's rows of a request do not stand together");
                anyhow::ensure!(
                    under_way.blocked >= under_way.connecting,
                    "k6 does not count connecting into blocked any more: {under_way:?}"
                );
                all.push(under_way.clone());
            }
            _ => {}
        }
    }
    Ok(all)
}

/// The requests that left in the stretch that counts, filed like rampup's own.
fn seen(requests: &[Request], from: i64, drive: &Drive) -> Seen {
    let mut windows = vec![Window::default(); drive.hold as usize];
    let mut measured = Measurement { users: drive.users, hold_seconds: drive.hold.into(), ..Measurement::default() };
    let mut endpoints: BTreeMap<String, rampup::domain::measurement::Endpoint> = BTreeMap::new();
    let mut bare = Histogram::new();
    for request in requests {
        let second = request.left() - from;
        let Some(window) =
            usize::try_from(second / 1_000_000).ok().filter(|_| second >= 0).and_then(|s| windows.get_mut(s))
        else {
            continue;
        };
        let endpoint = endpoints.entry(request.name.clone()).or_default();
        for count in [&mut measured.requests, &mut window.requests, &mut endpoint.requests] {
            *count += 1;
        }
        if request.expected {
            let latency = micros(request.latency());
            for histogram in [&mut measured.latency, &mut window.latency, &mut endpoint.latency] {
                histogram.record(latency);
            }
            bare.record(micros(request.duration));
        } else {
            window.errors += 1;
            measured.errors.add(ErrorKind::UnexpectedStatus);
            endpoint.errors.add(ErrorKind::UnexpectedStatus);
        }
    }
    (measured.windows, measured.endpoints) = (windows, endpoints);
    Seen::new(measured, bare.quantile_ms(0.95))
}

fn micros(ms: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds in µs")]
    let micros = (ms * 1000.0) as u64;
    micros
}
