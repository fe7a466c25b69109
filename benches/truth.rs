//! How often verdicts lie: hundreds of simulated holds with a known truth for every law, size and truth, judged with the
//! looks and extensions in force.
//!
//! `cargo bench --bench truth [-- --holds N] [--seed N] [--law NAME] [--hold NAME] [--json FILE]` prints, per line, the
//! shares of `pass`, `fail` and `inconclusive`. A `pass` where the truth is at or over the limit is a false pass, a
//! `fail` where it is under it a false fail. Seeds are fixed: the same program prints the same table; `--seed` draws
//! other holds.
//!
//! `cargo bench --bench truth -- --real` drives a handful of real holds on loopback instead, about four minutes.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "../tests/honesty/mod.rs"]
mod honesty;
#[path = "truth/real.rs"]
mod real;
#[expect(dead_code, reason = "its way of being a process of its own is for `peers`")]
#[path = "peers/server.rs"]
mod server;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use honesty::{Law, QUICK, Shape, Simulator, THOUSAND_USERS, Tally};

/// Ten users that pause one to three seconds.
const TEN_USERS: Shape = Shape { seconds: 170, rate: 4.8, users: 10, workers: 1, extensions: 2 };
/// A hundred that pause three to six.
const HUNDRED_USERS: Shape = Shape { seconds: 60, rate: 21.7, users: 100, workers: 4, extensions: 2 };

const SHAPES: [(&str, Shape); 4] =
    [("practice", QUICK), ("10 users", TEN_USERS), ("100 users", HUNDRED_USERS), ("1000 users", THOUSAND_USERS)];
const TRUTHS: [f64; 7] = [0.5, 0.8, 0.9, 0.95, 1.0, 1.05, 1.5];

/// Holds a line unless said otherwise: some minutes on two cores.
const HOLDS: u64 = 100;

struct Line {
    law: Law,
    name: &'static str,
    shape: Shape,
    truth: f64,
    tally: Option<Tally>,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--real") {
        return real::run();
    }
    let after = |flag: &str| arguments.iter().position(|a| a == flag).and_then(|at| arguments.get(at + 1)).cloned();
    let holds: u64 = after("--holds").map_or(Ok(HOLDS), |text| text.parse())?;
    let seed: u64 = after("--seed").map_or(Ok(0), |text| text.parse())?;
    let [law, hold] = ["--law", "--hold"].map(|flag| after(flag).unwrap_or_default().to_lowercase());
    let lines: Vec<Mutex<Line>> = Law::ALL
        .into_iter()
        .filter(|one| law.is_empty() || format!("{one:?}").to_lowercase() == law)
        .flat_map(|law| SHAPES.map(|(name, shape)| TRUTHS.map(|truth| Line { law, name, shape, truth, tally: None })))
        .flatten()
        .filter(|line| line.name.starts_with(&hold))
        .map(Mutex::new)
        .collect();
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut line = line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    line.tally = Some(Simulator::new(line.law, line.shape, line.truth).tally(seed..seed + holds));
                }
            });
        }
    });
    let lines: Vec<Line> =
        lines.into_iter().map(|l| l.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)).collect();
    print(&lines, holds);
    price(&lines, holds);
    println!("{:.0} s in all", began.elapsed().as_secs_f64());
    if let Some(file) = after("--json") {
        let rows: Vec<_> = lines.iter().map(|line| json(line, holds)).collect();
        write(&file, &serde_json::to_string_pretty(&rows)?)?;
    }
    speed();
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a table that a person asked for, beside no state of anybody's")]
fn write(file: &str, text: &str) -> std::io::Result<()> {
    std::fs::write(file, text)
}

#[expect(clippy::cast_precision_loss, reason = "hundreds")]
fn percent(count: u64, holds: u64) -> f64 {
    100.0 * count as f64 / holds as f64
}

fn print(lines: &[Line], holds: u64) {
    println!("{holds} holds a line; shares in percent; * = this verdict is wrong, ! = wrong more often than allowed");
    println!(
        "{:<12} {:<11} {:>5}  {:>6} {:>7} {:>6} {:>9} {:>6} {:>8}",
        "law", "hold", "truth", "pass", "fail", "undec.", "unsteady", "mean s", "p95 off"
    );
    for Line { law, name, truth, tally, .. } in lines {
        let Some(t) = tally else { continue };
        let share = |count| percent(count, holds);
        let mark = |wrong: bool, share: f64, allowed: f64| match (wrong, share > allowed) {
            (true, true) => '!',
            (true, false) => '*',
            (false, _) => ' ',
        };
        println!(
            "{:<12} {name:<11} {truth:>5}  {:>5.1}{} {:>6.1}{} {:>6.1} {:>9.1} {:>6.0} {:>7.2}%",
            format!("{law:?}"),
            share(t.pass),
            mark(*truth >= 1.0, share(t.pass), allowed(*truth)),
            share(t.fail),
            mark(*truth < 1.0, share(t.fail), 1.0),
            share(t.undecided),
            share(t.unsteady),
            t.seconds / real(holds),
            t.off_share * 100.0,
        );
    }
}

/// What the care costs: healthy servers of all laws together, by the size of the hold.
fn price(lines: &[Line], holds: u64) {
    println!(
        "\nhealthy servers, all laws together: shares in percent\n{:<11} {:>5}  {:>6} {:>6} {:>6}",
        "hold", "truth", "pass", "undec.", "mean s"
    );
    for (name, _) in SHAPES {
        for truth in TRUTHS.into_iter().filter(|truth| *truth < 1.0) {
            let of: Vec<Tally> =
                lines.iter().filter(|l| l.name == name && l.truth == truth).filter_map(|line| line.tally).collect();
            if of.is_empty() {
                continue;
            }
            let all = holds * of.len() as u64;
            let sum = |of_one: fn(&Tally) -> u64| percent(of.iter().map(of_one).sum(), all);
            let seconds = of.iter().map(|t| t.seconds).sum::<f64>() / real(all);
            println!("{name:<11} {truth:>5}  {:>6.1} {:>6.1} {seconds:>6.0}", sum(|t| t.pass), sum(|t| t.undecided));
        }
    }
}

/// False passes allowed, percent: 1 from five percent over the limit on, 5 at the limit itself.
fn allowed(truth: f64) -> f64 {
    if truth >= 1.05 { 1.0 } else { 5.0 }
}

#[expect(clippy::cast_precision_loss, reason = "hundreds")]
fn real(holds: u64) -> f64 {
    holds as f64
}

fn json(line: &Line, holds: u64) -> serde_json::Value {
    let t = line.tally.unwrap_or_default();
    serde_json::json!({
        "law": format!("{:?}", line.law),
        "hold": line.name,
        "truth": line.truth,
        "holds": holds,
        "pass": t.pass,
        "fail": t.fail,
        "inconclusive": t.undecided,
        "not_steady": t.unsteady,
        "mean_hold_seconds": t.seconds / real(holds),
        "p95_off_share": t.off_share,
        "p95_off_ms": t.off_ms,
    })
}

/// One long, busy hold: what a person waits for after it ends.
fn speed() {
    let long = Shape { seconds: 600, rate: 3000.0, users: 1, workers: 1, extensions: 0 };
    let simulator = Simulator::new(Law::Wander, long, 0.8);
    let mut run = simulator.begin(1);
    run.hold_until(600);
    let (measurement, _) = run.seen(1);
    let began = Instant::now();
    let verdict = rampup::domain::verdict::judge(&measurement, &rampup::domain::slo::Slo::default(), &[]);
    println!(
        "{} requests in 600 s judged in {} ms: {}",
        measurement.requests,
        began.elapsed().as_millis(),
        verdict.sentence
    );
}
