//! A recorded run, played back through the same screens. What happens meanwhile goes on unseen. No IO, no clock.

use jiff::{SignedDuration, Timestamp};

use super::model::{Climb, Model, Pane, Place};
use super::tape::Tape;
use super::update::{go, happened};
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::{RunId, StepId};

/// Times as fast as it was.
const SPEEDS: [u32; 5] = [1, 2, 5, 10, 30];
/// Longest time that one tick plays; a sleeping laptop is no reason to jump.
const TICK: SignedDuration = SignedDuration::from_secs(1);

/// A recording that plays, and what was on the screen before.
#[derive(Debug, Clone)]
pub(super) struct Replay {
    pub(super) run: RunId,
    tape: Tape,
    /// Frames shown.
    shown: usize,
    second: f64,
    speed: usize,
    pub(super) playing: bool,
    /// The facts of this session.
    pub(super) live: Climb,
    before: Vec<Place>,
}

impl Replay {
    /// Where it is, how long it is, how fast it goes.
    pub(super) fn place(&self) -> (u32, u32, u32) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a tape")]
        let second = self.second as u32;
        (second.min(self.tape.length()), self.tape.length(), SPEEDS[self.speed])
    }

    /// True when all of it was shown.
    pub(super) fn over(&self) -> bool {
        self.second >= f64::from(self.tape.length())
    }
}

impl Model {
    /// Plays what this run did, or did for one step.
    pub(super) fn play(&mut self, run: RunId, events: &[Event], step: Option<StepId>) {
        let tape = Tape::of(events, step);
        self.leave_replay();
        let live = self.climb.clone();
        let before = std::mem::take(&mut self.places);
        self.replay = Some(Replay { run, tape, shown: 0, second: 0.0, speed: 3, playing: true, live, before });
        self.rewind();
    }

    /// Back to what is happening now.
    pub(super) fn leave_replay(&mut self) {
        if let Some(replay) = self.replay.take() {
            self.climb = replay.live;
            self.places = replay.before;
            self.toast = None;
        }
    }

    /// The facts as they are now, whatever is being played.
    pub(super) fn live(&self) -> &Climb {
        self.replay.as_ref().map_or(&self.climb, |replay| &replay.live)
    }

    /// The same, to be changed.
    pub(super) fn live_mut(&mut self) -> &mut Climb {
        match &mut self.replay {
            Some(replay) => &mut replay.live,
            None => &mut self.climb,
        }
    }

    /// Goes on playing for as long as has passed.
    pub(super) fn play_on(&mut self, passed: SignedDuration) {
        let Some(replay) = self.replay.as_mut().filter(|replay| replay.playing) else { return };
        let passed = passed.clamp(SignedDuration::ZERO, TICK).as_secs_f64();
        let to = passed.mul_add(f64::from(SPEEDS[replay.speed]), replay.second);
        self.show_until(to);
    }

    /// Jumps so many seconds of the tape.
    pub(super) fn seek(&mut self, by: f64) {
        let Some(replay) = &self.replay else { return };
        let to = (replay.second + by).max(0.0);
        if by < 0.0 {
            self.rewind();
        }
        self.show_until(to);
    }

    /// Stops or goes on; from its end it begins again.
    pub(super) fn pause(&mut self) {
        let over = self.replay.as_ref().is_some_and(Replay::over);
        if over {
            self.rewind();
        }
        if let Some(replay) = &mut self.replay {
            replay.playing = over || !replay.playing;
        }
    }

    /// Faster or slower.
    pub(super) fn pace(&mut self, by: isize) {
        if let Some(replay) = &mut self.replay {
            replay.speed = replay.speed.saturating_add_signed(by).min(SPEEDS.len() - 1);
        }
    }

    /// To its first second. What stands around it is of today; what the tape says comes with it.
    fn rewind(&mut self) {
        let Some(replay) = &mut self.replay else { return };
        (replay.shown, replay.second) = (0, 0.0);
        let Climb { states, progress, .. } = replay.live.clone();
        self.climb = Climb { states, progress, ..Climb::default() };
        self.places = vec![Place::Overview];
        self.show_until(0.0);
    }

    fn show_until(&mut self, second: f64) {
        let Some(replay) = &mut self.replay else { return };
        let second = second.min(f64::from(replay.tape.length()));
        let due = replay.tape.due(replay.shown, second).to_vec();
        (replay.shown, replay.second) = (replay.shown + due.len(), second);
        if replay.over() {
            replay.playing = false;
        }
        for (_, event) in &due {
            if let EventKind::StepStarted { step, .. } = event.kind {
                go(self, Place::Step(step));
                self.pane = Pane::Checks;
            }
            happened(self, event);
        }
        // What the tape says stands in its log; a toast would name a time that is over.
        self.toast = None;
    }

    /// Time since the screen last heard the clock.
    pub(super) fn passed(&self, now: Timestamp) -> SignedDuration {
        now.duration_since(self.now)
    }
}
