//! How often verdicts lie: hundreds of simulated holds with a known truth for every law, truth and size of hold.
//!
//! `cargo run --release --example verdict_bench [HOLDS]` prints, per line, the share of `pass`, `fail` and
//! `inconclusive`; a `pass` where the truth is over the limit is a false pass, a `fail` where it is under, a false fail.

#![expect(clippy::print_stdout, reason = "its output is its purpose")]

#[path = "../tests/honesty/mod.rs"]
mod honesty;

use std::time::Instant;

use honesty::{Law, QUICK, Shape, Simulator, THOUSAND_USERS};

/// Ten users that pause one to three seconds.
const TEN_USERS: Shape = Shape { seconds: 160, rate: 4.8, users: 10, workers: 1 };

fn main() -> anyhow::Result<()> {
    let holds: u64 = std::env::args().nth(1).map_or(Ok(400), |text| text.parse())?;
    let only = std::env::args().nth(2).unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "hundreds")]
    let percent = |count: u64| 100.0 * count as f64 / holds as f64;
    let began = Instant::now();
    println!("{holds} holds a line; shares in percent; * = a wrong verdict is possible on this side");
    println!(
        "{:<12} {:<12} {:>5}  {:>6} {:>6} {:>6} {:>9}  {:>8}",
        "law", "hold", "truth", "pass", "fail", "undec.", "unsteady", "p95 off"
    );
    for law in Law::ALL.into_iter().filter(|law| format!("{law:?}").contains(&only)) {
        for (name, shape) in [("quick", QUICK), ("10 users", TEN_USERS), ("1000 users", THOUSAND_USERS)] {
            for truth in [0.5, 0.95, 1.0, 1.05, 1.5] {
                let t = Simulator::new(law, shape, truth).tally(holds);
                println!(
                    "{:<12} {:<12} {truth:>5}  {:>5.1}{} {:>5.1}{} {:>6.1} {:>9.1}  {:>7.2}%",
                    format!("{law:?}"),
                    name,
                    percent(t.pass),
                    if truth >= 1.0 { '*' } else { ' ' },
                    percent(t.fail),
                    if truth < 1.0 { '*' } else { ' ' },
                    percent(t.undecided),
                    percent(t.unsteady),
                    t.off_share * 100.0,
                );
            }
        }
    }
    println!("{:.0} s in all", began.elapsed().as_secs_f64());
    speed();
    Ok(())
}

/// One long, busy hold: what a person waits for after it ends.
fn speed() {
    let long = Shape { seconds: 600, rate: 3000.0, users: 1, workers: 1 };
    let (measurement, _) = Simulator::new(Law::Wander, long, 0.8).draw(1);
    let began = Instant::now();
    let verdict = rampup::domain::verdict::judge(&measurement, &rampup::domain::slo::Slo::default(), &[]);
    println!(
        "{} requests in 600 s judged in {} ms: {}",
        measurement.requests,
        began.elapsed().as_millis(),
        verdict.sentence
    );
}
