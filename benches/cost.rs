//! What the program itself costs: the stopwatch of a request, the verdict on a million, events to the store.
//!
//! `cargo bench --bench cost [-- --json FILE]`. Medians of interleaved rounds; under a minute.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark: a panic is the finding, the table is its answer"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use rampup::domain::event::{Event, EventKind, SCHEMA};
use rampup::domain::ids::RunId;
use rampup::domain::slo::Slo;
use rampup::domain::verdict::judge;
use rampup::load::cost::stopwatch;
use rampup::store::Store;

const ROUNDS: usize = 5;
/// A hold of 1000 s at 1000 requests a second.
const SECONDS: u32 = 1000;
const PER_SECOND: u32 = 1000;
const EVENTS: u64 = 5000;

fn main() {
    let mut rows = [
        Row::new("recorder: begin, end, keep", "ns a request"),
        Row::new("recorder: count into histograms", "ns a request"),
        Row::new("verdict on 1,000,000 requests in 1000 s", "ms"),
        Row::new("events to the store", "events a second"),
    ];
    let requests = f64::from(SECONDS * PER_SECOND);
    for _ in 0..ROUNDS {
        let spent = stopwatch(SECONDS, PER_SECOND);
        rows[0].seen.push(nanos(spent.recording) / requests);
        rows[1].seen.push(nanos(spent.folding) / requests);
        let began = Instant::now();
        black_box(judge(&spent.measurement, &Slo::default(), &[]));
        rows[2].seen.push(nanos(began.elapsed()) / 1e6);
        rows[3].seen.push(EVENTS as f64 / store(EVENTS).as_secs_f64());
    }
    println!("| what | median | least | most | unit |\n|---|---|---|---|---|");
    for row in &mut rows {
        row.seen.sort_unstable_by(f64::total_cmp);
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {} |",
            row.what,
            row.median(),
            row.seen[0],
            row.seen[ROUNDS - 1],
            row.unit
        );
    }
    let mut arguments = std::env::args().skip_while(|argument| argument != "--json").skip(1);
    if let Some(file) = arguments.next() {
        let table: Vec<_> = rows.iter().map(Row::json).collect();
        #[expect(clippy::disallowed_methods, reason = "the file that its user asked for; no project's records")]
        std::fs::write(file, serde_json::to_vec_pretty(&table).unwrap()).unwrap();
    }
}

struct Row {
    what: &'static str,
    unit: &'static str,
    seen: Vec<f64>,
}

impl Row {
    fn new(what: &'static str, unit: &'static str) -> Self {
        Self { what, unit, seen: Vec::new() }
    }

    fn median(&self) -> f64 {
        self.seen[ROUNDS / 2]
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({ "what": self.what, "unit": self.unit, "median": self.median(), "rounds": self.seen })
    }
}

fn nanos(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

/// Time to keep so many events of an ordinary run, and one that is waited for on the disk.
fn store(events: u64) -> Duration {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::from("bench");
    let mut store = Store::open(folder.path(), &run).unwrap();
    let event = |seq, kind| Event { v: SCHEMA, seq, at: jiff::Timestamp::UNIX_EPOCH, run: run.clone(), kind };
    let began = Instant::now();
    for seq in 0..events {
        let kind = EventKind::Note { text: format!("note {seq} of a run that has much to say") };
        store.record(&event(seq, kind)).unwrap();
    }
    store.record(&event(events, EventKind::RunFinished { exit: 0 })).unwrap();
    began.elapsed()
}
