//! Whole ramps against real sockets, judged by the server's own record. Goose is one per process, so they take turns.

mod flows;
mod hostile;
mod ramps;
mod requests;
mod server;
mod wires;

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use self::server::Server;
use super::{Order, Signal};
use crate::domain::flow::{Flow, Mix, Think};
use crate::domain::ramp::{Model, RampPlan};
use crate::domain::secret::Secret;
use crate::domain::slo::Slo;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// One ramp test at a time, so that a test's patience is not spent on waiting for another's ramp.
async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    TURN.lock().await
}

/// A mix from the words of `rampup.toml`.
fn mix(text: &str) -> Mix {
    #[derive(serde::Deserialize)]
    struct File {
        flow: Vec<Flow>,
    }
    Mix { flows: toml::from_str::<File>(text).unwrap().flow, ..Mix::default() }
}

/// An order for a short ramp, the signals it gives, and its stop.
fn order(server: &Server, flows: &str, users: u32, hold: Duration) -> (Order, UnboundedReceiver<Signal>) {
    quiet();
    let (pulses, heard) = unbounded_channel();
    let plan = RampPlan {
        users,
        climb: ms(300),
        settle_limit: ms(300),
        hold,
        think: Think::Even { least: ms(100), most: ms(300) },
        timeout: ms(1000),
        seed: 7,
        quick: true,
        extensions: 0,
        rungs: Vec::new(),
        rung_hold: Duration::ZERO,
        beyond: Vec::new(),
        model: Model::Closed,
    };
    let order = Order {
        plan,
        slo: Slo::default(),
        mix: mix(flows),
        target: server.url.clone(),
        health: String::new(),
        passwords: passwords(),
        pulses,
        looks: crate::load::Onlooker::new(|_, _| crate::domain::verdict::Next::Stop),
        stop: CancellationToken::new(),
    };
    (order, heard)
}

fn passwords() -> Arc<BTreeMap<String, Secret>> {
    Arc::new(BTreeMap::from([("PASSWORD".to_owned(), Secret::new("open sesame".into()))]))
}

/// Goose writes to the terminal unless somebody else takes its log.
struct Deaf;

impl log::Log for Deaf {
    fn enabled(&self, _line: &log::Metadata<'_>) -> bool {
        false
    }
    fn log(&self, _line: &log::Record<'_>) {}
    fn flush(&self) {}
}

fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Deaf).unwrap();
    });
}
