//! Where users and the ramp meet: the gate that lets users in and shuts, the stopwatch, the head count.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::arrivals::Arrivals;
use super::away::Away;
use super::recorder::Recorder;
use super::rungs::Climb;
use super::script::{Play, Script};
use super::wire::Wires;
use crate::domain::ramp::{Model, RampPlan};

/// The gate that users look at before every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Nobody has been let in yet.
    Parked,
    /// Users come in over the climb that began at `since`; those past the hold over the one that began at `beyond`.
    Open { since: Instant, beyond: Option<Instant> },
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
    /// Users that stand ready: the most the plan ever lets in; twice as many in the open model, for a site that keeps
    /// them waiting.
    pub pool: u32,
    /// When flows begin, by play; empty in the closed model, where users decide.
    pub arrivals: Vec<Arrivals>,
    exhausted: AtomicBool,
    /// Who comes in when.
    pub climb: Climb,
    /// The same past the hold.
    pub beyond: Climb,
    /// Which play each user makes.
    pub cast: Vec<usize>,
    /// Their ways to the site.
    pub wires: Wires,
    /// The stopwatch.
    pub recorder: Recorder,
    /// The gate; only the ramp moves it.
    pub gate: watch::Sender<Gate>,
    /// Ends everything under way at once.
    pub cut: CancellationToken,
    /// The players, when they are not in this process.
    pub away: Option<Away>,
    alive: AtomicU32,
    ready: AtomicU32,
    playing: AtomicU32,
}

impl Stage {
    /// An empty stage with the gate closed.
    pub fn new(plan: RampPlan, target: Url, script: Script, wires: Wires) -> Self {
        let pool = pool(&plan);
        let cast = script.cast(pool);
        let arrivals = match plan.model {
            Model::Closed => Vec::new(),
            Model::Open => arrivals(&plan, &script, &cast),
        };
        Self {
            climb: Climb::of(&plan),
            beyond: Climb::beyond(&plan),
            pool,
            arrivals,
            exhausted: AtomicBool::new(false),
            cast,
            recorder: Recorder::new(pool),
            gate: watch::Sender::new(Gate::Parked),
            cut: CancellationToken::new(),
            away: None,
            alive: AtomicU32::new(0),
            ready: AtomicU32::new(0),
            playing: AtomicU32::new(0),
            plan,
            target,
            script,
            wires,
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

    /// When a user comes in; none before its climb has begun. Those that the open model keeps ready come in between the
    /// others.
    pub fn arrival(&self, user: u32) -> Option<Instant> {
        let Gate::Open { since, beyond } = *self.gate.borrow() else { return None };
        if self.plan.model == Model::Open {
            let place = u64::from(user) * u64::from(self.plan.users) / u64::from(self.pool.max(1));
            return Some(since + self.climb.arrival(u32::try_from(place).unwrap_or(u32::MAX)));
        }
        if user < self.plan.users {
            return Some(since + self.climb.arrival(user));
        }
        Some(beyond? + self.beyond.arrival(user))
    }

    /// Users let in by now, with a gate that was opened at these instants.
    pub fn users(&self, since: Instant, beyond: Option<Instant>, now: Instant) -> u32 {
        let past = beyond.map_or(0, |from| self.beyond.let_in(now.saturating_duration_since(from)));
        self.climb.let_in(now.saturating_duration_since(since)).max(past)
    }

    /// True once every user of the hold plays. In the open model some of the pool may never be needed.
    pub fn all_play(&self) -> bool {
        !self.arrivals.is_empty() || self.playing() >= self.plan.users
    }

    /// Said once, when flows have waited for a free user for longer than a request may take.
    pub fn exhausted(&self) -> Option<String> {
        let Gate::Open { since: opened, .. } = *self.gate.borrow() else { return None };
        let waited = self.arrivals.iter().map(|a| opened.elapsed().saturating_sub(a.next_due())).max()?;
        (waited > self.plan.timeout && !self.exhausted.swap(true, Ordering::Relaxed)).then(|| {
            format!(
                "flows have waited {:.0} s for a user: all {} are busy with a site this slow; what they wait counts as \
                 latency, and what never began counts as timed out",
                waited.as_secs_f64(),
                self.pool
            )
        })
    }

    /// Records every flow that should have begun since `opened` and for which nobody was free, as a request without end.
    pub fn abandon(&self, opened: Instant) {
        for (play, arrivals) in self.script.plays.iter().zip(&self.arrivals) {
            let Some(action) = play.actions.first() else { continue };
            while let Some(due) = arrivals.take_overdue(opened.elapsed()) {
                drop(self.recorder.begin(0, action.endpoint, opened + due));
            }
        }
    }
}

/// Users that a plan keeps ready.
pub(super) fn pool(plan: &RampPlan) -> u32 {
    match plan.model {
        Model::Closed => plan.most_users(),
        Model::Open => plan.users.saturating_mul(2),
    }
}

/// As often as the plan's users of a fast site would begin each play.
fn arrivals(plan: &RampPlan, script: &Script, cast: &[usize]) -> Vec<Arrivals> {
    let of = |(index, play): (usize, &Play)| {
        let users =
            cast.iter().filter(|part| **part == index).count() / (cast.len() / plan.users.max(1) as usize).max(1);
        #[expect(clippy::cast_precision_loss, reason = "some thousands of users")]
        let rate = users as f64 / play.flow.pass_seconds(plan.pauses()).max(f64::MIN_POSITIVE);
        Arrivals::new(rate, plan.climb, plan.seed.rotate_left(17) ^ index as u64)
    };
    script.plays.iter().enumerate().map(of).collect()
}

/// A user on the stage.
#[derive(Debug)]
pub(super) struct Alive<'a>(&'a Stage);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}
