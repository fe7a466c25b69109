//! A user's life: comes in when it is its turn, signs in, plays its flow over and over, thinks in between.
//!
//! Ends by being cut. What a single request is stands in `visitor.rs`.

use std::time::{Duration, Instant};

use rand::Rng;
use tokio::time::sleep_until;

use super::recorder::{Ended, InFlight};
use super::script::{Play, SignIn, pause};
use super::stage::{Gate, Stage};
use super::visitor::{Done, NotMade, Visitor};

/// A timer wakes up to this much late by its own coarseness; think time is random anyway, so this much of it is
/// nobody's lag. Anything beyond counts as latency.
const COARSENESS: Duration = Duration::from_millis(2);

/// Lives until it is dropped.
///
/// # Errors
/// When a value is missing that a sign-in needs; the user is gone then, and missed.
pub(super) async fn live(
    stage: &Stage,
    visitor: &mut Visitor<'_>,
    me: u32,
) -> Result<std::convert::Infallible, String> {
    let play = &stage.script.plays[stage.cast[me as usize]];
    let comes = comes(stage, me).await;
    // A first pause cut at random: users who came in together do not march in step.
    let first = pause(stage.plan.think, &mut visitor.dice).mul_f64(visitor.dice.random());
    let mut life = Life { stage, me, due: comes + first, since: None, playing: false };
    let ended = life.whole(play, visitor).await;
    if stage.script.feeds.dry().is_some() {
        // The ramp ends because of it; the user has not broken off.
        std::future::pending::<()>().await;
    }
    ended
}

struct Life<'a> {
    stage: &'a Stage,
    me: u32,
    /// When the next request should leave.
    due: Instant,
    /// When the last request had ended; none before the first.
    since: Option<Instant>,
    /// It has made a step of its flow.
    playing: bool,
}

impl Life<'_> {
    async fn whole(&mut self, play: &Play, visitor: &mut Visitor<'_>) -> Result<std::convert::Infallible, String> {
        if let Some(login) = &play.login {
            while !self.sign_in(login, visitor).await? {}
        }
        let arrivals = self.stage.arrivals.get(self.stage.cast[self.me as usize]);
        loop {
            if let Some(arrivals) = arrivals {
                // What nobody begins before the gate is shut is counted by whoever shut it.
                let opened = self.unless_shut().await;
                (self.due, self.since) = (opened + arrivals.take(), None);
            }
            self.pass(play, visitor).await?;
        }
    }

    /// Once through the flow. A step that fails ends the pass: a person whose page broke starts over.
    async fn pass(&mut self, play: &Play, visitor: &mut Visitor<'_>) -> Result<(), String> {
        let mut asked = false;
        visitor.begin_pass();
        for action in &play.actions {
            if action.share.is_some_and(|share| visitor.dice.random::<f64>() >= share) {
                continue;
            }
            if asked && action.at_once {
                self.due = Instant::now();
            } else if let (Some(own), Some(since)) = (action.think, self.since) {
                self.due = since + pause(self.stage.plan.in_its_pace(own), &mut visitor.dice);
            }
            let due = self.wait().await;
            let flight = self.stage.recorder.begin(self.me, action.endpoint, due);
            match visitor.step(action, due).await {
                Ok(done) => {
                    asked = true;
                    self.record(flight, &done);
                    if !std::mem::replace(&mut self.playing, true) {
                        self.stage.plays();
                    }
                    for file in visitor.fetch(&done.links).await {
                        self.stage.recorder.asset(file);
                    }
                    self.think(visitor);
                    if !done.is_good() {
                        return Ok(());
                    }
                }
                // Its value comes from a step that is made in a share of the passes only, and was not yet.
                Err(NotMade::Unknown(_)) => flight.forget(),
                Err(NotMade::Dry(why)) => {
                    flight.forget();
                    return Err(why);
                }
            }
        }
        if !asked {
            self.think(visitor);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn sign_in(&mut self, login: &SignIn, visitor: &mut Visitor<'_>) -> Result<bool, String> {
        let due = self.wait().await;
        let flight = self.stage.recorder.begin(self.me, login.form.endpoint, due);
        let (done, form) = visitor.login_form(login, due).await.map_err(|e| e.to_string())?;
        self.record(flight, &done);
        // Typing a name and a password takes a person some time, too.
        self.think(visitor);
        if !done.is_good() {
            return Ok(false);
        }
        let due = self.wait().await;
        let flight = self.stage.recorder.begin(self.me, login.post.endpoint, due);
        let done = visitor.sign_in(login, &form, due).await.map_err(|e| e.to_string())?;
        self.record(flight, &done);
        self.think(visitor);
        Ok(done.is_good())
    }

    fn record(&self, flight: InFlight<'_>, done: &Done) {
        if done.local {
            self.stage.recorder.socket_error();
        }
        flight.end(Ended {
            status: done.status.unwrap_or_default(),
            latency: done.latency,
            first_byte: done.first_byte,
            outcome: done.outcome,
            bytes: done.bytes,
            cache: done.cache,
        });
    }

    fn think(&mut self, visitor: &mut Visitor<'_>) {
        let now = Instant::now();
        self.since = Some(now);
        self.due = now + pause(self.stage.plan.think, &mut visitor.dice);
    }

    /// When the gate was opened. Never returns once it is shut.
    async fn unless_shut(&self) -> Instant {
        let gate = *self.stage.gate.borrow();
        match gate {
            Gate::Open { since, .. } => since,
            Gate::Parked | Gate::Shut => std::future::pending().await,
        }
    }

    /// Sleeps until the next request is due and says when it counts as due. Never returns once the gate is shut.
    async fn wait(&self) -> Instant {
        let ready = Instant::now();
        // A timer that has run out already would still be set first, under a lock that all users share.
        if self.due > ready {
            sleep_until(self.due.into()).await;
        }
        self.unless_shut().await;
        let now = Instant::now();
        let late_by = now.saturating_duration_since(self.due);
        // A user who was busy until after it was due kept the request waiting, not the generator.
        self.stage.recorder.depart(now.saturating_duration_since(self.due.max(ready)));
        if late_by <= COARSENESS { now } else { self.due }
    }
}

/// Parks until the gate opens for this user; says when it comes in.
async fn comes(stage: &Stage, me: u32) -> Instant {
    let mut gate = stage.gate.subscribe();
    loop {
        gate.mark_unchanged();
        if let Some(at) = stage.arrival(me) {
            return at;
        }
        // The sender lives in the stage that we borrow, so it cannot be gone.
        let _ = gate.changed().await;
    }
}
