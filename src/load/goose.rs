//! Goose 0.19 as the engine that plays the users: the only file that knows it.
//!
//! Goose starts all users at once; they park at the gate and do what `flow.rs` says until they are cut. Its own times
//! end at the headers, so nothing it measures is used, and it is told not to measure. Requests leave on the users' own
//! wires (`wire.rs`), beside its client, which every request costs as much again (`docs/peers.md`).
//!
//! Traps of the published crate that this file steps around: dropping `execute()` leaves users running without
//! a leash; the killswitch is one per process and forgotten at each start; its telnet port is open by default; a test
//! plan prints to the terminal; it takes SIGINT unless somebody took it before (the app does).

use std::sync::Arc;
use std::time::{Duration, Instant};

use goose::client::GooseClientBuilder;
use goose::config::GooseConfiguration;
use goose::goose::{GooseUser, Scenario, Transaction, TransactionFunction};
use goose::metrics::GooseMetrics;
use goose::{GooseAttack, GooseError};
use tokio::runtime::Runtime;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;

use super::guard::Limits;
use super::heartbeat::Heartbeat;
use super::precedence::{Precedence, thread_first};
use super::ramp::{Ears, conduct};
use super::script::Script;
use super::stage::{Stage, pool};
use super::visitor::Visitor;
use super::{BoxFuture, Driver, LoadError, Order, client, flow, limits};
use crate::domain::measurement::Measurement;

/// Users that goose starts a second.
const STARTS_PER_SECOND: u32 = 1000;
/// Time for all users to be parked at the gate.
const PARKING: Duration = Duration::from_secs(30);
/// Time for goose to end by itself before its runtime is taken away.
const LEAVING: Duration = Duration::from_secs(2);
/// How often the killswitch is pulled until goose has noticed.
const PULL: Duration = Duration::from_millis(20);

/// One attack at a time: goose's killswitch belongs to the whole process.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Drives ramps with goose, one at a time.
#[derive(Debug, Default)]
pub struct GooseDriver {
    /// Limits that tests set lower than a promise asks for.
    limits: Option<Limits>,
}

#[cfg(test)]
impl GooseDriver {
    /// With breakers of one's own.
    pub(super) fn with_limits(limits: Limits) -> Self {
        Self { limits: Some(limits) }
    }
}

impl Driver for GooseDriver {
    fn drive(&self, order: Order) -> BoxFuture<'static, Result<Measurement, LoadError>> {
        let limits = self.limits.clone().unwrap_or_else(|| Limits::of(&order.slo));
        Box::pin(async move {
            let _one = ONE.lock().await;
            drive(order, limits).await
        })
    }
}

async fn drive(order: Order, limits: Limits) -> Result<Measurement, LoadError> {
    let Order { plan, slo, mix, target, health, passwords, pulses, looks, stop } = order;
    if plan.users == 0 {
        return Err(LoadError::Plan("it has no users; ask for at least one".into()));
    }
    limits::ensure(pool(&plan))?;
    let script = Script::compile(&mix, passwords)?;
    let wires = client::prepare(&target, &mix.upload_hosts, plan.timeout).await?;
    let nurse = Heartbeat::wire(&target, &limits).await?;
    let stage = Arc::new(Stage::new(plan, target, script, wires));

    let _first = Precedence::ask();
    let level = log::max_level();
    let own = Own::runtime()?;
    let engine_gone = CancellationToken::new();
    let attack = own.spawn({
        let (attack, gone) = (attack(&stage)?, engine_gone.clone().drop_guard());
        async move {
            let ended = attack.execute().await;
            drop(gone);
            ended
        }
    });
    let ramp = own.spawn({
        let stage = stage.clone();
        async move {
            parked(&stage, &stop, &engine_gone).await?;
            // Goose has set it for the whole process to what its own settings say.
            log::set_max_level(level);
            let heartbeat = Heartbeat::of(&stage, &health, nurse, &pulses).await;
            Ok(conduct(stage, Ears { stop, engine_gone, heartbeat, limits, slo, looks, signals: pulses }).await)
        }
    });
    let measured = ramp.await.map_err(|e| LoadError::Engine(e.to_string())).flatten();
    stage.cut.cancel();
    let left = Instant::now();
    while !attack.is_finished() && left.elapsed() < LEAVING {
        goose::trigger_killswitch("the ramp is over");
        tokio::time::sleep(PULL).await;
    }
    let ended = if attack.is_finished() { ended(attack.await) } else { Err("it did not end when told to".into()) };
    match (&measured, ended) {
        (_, Ok(())) => {}
        (Ok(_), Err(why)) => log::warn!("the load engine ended badly after its work: {why}"),
        (Err(_), Err(why)) => return Err(LoadError::Engine(why)),
    }
    measured
}

/// Goose's own runtime: the screen must not wait for a thousand users. Taken away with all that runs on it when it is
/// dropped, whoever drops it.
struct Own(Option<Runtime>);

impl Own {
    fn runtime() -> Result<Self, LoadError> {
        let built = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("load")
            .on_thread_start(thread_first)
            .build();
        built.map(|rt| Self(Some(rt))).map_err(|e| LoadError::Engine(e.to_string()))
    }

    fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        match &self.0 {
            Some(runtime) => runtime.spawn(future),
            // Only a dropped one is empty.
            None => tokio::spawn(future),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits until every user stands at the gate, or the ramp is stopped before it began.
async fn parked(stage: &Stage, stop: &CancellationToken, gone: &CancellationToken) -> Result<(), LoadError> {
    let since = Instant::now();
    let users = stage.pool;
    while stage.ready() < users && !stop.is_cancelled() {
        if gone.is_cancelled() || since.elapsed() > PARKING {
            return Err(LoadError::Engine(format!("{} of {users} users were ready to start", stage.ready())));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn attack(stage: &Arc<Stage>) -> Result<GooseAttack, LoadError> {
    let plan = &stage.plan;
    let whole = plan.climb
        + plan.settle_limit
        + plan.hold * (u32::from(plan.extensions) + 1)
        + plan.exploring()
        + plan.timeout
        + Duration::from_secs(3600);
    let mut config = GooseConfiguration::default();
    config.host = Some(stage.target.to_string());
    config.users = usize::try_from(stage.pool).ok();
    config.increase_rate = Some(STARTS_PER_SECOND.to_string());
    config.run_time = Some(whole.as_secs().to_string());
    config.quiet = 2;
    config.no_print_metrics = true;
    config.no_metrics = true;
    config.no_telnet = true;
    let engine = |e: GooseError| LoadError::Engine(e.to_string());
    let stage = stage.clone();
    let life: TransactionFunction = Arc::new(move |user: &mut GooseUser| {
        let stage = stage.clone();
        Box::pin(async move {
            play(&stage, user).await;
            Ok(())
        })
    });
    Ok(GooseAttack::initialize_with_config(config)
        .map_err(engine)?
        // One cheap client that nobody uses: every user brings a wire of its own, which does check certificates. Without
        // checks this one need not read the system's roots.
        .set_client_builder_without_cookies(GooseClientBuilder::new().without_cookies().accept_invalid_certs(true))
        .map_err(engine)?
        .register_scenario(Scenario::new("users").register_transaction(Transaction::new(life).set_name("life"))))
}

/// A goose user's only transaction: its whole life, until the ramp cuts it.
async fn play(stage: &Stage, user: &GooseUser) {
    if !stage.cut.is_cancelled() {
        tokio::select! { biased;
            () = stage.cut.cancelled() => {}
            why = live(stage, user) => {
                log::error!("a user broke off: {why}");
                stage.cut.cancelled().await;
            }
        }
    }
    // Goose asks again until it has noticed its killswitch; do not let it spin.
    tokio::time::sleep(PULL).await;
}

/// Never ends well; says why it ended.
async fn live(stage: &Stage, user: &GooseUser) -> String {
    let _alive = stage.enter();
    let me = u32::try_from(user.weighted_users_index).unwrap_or(u32::MAX);
    let mut visitor = Visitor::new(me, &stage.script, &stage.target, stage.wires.build(), stage.plan.seed);
    match flow::live(stage, &mut visitor, me).await {
        Ok(never) => match never {},
        Err(why) => why,
    }
}

/// How goose ended.
fn ended(attack: Result<Result<GooseMetrics, GooseError>, JoinError>) -> Result<(), String> {
    attack.map_err(|e| e.to_string())?.map(|_| ()).map_err(|e| e.to_string())
}
