//! A Locust that somebody runs elsewhere as the engine that plays the users.
//!
//! It is told when the gate opens and how many users to have; its workers tell of every request. Phases, breakers, settling,
//! looks and the tally are the same as for our own users. The script is the exported one, of the very flows of the
//! order: another one is refused.
//!
//! ```text
//!   conduct ─► gate ─► this driver ─► Locust's master ─► workers ─► the site
//!      └─ recorder ◄─ crew (our rules) ◄─ reports, 10 a second ┘
//! ```

mod crew;
mod door;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use self::crew::Crew;
use self::door::Line;
use self::wire::{Go, Say};
use super::away::Away;
use super::guard::Limits;
use super::heartbeat::Heartbeat;
use super::ramp::{Ears, conduct};
use super::script::Script;
use super::stage::{Gate, Stage};
use super::{BoxFuture, Driver, LoadError, Order, Signal, client};
use crate::domain::measurement::{Engine, Measurement};
use crate::domain::ramp::Model;
use crate::domain::secret::Secret;

/// How often the number of users is said; Locust takes it for a sign of life, too.
const TICK: Duration = Duration::from_millis(500);
/// Time after a cut for all workers to say what they had under way.
const LAST_WORDS: Duration = Duration::from_millis(800);
/// Time for Locust to be told that it is over.
const LEAVING: Duration = Duration::from_secs(2);

/// Drives ramps with a Locust that calls.
#[derive(Debug)]
pub struct LocustDriver {
    listen: SocketAddr,
    token: Arc<Secret>,
    wait: Duration,
}

impl LocustDriver {
    /// Listens at an address for a master that knows the token, for as long as `wait` until all its workers are there.
    #[must_use]
    pub fn new(listen: SocketAddr, token: Secret, wait: Duration) -> Self {
        Self { listen, token: Arc::new(token), wait }
    }
}

impl Driver for LocustDriver {
    fn drive(&self, order: Order) -> BoxFuture<'static, Result<Measurement, LoadError>> {
        let (listen, token, wait) = (self.listen, self.token.clone(), self.wait);
        Box::pin(async move { drive(listen, &token, wait, order).await })
    }
}

async fn drive(listen: SocketAddr, token: &Secret, wait: Duration, order: Order) -> Result<Measurement, LoadError> {
    let Order { plan, slo, mix, target, health, passwords, pulses, looks, stop } = order;
    if plan.users == 0 {
        return Err(LoadError::Plan("it has no users; ask for at least one".into()));
    }
    if plan.model == Model::Open {
        return Err(LoadError::Plan(
            "Locust's users decide themselves when a flow begins; the open model needs rampup's own engine".into(),
        ));
    }
    let limits = Limits::of(&slo);
    let script = Script::compile(&mix, passwords)?;
    let wires = client::prepare(&target, &[], plan.timeout).await?;
    let nurse = Heartbeat::wire(&target, &limits).await?;
    let mut stage = Stage::new(plan, target, script, wires);
    let away = stage.away.insert(Away::new());

    let note = |text: String| _ = pulses.send(Signal::Note(text));
    let listener = TcpListener::bind(listen).await;
    let listener = listener.map_err(|why| {
        LoadError::Locust(format!("{listen} cannot be listened at ({why}); choose another place with --listen"))
    })?;
    note(instructions(listener.local_addr().unwrap_or(listen), wait));
    let mut crew = Crew::new(&stage.script.endpoints, stage.plan.timeout);
    let written = Written { flows: mix.digest(&stage.target), host: stage.target.clone() };
    let mut last_refused = None;
    let mustered = async {
        let refused = |why: String| {
            note(why.clone());
            last_refused = Some(why);
        };
        let mut line = Line::accept(&listener, token, refused).await;
        muster(&mut line, &mut crew, &written, &stage.recorder, away).await?;
        Ok(line)
    };
    let line = tokio::select! { biased;
        () = stop.cancelled() => Err(LoadError::Locust("stopped before Locust was ready".into())),
        came = timeout(wait, mustered) => came.unwrap_or_else(|_| {
            let seen = last_refused.unwrap_or_else(|| "no Locust with all its workers came".to_owned());
            Err(LoadError::Locust(format!("{seen} (waited {:.0} s)", wait.as_secs_f64())))
        }),
    }?;
    crew.close();
    let engine = Engine::Locust { workers: crew.count() };
    note(format!("Locust is ready with {} of its own processes", crew.count()));

    let stage = Arc::new(stage);
    // Dropping this future cuts the users.
    let _cut = stage.cut.clone().drop_guard();
    let heartbeat = Heartbeat::of(&stage, &health, nurse, &pulses).await;
    let playing = tokio::spawn(play(stage.clone(), line, crew));
    let engine_gone = CancellationToken::new();
    let ears = Ears { stop, engine_gone, heartbeat, limits, slo, looks, signals: pulses.clone() };
    let measured = conduct(stage, ears).await;
    if timeout(LEAVING, playing).await.is_err() {
        log::warn!("Locust could not be told that the ramp is over; it stops by itself when the line breaks");
    }
    Ok(Measurement { engine, ..measured })
}

fn instructions(place: SocketAddr, wait: Duration) -> String {
    format!(
        "waiting {:.0} s for Locust at {place}: rampup flow export locust > flows.py; on the master, with rampup's \
         RAMPUP_TOKEN set: RAMPUP_BRIDGE={place} locust -f flows.py --headless --master --expect-workers N; N times: \
         locust -f flows.py --worker --master-host MASTER",
        wait.as_secs_f64()
    )
}

/// What a script must have been written from.
struct Written {
    flows: String,
    host: url::Url,
}

/// Waits until all workers that the master expects are there, with the right script.
async fn muster(
    line: &mut Line,
    crew: &mut Crew,
    written: &Written,
    recorder: &super::recorder::Recorder,
    away: &Away,
) -> Result<(), LoadError> {
    let mut tick = interval(TICK);
    while crew.count() < line.expected {
        tokio::select! {
            heard = line.hear() => {
                let (at, report) = heard.ok_or_else(|| LoadError::Locust("Locust hung up before it was ready".into()))?;
                let same_host = report.host.parse::<url::Url>().is_ok_and(|host| host == written.host);
                if report.flows != written.flows || !same_host {
                    let why = "its script was written from other flows or for another target; export it again: \
                               rampup flow export locust > flows.py";
                    line.say(&Say::Refused(why.into())).await;
                    return Err(LoadError::Locust(format!("Locust is not let in: {why}")));
                }
                crew.hear(at, report, recorder, away);
                if let Some(why) = away.spoiled() {
                    return Err(LoadError::Locust(why));
                }
            }
            _ = tick.tick() => {
                line.say(&Say::Users(0)).await;
            }
        }
    }
    Ok(())
}

/// Carries the gate to Locust and Locust's requests to the recorder, until the stage is cut.
async fn play(stage: Arc<Stage>, mut line: Line, mut crew: Crew) {
    let Some(away) = &stage.away else { return };
    let alive: Vec<_> = (0..stage.pool).map(|_| stage.enter()).collect();
    let mut gate = stage.gate.subscribe();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut opened, mut shut) = (false, false);
    let mut connected = true;
    loop {
        tokio::select! { biased;
            () = stage.cut.cancelled() => break,
            Ok(()) = gate.changed() => {}
            _ = tick.tick() => {}
            heard = line.hear(), if connected => {
                connected = listened(heard, &stage, &mut crew, away);
                continue;
            }
        }
        let now = *gate.borrow_and_update();
        if let Some(lost) = crew.lost(Instant::now()).filter(|_| connected) {
            away.spoil(format!(
                "Locust's worker {lost} was lost in the midst of the ramp; its users are gone, so run again"
            ));
        }
        let said = match now {
            Gate::Parked => line.say(&Say::Users(0)).await,
            Gate::Open { since, beyond } => {
                if !std::mem::replace(&mut opened, true) {
                    line.say(&Say::Go(Go::of(&stage.plan))).await;
                }
                line.say(&Say::Users(stage.users(since, beyond, Instant::now()))).await
            }
            Gate::Shut if std::mem::replace(&mut shut, true) => line.say(&Say::Users(0)).await,
            Gate::Shut => line.say(&Say::Shut(true)).await,
        };
        if !said {
            away.spoil("Locust does not listen any more; its master has gone or hangs");
        }
    }
    if !shut {
        line.say(&Say::Shut(true)).await;
    }
    let last_words = async {
        while connected && !crew.heard_out() {
            connected = listened(line.hear().await, &stage, &mut crew, away);
        }
    };
    let _ = timeout(LAST_WORDS, last_words).await;
    crew.cut(stage.recorder.at(Instant::now()), &stage.recorder);
    drop(alive);
    line.say(&Say::Quit(true)).await;
}

/// Takes in what was heard; false once the line is broken.
fn listened(heard: Option<(Instant, wire::Report)>, stage: &Stage, crew: &mut Crew, away: &Away) -> bool {
    let Some((at, report)) = heard else {
        away.spoil("Locust hung up in the midst of the ramp; see what its master says, then run again");
        return false;
    };
    crew.hear(at, report, &stage.recorder, away);
    (stage.playing()..crew.playing()).for_each(|_| stage.plays());
    if crew.heard_out() {
        away.heard_out();
    }
    true
}
