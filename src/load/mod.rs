//! The ramp: virtual users that climb, settle, hold and drain against one site, and what was measured of it.
//!
//! Owns the traffic and the stopwatch. It does not know what a step is and decides no verdict: it hands back a
//! [`Measurement`] and says how the driving ended. Goose, the engine underneath, is named in `goose.rs` alone.
//!
//! ```text
//!   Order ─► ramp (phases, breakers) ─► gate ─► goose's users ─► flow (what a user does) ─► the site
//!              ▲                                                    │
//!              └── tally (counts, histograms) ◄── recorder ◄────────┘
//! ```

mod action;
mod answer;
mod arrivals;
mod assets;
mod away;
mod body;
mod client;
mod control;
pub mod cost;
mod extract;
mod feed;
mod flow;
mod goose;
mod guard;
mod health;
mod heartbeat;
mod limits;
mod locust;
mod precedence;
mod ramp;
mod recorder;
mod rungs;
mod script;
pub mod scripted;
mod stage;
mod tally;
mod template;
#[cfg(test)]
mod tests;
mod ticket;
mod visitor;
mod walk;
mod wire;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use self::goose::GooseDriver;
pub use self::locust::LocustDriver;
pub use self::walk::{StepReport, walk_once};
use crate::domain::flow::Mix;
use crate::domain::measurement::Measurement;
use crate::domain::ramp::{LoadPulse, RampPhase, RampPlan};
use crate::domain::secret::Secret;
use crate::domain::slo::Slo;
use crate::domain::verdict::Next;

/// A future that can be kept in a struct and polled from anywhere.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the engine drives. The scripted driver serves tests of the engine.
pub trait Driver: Send + Sync {
    /// Drives a ramp to its end and measures it.
    ///
    /// Dropping the future stops the traffic at once and loses the measurement; to stop and keep it, cancel
    /// [`Order::stop`].
    fn drive(&self, order: Order) -> BoxFuture<'static, Result<Measurement, LoadError>>;
}

/// One ramp, with all it needs.
#[derive(Debug, Clone)]
pub struct Order {
    /// How many users, how long.
    pub plan: RampPlan,
    /// The promise; the breakers' limits come from it.
    pub slo: Slo,
    /// What users do.
    pub mix: Mix,
    /// Where users arrive. Requests to other hosts are refused, unless both are on this machine.
    pub target: Url,
    /// Path of the health endpoint that is watched during the ramp; empty for none.
    pub health: String,
    /// Passwords of the test users by name of environment variable, as flows name them.
    pub passwords: Arc<BTreeMap<String, Secret>>,
    /// Where the ramp's signals go. A closed channel does not disturb the ramp.
    pub pulses: mpsc::UnboundedSender<Signal>,
    /// Who says at the end of each look whether the hold goes on. Not asked when the plan has no extensions.
    pub looks: Onlooker,
    /// A stop from outside: traffic ceases within a second, the measurement of what was seen is still handed back.
    pub stop: CancellationToken,
}

/// Looks at a hold that is still running: what was measured so far and the number of the look (0 at half its length, 1
/// at its planned length, 2 after the first extension). The load decides no verdict; it asks.
#[derive(Clone)]
pub struct Onlooker(Arc<Look>);

type Look = dyn Fn(&Measurement, u8) -> Next + Send + Sync;

impl Onlooker {
    /// Asks this function. It may take its time: it is called beside the load, which goes on meanwhile.
    pub fn new(look: impl Fn(&Measurement, u8) -> Next + Send + Sync + 'static) -> Self {
        Self(Arc::new(look))
    }

    fn look(&self, measurement: &Measurement, look: u8) -> Next {
        self.0(measurement, look)
    }
}

impl std::fmt::Debug for Onlooker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Onlooker")
    }
}

/// What a ramp says of itself while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// It went into another phase, with this many users let in.
    Phase(RampPhase, u32),
    /// One second of it.
    Pulse(Box<LoadPulse>),
    /// Something a person should know: a breaker that cannot work, a warning.
    Note(String),
}

/// Why a ramp could not be driven, or broke off without a measurement.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A flow cannot be played as written.
    #[error("flow {flow:?} cannot be played: {why}")]
    Flow {
        /// Its name.
        flow: String,
        /// What is wrong, then what to do.
        why: String,
    },
    /// The plan makes no sense.
    #[error("the ramp's plan cannot be driven: {0}")]
    Plan(String),
    /// Too few open files allowed.
    #[error(
        "{users} users need {needed} open files, this process may open {allowed}; \
         raise the limit (ulimit -n {needed}) and start again"
    )]
    OpenFiles {
        /// Users of the plan.
        users: u32,
        /// Files they need.
        needed: u64,
        /// Files the hard limit allows.
        allowed: u64,
    },
    /// The target's name has no address.
    #[error("the address of {host} was not found ({why}); check the target and the network")]
    Resolve {
        /// The host asked for.
        host: String,
        /// The resolver's words.
        why: String,
    },
    /// No client could be built.
    #[error("no HTTP client could be built: {0}")]
    Client(String),
    /// The Locust that was to play did not come, or is not to be let in.
    #[error("{0}")]
    Locust(String),
    /// The load engine itself failed.
    #[error("the load engine failed: {0}; this is a fault of the generator, not of the site")]
    Engine(String),
}
