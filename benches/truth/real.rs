//! A handful of real holds: the product's own driver against a server on loopback whose law is known and which keeps its
//! own record of the same requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rampup::domain::flow::Mix;
use rampup::domain::measurement::Measurement;
use rampup::domain::ramp::RampPlan;
use rampup::domain::slo::Slo;
use rampup::domain::verdict::{Next, judge_looked};
use rampup::load::{Driver, GooseDriver, Onlooker, Order};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::server::{Pause, Running, lognormal, normal};

/// The true p95 over the limit.
const TRUTHS: [f64; 2] = [0.7, 1.3];
/// Users, each with a pause of a second between two requests.
const USERS: u32 = 100;
/// Length of each hold.
const SECONDS: u32 = 30;
/// Spread of a single latency, and of the wandering level, in logarithms; as in the simulation.
const SIGMA: f64 = 0.5;
const WANDER: f64 = 0.2;
const Z95: f64 = 1.644_853_626_951_472_7;

/// Laws by name, each with how it pauses for a true p95 in ms.
/// A law of pauses, scaled so that its p95 is this share of the limit.
type Law = fn(f64) -> Pause;

const LAWS: [(&str, Law); 3] = [("Lognormal", independent), ("Bimodal", two_humps), ("Wander", wandering)];

fn independent(p95_ms: f64) -> Pause {
    let median = p95_ms / (Z95 * SIGMA).exp();
    counted(move |dice| lognormal(dice, median, SIGMA))
}

/// One in ten comes from the slow hump, so that its median is the p95 of all; the fast one does not reach it.
fn two_humps(p95_ms: f64) -> Pause {
    counted(move |dice| {
        let median = if dice.random::<f64>() < 0.1 { p95_ms } else { p95_ms / 12.0 };
        lognormal(dice, median, 0.3)
    })
}

/// A level for all requests of a second, which wanders as that of the simulation does.
fn wandering(p95_ms: f64) -> Pause {
    let median = p95_ms / (Z95 * SIGMA.hypot(WANDER)).exp();
    let (began, level) = (Instant::now(), Mutex::new((0, 0.0, SmallRng::seed_from_u64(1))));
    counted(move |dice| {
        let mut level = level.lock().unwrap_or_else(PoisonError::into_inner);
        let (second, value, random) = &mut *level;
        while *second < began.elapsed().as_secs() {
            *second += 1;
            *value = 0.8 * *value + 0.6 * WANDER * normal(random);
        }
        lognormal(dice, median * value.exp(), SIGMA)
    })
}

/// Everything counts but the health endpoint.
fn counted(pause: impl Fn(&mut SmallRng) -> Duration + Send + Sync + 'static) -> Pause {
    Arc::new(move |head: &[u8], dice: &mut SmallRng| head.starts_with(b"GET /page").then(|| pause(dice)))
}

/// Drives every law under and over the limit and prints what came of it.
pub fn run() -> anyhow::Result<()> {
    let slo = Slo::default();
    println!("{USERS} real users for {SECONDS} s a hold, each a second between two requests; p95 in ms");
    println!(
        "{:<10} {:>5}  {:>8} {:>8}  {:>7} {:>7} {:>7}  verdict",
        "law", "truth", "requests", "server's", "p95", "its own", "off"
    );
    let plan: RampPlan = serde_json::from_value(json!({
        "users": USERS, "climb": 0.0, "settle_limit": 0.0, "hold": SECONDS, "timeout": 10.0, "think": "1s", "seed": 1,
        "quick": false,
    }))?;
    for (name, law) in LAWS {
        for truth in TRUTHS {
            let server = Running::start(law(truth * slo.p95_ms))?;
            let measured = drive(&server, &plan)?;
            let own = server.report();
            let verdict = judge_looked(&measured, &plan, &slo, &[]);
            let (ours, its) = (measured.latency.quantile_ms(0.95).unwrap_or(f64::NAN), own.p95_ms.unwrap_or(f64::NAN));
            println!(
                "{name:<10} {truth:>5}  {:>8} {:>8}  {ours:>7.1} {its:>7.1} {:>6.2}%  {}",
                measured.requests,
                own.requests,
                (ours / its - 1.0) * 100.0,
                verdict.sentence
            );
        }
    }
    Ok(())
}

/// Climb and settling take no time, so that the hold is the run and both sides count the same requests. The breakers
/// watch a promise of a minute, because holds over the limit shall be judged, not cut.
fn drive(server: &Running, plan: &RampPlan) -> anyhow::Result<Measurement> {
    let mix: Mix = serde_json::from_value(json!({
        "flows": [{ "name": "page", "weight": 1, "step": [{ "name": "page", "get": "/page" }] }],
        "headers": {},
    }))?;
    let (pulses, mut heard) = mpsc::unbounded_channel();
    let order = Order {
        plan: plan.clone(),
        slo: Slo { p95_ms: 60_000.0, ..Slo::default() },
        mix,
        target: format!("http://127.0.0.1:{}/", server.port).parse()?,
        health: "/health".into(),
        passwords: Arc::new(BTreeMap::new()),
        pulses,
        looks: Onlooker::new(|_, _| Next::Stop),
        stop: CancellationToken::new(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok(runtime.block_on(async {
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        GooseDriver::default().drive(order).await
    })?)
}
