//! Where users and the ramp meet: the gate that lets users in and shuts, the stopwatch, the head count.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::client::Clients;
use super::recorder::Recorder;
use super::script::Script;
use crate::domain::ramp::RampPlan;

/// The gate that users look at before every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nobody has been let in yet.
    Parked,
    /// Users come in evenly over the climb that began here.
    Open(Instant),
    /// No new requests.
    Shut,
}

/// All that a user of the ramp needs. Shared by all of them and by the ramp.
#[derive(Debug)]
pub(super) struct Stage {
    /// What is driven.
    pub plan: RampPlan,
    /// Where.
    pub target: Url,
    /// What users do.
    pub script: Script,
    /// Which play each user makes.
    pub cast: Vec<usize>,
    /// Their clients.
    pub clients: Clients,
    /// The stopwatch.
    pub recorder: Recorder,
    /// The gate; only the ramp moves it.
    pub gate: watch::Sender<Gate>,
    /// Ends everything under way at once.
    pub cut: CancellationToken,
    alive: AtomicU32,
    ready: AtomicU32,
    playing: AtomicU32,
}

impl Stage {
    /// An empty stage with the gate closed.
    pub fn new(plan: RampPlan, target: Url, script: Script, clients: Clients) -> Self {
        Self {
            cast: script.cast(plan.users),
            recorder: Recorder::new(plan.users),
            gate: watch::Sender::new(Gate::Parked),
            cut: CancellationToken::new(),
            alive: AtomicU32::new(0),
            ready: AtomicU32::new(0),
            playing: AtomicU32::new(0),
            plan,
            target,
            script,
            clients,
        }
    }

    /// A user steps on and is counted until the result is dropped, however that comes about: a user that panics
    /// would otherwise vanish without a word.
    pub fn enter(&self) -> Alive<'_> {
        self.alive.fetch_add(1, Ordering::SeqCst);
        self.ready.fetch_add(1, Ordering::SeqCst);
        Alive(self)
    }

    /// Users on the stage now.
    pub fn alive(&self) -> u32 {
        self.alive.load(Ordering::SeqCst)
    }

    /// Users that ever stepped on.
    pub fn ready(&self) -> u32 {
        self.ready.load(Ordering::SeqCst)
    }

    /// A user made the first step of its flow: it has come in and signed in.
    pub fn plays(&self) {
        self.playing.fetch_add(1, Ordering::SeqCst);
    }

    /// Users that ever made a step of their flow.
    pub fn playing(&self) -> u32 {
        self.playing.load(Ordering::SeqCst)
    }

    /// When a user comes in, after the climb began: evenly, user 0 at once.
    pub fn arrival(&self, user: u32) -> Duration {
        self.plan.climb.mul_f64(f64::from(user) / f64::from(self.plan.users.max(1)))
    }

    /// Users let in so far.
    pub fn let_in(&self, since_open: Duration) -> u32 {
        if since_open >= self.plan.climb {
            return self.plan.users;
        }
        let share = since_open.as_secs_f64() / self.plan.climb.as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and users")]
        let users = (share * f64::from(self.plan.users)).floor() as u32 + 1;
        users.min(self.plan.users)
    }
}

/// A user on the stage.
#[derive(Debug)]
pub(super) struct Alive<'a>(&'a Stage);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}
