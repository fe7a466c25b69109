//! A ramp from its first user to its last: climb, settle, hold, the rungs past it, drain; a pulse and a look at the
//! breakers each second.
//!
//! Moves the gate and reads the stopwatch. Which engine plays the users it does not know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use super::away::Away;
use super::guard::{Glance, Guard, Limits};
use super::health::Health;
use super::heartbeat::Heartbeat;
use super::recorder::{Sample, UnderWay};
use super::rungs::Rungs;
use super::stage::{Gate, Stage};
use super::tally::{Settled, Tally, Tick};
use super::{Onlooker, Signal};
use crate::domain::diagnosis::breaks;
use crate::domain::measurement::Measurement;
use crate::domain::ramp::{GeneratorSample, LoadPulse, RampEnd, RampPhase};
use crate::domain::slo::Slo;
use crate::domain::verdict::{Next, Second, settled};

/// The pulse of everything.
const SECOND: Duration = Duration::from_secs(1);
/// How often a drain looks whether all requests have ended.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
/// Time past a request's own timeout after which a drain stops waiting for it.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// Half a hold shorter than this has too few bootstrap blocks to be looked at.
const LEAST_HALF: Duration = Duration::from_secs(20);

/// What the ramp listens to besides the clock.
pub(super) struct Ears {
    /// A stop from outside.
    pub stop: CancellationToken,
    /// The engine ended before it was told to.
    pub engine_gone: CancellationToken,
    /// The site's health endpoint, if it has one that works.
    pub heartbeat: Option<Heartbeat>,
    /// Limits of the breakers.
    pub limits: Limits,
    /// The promise: the climb past the hold ends where it breaks.
    pub slo: Slo,
    /// Who says whether an undecided hold goes on.
    pub looks: Onlooker,
    /// Who wants to know.
    pub signals: mpsc::UnboundedSender<Signal>,
}

/// Leads all users of a stage through a ramp. Returns when no request is under way and none will follow.
pub(super) async fn conduct(stage: Arc<Stage>, ears: Ears) -> Measurement {
    let mut ramp = Ramp::start(&stage, ears);
    let end = ramp.run().await;
    // First nobody new, then whoever is still under way.
    stage.gate.send_replace(Gate::Shut);
    let ended = Instant::now();
    ramp.tally.cut_is_timeout = end == RampEnd::Completed;
    stage.cut.cancel();
    while stage.alive() > 0 && ended.elapsed() < SECOND {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    ramp.finish(end, ended)
}

struct Ramp<'a> {
    stage: &'a Stage,
    ears: Ears,
    guard: Guard,
    /// None when the users play elsewhere.
    health: Option<Health>,
    /// Until when the generator's health is known.
    healthy_until: Instant,
    tally: Tally,
    rungs: Rungs,
    /// When the climb began; the seconds of the ramp are counted from here.
    began: Instant,
    phase: RampPhase,
    phase_began: Instant,
    /// Beginning of the second under way, on the grid of whole seconds.
    second_began: Instant,
    recent: Vec<Second>,
    settled: Settled,
    /// Looks at the hold so far.
    looks: u8,
    /// When the next look is due; none before the hold.
    look_at: Option<Instant>,
    /// A look under way: the answer to come, and the tally that counts if the hold ended when the look was due.
    looking: Option<Looking>,
    /// What ended since the last whole second and has been shown to a look already.
    early: Vec<Sample>,
    /// When the climb past the hold began; none before it.
    beyond: Option<Instant>,
    /// Why it ended early.
    beyond_ended: Option<String>,
}

/// A question to the onlooker.
struct Looking {
    answer: JoinHandle<Next>,
    closing: Tally,
}

/// The answer of a look; never, when nobody looks. A look that broke off decides that the hold ends as planned.
async fn answered(looking: &mut Option<Looking>) -> Next {
    match looking {
        Some(Looking { answer, .. }) => answer.await.unwrap_or(Next::Stop),
        None => std::future::pending().await,
    }
}

impl<'a> Ramp<'a> {
    fn start(stage: &'a Stage, ears: Ears) -> Self {
        let now = Instant::now();
        stage.gate.send_replace(Gate::Open { since: now, beyond: None });
        let mut ramp = Self {
            guard: Guard::new(ears.limits.clone()),
            health: stage.away.is_none().then(Health::start),
            healthy_until: now,
            tally: Tally::new(stage.script.endpoints.clone(), ears.limits.stuck_after()),
            rungs: stage.climb.rungs(stage.recorder.at(now)),
            began: now,
            phase: RampPhase::Climb,
            phase_began: now,
            second_began: now,
            recent: Vec::new(),
            settled: Settled::default(),
            looks: 0,
            look_at: None,
            looking: None,
            early: Vec::new(),
            beyond: None,
            beyond_ended: None,
            stage,
            ears,
        };
        ramp.enter(RampPhase::Climb, now);
        ramp
    }

    /// Until there is nothing left to do, or a reason to stop.
    async fn run(&mut self) -> RampEnd {
        loop {
            let next = (self.second_began + SECOND).min(self.edge());
            tokio::select! { biased;
                () = self.ears.stop.cancelled() => {
                    return self.broken_off(RampEnd::Aborted("stopped from outside".into()));
                }
                () = self.ears.engine_gone.cancelled() => {
                    let why = "the load engine ended before the ramp did; start the ramp again";
                    return self.broken_off(RampEnd::Invalid(why.into()));
                }
                next = answered(&mut self.looking) => self.heard(next),
                () = sleep_until(next.into()) => {}
            }
            let now = Instant::now();
            if now >= self.second_began + SECOND
                && let Some(end) = self.second(now)
            {
                return self.broken_off(end);
            }
            if self.phase == RampPhase::Drain {
                if self.drained() {
                    return RampEnd::Completed;
                }
            } else if now >= self.edge() {
                self.cross(now);
            }
        }
    }

    /// When the phase ends by the clock, or is to be looked at again.
    fn edge(&self) -> Instant {
        let plan = &self.stage.plan;
        match self.phase {
            RampPhase::Climb => self.began + self.stage.climb.took(),
            RampPhase::Settle => self.phase_began + plan.settle_limit,
            RampPhase::Hold => self.look_at.filter(|_| self.looking.is_none()).unwrap_or(self.second_began + SECOND),
            RampPhase::Beyond => self.phase_began + self.stage.beyond.took(),
            RampPhase::Drain => Instant::now() + DRAIN_LOOK,
        }
    }

    fn cross(&mut self, now: Instant) {
        match self.phase {
            RampPhase::Climb => self.enter(RampPhase::Settle, now),
            RampPhase::Settle => self.hold(now, true),
            RampPhase::Hold => self.look(now),
            RampPhase::Beyond => self.drain_from(now),
            RampPhase::Drain => {}
        }
    }

    fn enter(&mut self, phase: RampPhase, now: Instant) {
        (self.phase, self.phase_began) = (phase, now);
        self.say(Signal::Phase(phase, self.users(now)));
    }

    fn hold(&mut self, from: Instant, limit_reached: bool) {
        self.settled = Settled { took: from.saturating_duration_since(self.phase_began), limit_reached };
        self.enter(RampPhase::Hold, from);
        let half = self.stage.plan.hold / 2;
        let early = self.stage.plan.extensions > 0 && half >= LEAST_HALF;
        self.look_at = Some(from + if early { half } else { self.stage.plan.hold });
        self.count_until(from + self.stage.plan.hold);
    }

    fn count_until(&mut self, until: Instant) {
        let recorder = &self.stage.recorder;
        self.tally.hold(recorder.at(self.phase_began), recorder.at(until));
    }

    /// A look is due: at half the hold, at its planned end, at the end of each extension. The users play on meanwhile.
    fn look(&mut self, now: Instant) {
        let (plan, recorder) = (&self.stage.plan, &self.stage.recorder);
        let Some(due) = self.look_at.filter(|_| self.looking.is_none()) else { return };
        let planned = self.phase_began + plan.hold * (u32::from(self.looks) + 1);
        let number = if due < planned { 0 } else { self.looks + 1 };
        self.examine(now);
        if number > plan.extensions && plan.beyond.is_empty() {
            self.looks = number;
            self.drain_from(now);
            return;
        }
        let mut closing = self.tally.clone();
        closing.hold(recorder.at(self.phase_began), recorder.at(due));
        self.early.extend(recorder.drain());
        let mut shown = closing.clone();
        shown.fold(&self.early);
        let mut shown = shown.finish(self.users(now), self.settled, recorder.at(due), RampEnd::Completed);
        shown.looks = number;
        self.looks = number;
        // What leaves from now on belongs to the sample if the hold goes on.
        let next = if number == 0 { planned } else { due + plan.hold };
        self.count_until(next);
        self.look_at = Some(next);
        let looks = self.ears.looks.clone();
        self.looking =
            Some(Looking { answer: tokio::task::spawn_blocking(move || looks.look(&shown, number)), closing });
    }

    /// What a look made of the hold.
    fn heard(&mut self, next: Next) {
        let Some(Looking { closing, .. }) = self.looking.take() else { return };
        match next {
            Next::Stop => {
                self.tally = closing;
                self.drain_from(Instant::now());
            }
            Next::Beyond => {
                self.tally = closing;
                self.explore(Instant::now());
            }
            Next::Hold(words) => {
                if let Some(words) = words {
                    self.say(Signal::Note(words));
                }
            }
        }
    }

    /// The hold is over and kept the promise; on to the rungs past it. What the hold still waits for goes on counting.
    fn explore(&mut self, now: Instant) {
        let stage = self.stage;
        stage.gate.send_replace(Gate::Open { since: self.began, beyond: Some(now) });
        self.beyond = Some(now);
        self.rungs.extend(stage.beyond.rungs(stage.recorder.at(now)));
        self.enter(RampPhase::Beyond, now);
    }

    /// True once a rung past the hold, held to its end, breaks the promise.
    fn broken(&self, now: Instant) -> Option<u32> {
        let over = self.rungs.over(self.stage.recorder.at(now));
        over.filter(|rung| rung.users > self.stage.plan.users)
            .find(|rung| breaks(rung, &self.ears.slo))
            .map(|r| r.users)
    }

    /// What ends the climb past the hold does not spoil the hold: it had run its time.
    fn broken_off(&mut self, end: RampEnd) -> RampEnd {
        match end {
            RampEnd::Aborted(why) | RampEnd::Invalid(why) if self.beyond.is_some() => {
                self.beyond_ended.get_or_insert(why);
                RampEnd::Completed
            }
            end => end,
        }
    }

    fn drain_from(&mut self, now: Instant) {
        self.stage.gate.send_replace(Gate::Shut);
        self.enter(RampPhase::Drain, now);
    }

    /// Counts what ended since the last time, also for a hold that may turn out to be over.
    fn fold(&mut self) -> Tick {
        let mut samples = std::mem::take(&mut self.early);
        samples.append(&mut self.stage.recorder.drain());
        let files = self.stage.recorder.drain_assets();
        if let Some(Looking { closing, .. }) = &mut self.looking {
            closing.fold(&samples);
            closing.fold_assets(&files);
        }
        self.tally.fold_assets(&files);
        self.rungs.fold(&samples);
        self.tally.fold(&samples)
    }

    fn drained(&self) -> bool {
        let owing = self.stage.away.as_ref().is_some_and(Away::owing);
        (!owing && self.stage.recorder.under_way(Duration::MAX).count == 0)
            || self.phase_began.elapsed() > self.stage.plan.timeout + DRAIN_GRACE
    }

    /// A second is over. A starved ramp may find that several are.
    fn second(&mut self, now: Instant) -> Option<RampEnd> {
        let took = now.duration_since(self.second_began);
        self.second_began += Duration::from_secs(took.as_secs());
        let ended = self.fold();
        let generator = self.examine(self.second_began);
        let under_way = self.stage.recorder.under_way(self.ears.limits.stuck_after());
        let oldest_ms = millis(under_way.oldest);
        self.say(Signal::Pulse(Box::new(self.pulse(&ended, took, under_way, generator))));
        if let Some(why) = self.stage.away.as_ref().and_then(Away::spoiled) {
            return Some(RampEnd::Invalid(why));
        }
        if self.phase == RampPhase::Drain {
            return None;
        }
        self.stage.exhausted().into_iter().for_each(|note| self.say(Signal::Note(note)));
        if let Some(why) = self.stage.script.feeds.dry() {
            return Some(RampEnd::Invalid(why.to_owned()));
        }
        if let Some(missing) = self.stage.pool.checked_sub(self.stage.alive()).filter(|m| *m > 0) {
            return Some(RampEnd::Invalid(format!(
                "{missing} of {} users broke off inside the generator; this is its fault, not the site's: run again",
                self.stage.pool
            )));
        }
        let glance = Glance {
            finished: ended.finished,
            errors: ended.errors,
            answers: ended.latency.count(),
            slow: ended.slow,
            users: self.users(now),
            stuck: under_way.older,
            oldest_ms,
            health_failures: self.ears.heartbeat.as_ref().map_or(0, Heartbeat::failures),
        };
        if let Some(trip) = self.guard.look(&glance) {
            return Some(if self.tally.unwell() {
                trip.by_ourselves(glance.users)
            } else {
                RampEnd::Aborted(trip.to_string())
            });
        }
        self.settle(&ended, took);
        if self.phase == RampPhase::Beyond
            && let Some(users) = self.broken(now)
        {
            self.beyond_ended = Some(format!("the promise broke at {users} users"));
            self.drain_from(now);
        }
        None
    }

    /// Begins the hold once all users play and nothing drifts any more.
    fn settle(&mut self, ended: &Tick, took: Duration) {
        if self.phase != RampPhase::Settle {
            return;
        }
        let latency_ms = ended.latency.quantile_ms(0.5);
        self.recent.push(Second { rps: per_second(ended.finished, took), latency_ms });
        if self.stage.all_play() && settled(&self.recent) {
            self.hold(self.second_began, false);
        }
    }

    /// How the generator was since it was last asked, kept for the seconds of the hold.
    fn examine(&mut self, until: Instant) -> GeneratorSample {
        if until <= self.healthy_until {
            return GeneratorSample::default();
        }
        let recorder = &self.stage.recorder;
        let sample = match (&mut self.health, &self.stage.away) {
            (Some(health), _) => health.take(recorder),
            (None, Some(away)) => away.health(recorder),
            (None, None) => GeneratorSample::default(),
        };
        self.tally.generator_at(self.users(until), &sample);
        self.tally.generator(recorder.at(self.healthy_until), recorder.at(until), sample);
        self.healthy_until = until;
        sample
    }

    fn pulse(&self, ended: &Tick, took: Duration, under_way: UnderWay, generator: GeneratorSample) -> LoadPulse {
        let now = self.second_began;
        let percentile = |quantile| ended.latency.quantile_ms(quantile);
        LoadPulse {
            second: whole_seconds(now.saturating_duration_since(self.began)),
            phase: self.phase,
            phase_seconds: whole_seconds(now.saturating_duration_since(self.phase_began)),
            users: self.users(now),
            in_flight: under_way.count,
            oldest_ms: millis(under_way.oldest),
            rps: per_second(ended.finished, took),
            p50_ms: percentile(0.5),
            p95_ms: percentile(0.95),
            p99_ms: percentile(0.99),
            hold_p95_ms: self.tally.hold_p95_ms(),
            errors: ended.errors,
            blocked: ended.blocked,
            edge_answers: ended.edge_answers,
            edge_hits: ended.edge_hits,
            total: self.tally.total,
            total_errors: self.tally.total_errors,
            total_blocked: self.tally.total_blocked,
            statuses: self.tally.statuses(),
            generator,
        }
    }

    /// Users let in; none once the gate is shut.
    fn users(&self, now: Instant) -> u32 {
        if self.phase == RampPhase::Drain {
            return 0;
        }
        self.stage.users(self.began, self.beyond, now)
    }

    fn say(&self, signal: Signal) {
        // Nobody listening is no reason to stop measuring.
        let _ = self.ears.signals.send(signal);
    }

    fn finish(mut self, end: RampEnd, ended: Instant) -> Measurement {
        self.examine(ended);
        self.stage.abandon(self.began);
        self.fold();
        let users = self.stage.climb.let_in(ended.saturating_duration_since(self.began));
        let ended = self.stage.recorder.at(ended);
        let mut measured = self.tally.finish(users, self.settled, ended, end);
        measured.looks = self.looks.max(1);
        measured.rungs = self.rungs.finish(self.stage.recorder.at(self.began), ended);
        measured.beyond_ended = self.beyond_ended;
        measured
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn whole_seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "requests of a second")]
fn per_second(requests: u64, took: Duration) -> f64 {
    requests as f64 / took.as_secs_f64().max(0.001)
}
