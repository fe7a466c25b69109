//! The two tools that live in this program, each run as a process of its own: rampup's load engine as the product
//! drives it, and the least that goose can be tuned to.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionFunction};
use goose::{GooseAttack, GooseError};
use rampup::domain::flow::Mix;
use rampup::domain::measurement::Histogram;
use rampup::domain::ramp::RampPlan;
use rampup::domain::slo::Slo;
use rampup::load::{Driver, GooseDriver, Order};
use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::meter;

/// How a tool is driven.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drive {
    /// Scheme, host and port.
    pub base: String,
    /// Path to get.
    pub path: String,
    /// Users, each with one connection.
    pub users: u32,
    /// How long, in seconds.
    pub seconds: u64,
    /// Pause of a user between two requests, in seconds.
    pub think: u64,
}

/// What a tool says of its own run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// p95 of its requests, ms.
    pub p95_ms: Option<f64>,
    /// Memory of the process before the ramp, KiB; only rampup tells it.
    pub idle_kib: Option<u64>,
}

/// The product's own driver with what a product's ramp has: flows, whole bodies, recorder, health endpoint, generator
/// health, breakers (wide, for a promise of a minute). Climb and settling take no time, so that the hold is the run.
pub fn rampup(drive: &Drive) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    // What the program costs before there is a ramp: the same code is mapped, the same runtime waits.
    let idle_kib = meter::status("self", "VmRSS");
    let plan: RampPlan = serde_json::from_value(json!({
        "users": drive.users, "climb": 0.0, "settle_limit": 0.0, "hold": drive.seconds, "timeout": 10.0,
        "think": format!("{}s", drive.think), "seed": 1, "quick": false,
    }))?;
    let path = &drive.path;
    let mix: Mix = serde_json::from_value(json!({
        "headers": { "x-load-test": "rampup" },
        "flows": [
            { "name": "browse", "weight": 3, "step": [
                { "name": "home", "get": path },
                { "name": "page", "get": format!("{path}?page={{{{random 1 500}}}}") } ] },
            { "name": "search", "weight": 1, "step": [
                { "name": "search", "get": format!("{path}?q=tea"), "expect": [200] } ] },
        ],
    }))?;
    let (pulses, mut heard) = mpsc::unbounded_channel();
    let order = Order {
        plan,
        slo: Slo { p95_ms: 60_000.0, ..Slo::default() },
        mix,
        target: drive.base.parse()?,
        health: "/health".into(),
        passwords: Arc::new(BTreeMap::new()),
        pulses,
        looks: rampup::load::Onlooker::new(|_, _| rampup::domain::verdict::Next::Stop),
        stop: CancellationToken::new(),
    };
    let measured = runtime.block_on(async {
        tokio::spawn(async move { while heard.recv().await.is_some() {} });
        GooseDriver::default().drive(order).await
    })?;
    anyhow::ensure!(
        measured.errors.total() == 0 && measured.blocked == 0,
        "the ramp met errors: {:?} {:?}",
        measured.errors,
        measured.end
    );
    say(Said { p95_ms: measured.latency.quantile_ms(0.95), idle_kib })
}

/// Goose without its metrics and without gzip, one client for all users, an own recorder: nothing but requests.
pub fn tuned(drive: &Drive) -> anyhow::Result<()> {
    let shards: Arc<[Mutex<Histogram>]> = (0..8).map(|_| Mutex::default()).collect();
    let mut config = GooseConfiguration::default();
    config.host = Some(drive.base.clone());
    config.users = usize::try_from(drive.users).ok();
    config.increase_rate = Some("1000".into());
    config.run_time = Some(drive.seconds.to_string());
    config.quiet = 2;
    config.no_print_metrics = true;
    config.no_metrics = true;
    config.no_telnet = true;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(attack(config, drive, &shards)?.execute())?;
    let mut whole = Histogram::new();
    shards.iter().for_each(|shard| whole.merge(&shard.lock().unwrap_or_else(PoisonError::into_inner)));
    say(Said { p95_ms: whole.quantile_ms(0.95), idle_kib: None })
}

fn attack(
    config: GooseConfiguration,
    drive: &Drive,
    shards: &Arc<[Mutex<Histogram>]>,
) -> Result<GooseAttack, Box<GooseError>> {
    let (path, think, shards) = (drive.path.clone(), Duration::from_secs(drive.think), shards.clone());
    let get: TransactionFunction = Arc::new(move |user: &mut GooseUser| {
        let (path, shards) = (path.clone(), shards.clone());
        Box::pin(async move {
            if !think.is_zero() {
                let first = user.get_session_data::<()>().is_none();
                user.set_session_data(());
                let share = if first { rand::rng().random() } else { 1.0 };
                tokio::time::sleep(think.mul_f64(share)).await;
            }
            let began = Instant::now();
            let Ok(response) = user.get(&path).await?.response else { return Ok(()) };
            if response.bytes().await.is_ok() {
                let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                let mut shard =
                    shards[user.weighted_users_index % shards.len()].lock().unwrap_or_else(PoisonError::into_inner);
                shard.record(micros);
            }
            Ok(())
        })
    });
    Ok(GooseAttack::initialize_with_config(config)?
        .set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies().gzip(false))?
        .register_scenario(Scenario::new("users").register_transaction(Transaction::new(get).set_name("get"))))
}

fn say(said: Said) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&said)?)?;
    Ok(())
}
