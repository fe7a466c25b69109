//! What the screen knows: the facts folded from events, and where the person is looking.
//!
//! Plain data. `fold` changes the facts, `update` changes the place, `view` reads both.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::keymap::Keymap;
use super::keys::Where;
use super::palette::Palette;
use super::replay::Replay;
use super::ticks::Ticks;
use super::waive::Form;
use super::{Look, Start};
use crate::domain::check::Evidence;
use crate::domain::ids::{CheckId, StepId, TaskId};
use crate::domain::measurement::{Measurement, RampRecord};
use crate::domain::progress::{Outdated, Progress, StepState};
use crate::domain::ramp::{Claim, LoadPulse, RampPhase, RampPlan, ServerSample};
use crate::domain::ramps::Ramps;
use crate::domain::slo::Slo;
use crate::domain::step::Step;
use crate::domain::verdict::Verdict;

/// Lines of the log that are kept.
const LOG: usize = 200;

/// All that the screen is drawn from.
#[derive(Debug, Clone)]
pub struct Model {
    pub(super) steps: Vec<Step>,
    pub(super) site: String,
    pub(super) target: String,
    pub(super) slo: Slo,
    pub(super) plans: BTreeMap<StepId, (RampPlan, Claim)>,
    pub(super) outdated: BTreeMap<StepId, Outdated>,
    pub(super) ticks: Ticks,
    pub(super) owner: String,
    pub(super) today: jiff::civil::Date,
    pub(super) zone: TimeZone,
    pub(super) demo: Option<String>,
    pub(super) quick: bool,
    pub(super) look: Look,
    pub(super) keys: Keymap,
    pub(super) climb: Climb,
    pub(super) size: (u16, u16),
    pub(super) now: Timestamp,
    /// Seconds ticked, for the turning sign.
    pub(super) beat: usize,
    /// Screens from the first to the one in front; never empty.
    pub(super) places: Vec<Place>,
    /// The step the rail points at.
    pub(super) cursor: StepId,
    pub(super) pane: Pane,
    /// The check the list points at.
    pub(super) check: usize,
    pub(super) scroll: Scroll,
    pub(super) over: Option<Over>,
    pub(super) toast: Option<Toast>,
    /// Measured ramps, the newest first.
    pub(super) ramps: Vec<RampRecord>,
    /// What is known of the ramp under way, for the history.
    pub(super) gathered: Ramps,
    /// The ramp the history points at, and the one it is compared with.
    pub(super) at: usize,
    pub(super) against: Option<usize>,
    /// A recording in front of what happens now.
    pub(super) replay: Option<Replay>,
    /// The second of the running ramp at which the view stands still; the ramp goes on.
    pub(super) glance: Option<u32>,
    /// One pane without borders, where there would be room for more.
    pub(super) zoomed: bool,
    /// Clicks are ours.
    pub(super) mouse: bool,
    /// True when there is nothing behind the recording.
    pub(super) only_replay: bool,
}

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    Step(StepId),
    Ramp,
    Verdict(StepId),
    History,
}

/// A part of the step screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Playbook,
    Checks,
    Evidence,
}

impl Pane {
    pub(super) const ALL: [Pane; 3] = [Pane::Playbook, Pane::Checks, Pane::Evidence];
}

/// First line shown of each text that can be longer than its pane.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scroll {
    pub(super) playbook: usize,
    pub(super) evidence: usize,
    pub(super) verdict: usize,
    pub(super) help: usize,
}

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Over {
    Help,
    Ask(Question),
    Commands(Palette),
    Waive(Form),
}

/// What is asked before it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Run(StepId),
    Stop,
    Quit,
}

/// A sentence that goes away by itself.
#[derive(Debug, Clone)]
pub(super) struct Toast {
    pub(super) text: String,
    /// It says why something is not done.
    pub(super) refused: bool,
    pub(super) until: Timestamp,
}

/// The facts.
#[derive(Debug, Clone, Default)]
pub(super) struct Climb {
    pub(super) progress: Progress,
    pub(super) states: BTreeMap<StepId, StepState>,
    pub(super) busy: bool,
    /// The step that is being checked or loaded.
    pub(super) running: Option<StepId>,
    /// True from asking for a whole run until its judgement.
    pub(super) whole: bool,
    /// True from asking to stop until something ended.
    pub(super) stopping: bool,
    pub(super) evidence: BTreeMap<(StepId, CheckId), Evidence>,
    /// Checks that have answered since the step was taken up.
    pub(super) fresh: BTreeSet<(StepId, CheckId)>,
    /// Checks that look right now.
    pub(super) looking: BTreeMap<(StepId, CheckId), TaskId>,
    /// The ramp that runs, or ran last.
    pub(super) ramp: Option<Ramp>,
    /// The last ramp's verdict by step.
    pub(super) judged: BTreeMap<StepId, Judged>,
    /// Ramps that broke off without a measurement, and why.
    pub(super) broken: BTreeMap<StepId, String>,
    pub(super) log: Vec<(Timestamp, String)>,
}

/// Where one check of a step stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Standing<'a> {
    /// It never answered.
    Never,
    /// It will look soon; an older answer may be there.
    Queued,
    /// It looks.
    Looking,
    /// It answered.
    Answered(&'a Evidence),
}

/// A ramp's verdict and what it rests on.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) measurement: Box<Measurement>,
}

/// A ramp as it was seen so far.
#[derive(Debug, Clone)]
pub(super) struct Ramp {
    pub(super) step: StepId,
    pub(super) task: TaskId,
    pub(super) plan: RampPlan,
    pub(super) slo: Slo,
    pub(super) claim: Claim,
    pub(super) phase: RampPhase,
    pub(super) pulses: Vec<LoadPulse>,
    pub(super) samples: Vec<ServerSample>,
    /// What the last pulse before the hold had counted: second, requests, errors.
    pub(super) hold_from: Option<(u32, u64, u64)>,
    pub(super) ended: bool,
}

impl Ramp {
    pub(super) fn last(&self) -> Option<&LoadPulse> {
        self.pulses.last()
    }

    /// As it was at this second.
    fn until(&self, second: u32) -> Ramp {
        let pulses: Vec<LoadPulse> = self.pulses.iter().take_while(|p| p.second <= second).cloned().collect();
        let samples = self.samples.iter().take_while(|s| s.second <= second).cloned().collect();
        let phase = pulses.last().map_or(RampPhase::Climb, |p| p.phase);
        let hold_from = self.hold_from.filter(|(from, ..)| *from < second);
        Ramp { phase, pulses, samples, hold_from, ..self.clone() }
    }

    /// Seconds since the ramp began.
    pub(super) fn second(&self) -> u32 {
        self.last().map_or(0, |p| p.second)
    }

    /// Second at which it will probably end; shorter than planned once settling took less than its limit.
    pub(super) fn end(&self) -> f64 {
        let rest = (self.plan.hold + self.plan.exploring()).as_secs_f64();
        let end = match self.hold_from {
            Some((from, ..)) => f64::from(from) + rest,
            None => (self.plan.climbing() + self.plan.settle_limit).as_secs_f64() + rest,
        };
        end.max(f64::from(self.second()))
    }

    /// Requests and errors finished since the hold began; none before it.
    pub(super) fn of_hold(&self) -> Option<(u64, u64)> {
        let (_, requests, errors) = self.hold_from?;
        // What comes past the hold is no part of it.
        let last = self.pulses.iter().take_while(|p| p.phase != RampPhase::Beyond).last()?;
        Some((last.total.saturating_sub(requests), last.total_errors.saturating_sub(errors)))
    }
}

impl Model {
    /// The first screen: the overview, with the cursor on the step to take next.
    #[must_use]
    pub fn new(start: Start, size: (u16, u16), now: Timestamp) -> Self {
        let mut model = Self {
            steps: start.steps,
            site: super::words::tame(&start.site),
            target: super::words::tame(&start.target),
            slo: start.slo,
            plans: start.plans,
            outdated: start.outdated,
            ticks: start.ticks,
            owner: super::words::tame(&start.owner),
            today: start.today,
            zone: start.zone,
            demo: start.demo,
            quick: start.quick,
            look: start.look,
            keys: start.keys,
            climb: Climb { progress: start.progress, states: start.states.into_iter().collect(), ..Climb::default() },
            size,
            now,
            beat: 0,
            places: vec![Place::Overview],
            cursor: StepId::FIRST,
            pane: Pane::Playbook,
            check: 0,
            scroll: Scroll::default(),
            over: None,
            toast: None,
            ramps: start.ramps.into_iter().rev().collect(),
            gathered: Ramps::default(),
            at: 0,
            against: None,
            replay: None,
            glance: None,
            zoomed: false,
            mouse: false,
            only_replay: start.replay.is_some(),
        };
        for event in &start.past {
            model.climb.recall(event);
        }
        model.cursor = model.next_step().unwrap_or(StepId::FIRST);
        if let Some((run, events)) = start.replay {
            model.play(run, &events, None);
        }
        model
    }

    /// True when something on the screen moves by itself.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.climb.running.is_some() || self.toast.is_some() || self.is_playing()
    }

    /// True while a recording plays: time passes quicker there.
    #[must_use]
    pub fn is_playing(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.playing)
    }

    pub(super) fn step(&self, id: StepId) -> Option<&Step> {
        self.steps.iter().find(|s| s.id == id)
    }

    /// The state of a step, with the running one said by whoever runs it.
    pub(super) fn state(&self, id: StepId) -> StepState {
        if self.climb.running == Some(id) {
            return StepState::Running;
        }
        self.climb.states.get(&id).copied().unwrap_or(StepState::Locked)
    }

    /// The first step that still has to be proven; none when the climb is done.
    pub(super) fn next_step(&self) -> Option<StepId> {
        StepId::all().find(|id| !self.state(*id).is_done())
    }

    /// The step that keys are about: the one shown, else the one under the cursor.
    pub(super) fn subject(&self) -> StepId {
        match self.place() {
            Place::Overview => self.cursor,
            Place::Step(id) | Place::Verdict(id) => id,
            Place::Ramp => self.climb.ramp.as_ref().map_or(self.cursor, |r| r.step),
            Place::History => self.ramps.get(self.at).map_or(self.cursor, |ramp| ramp.step),
        }
    }

    /// Where a check of a step stands.
    pub(super) fn standing(&self, step: StepId, check: &CheckId) -> Standing<'_> {
        let key = (step, check.clone());
        let climb = &self.climb;
        if climb.looking.contains_key(&key) {
            return Standing::Looking;
        }
        match climb.evidence.get(&key) {
            _ if climb.running == Some(step) && !climb.fresh.contains(&key) => Standing::Queued,
            Some(evidence) => Standing::Answered(evidence),
            None => Standing::Never,
        }
    }

    pub(super) fn place(&self) -> Place {
        self.places.last().copied().unwrap_or(Place::Overview)
    }

    /// Where the next key press lands.
    #[must_use]
    pub fn focus(&self) -> Where {
        match self.over {
            Some(Over::Help) => Where::HELP,
            Some(Over::Ask(_)) => Where::ASK,
            Some(Over::Commands(_)) => Where::COMMANDS,
            Some(Over::Waive(_)) => Where::FORM,
            None => self.screen(),
        }
    }

    /// The screen's keys and a recording's, whatever lies over them.
    pub(super) fn screen(&self) -> Where {
        if self.replay.is_some() { self.under().or(Where::REPLAY) } else { self.under() }
    }

    /// The screen's keys, whatever lies over it.
    pub(super) fn under(&self) -> Where {
        match self.place() {
            Place::Overview => Where::OVERVIEW,
            Place::Step(_) => Where::STEP,
            Place::Ramp => Where::RAMP,
            Place::Verdict(_) => Where::VERDICT,
            Place::History => Where::HISTORY,
        }
    }

    /// The ramp as the live screen shows it: now, or where the view stands still.
    pub(super) fn ramp_in_view(&self) -> Option<std::borrow::Cow<'_, Ramp>> {
        use std::borrow::Cow;
        let ramp = self.climb.ramp.as_ref()?;
        Some(self.glance.map_or(Cow::Borrowed(ramp), |second| Cow::Owned(ramp.until(second))))
    }

    /// True while load is on its way.
    pub(super) fn ramping(&self) -> bool {
        self.climb.ramp.as_ref().is_some_and(|r| !r.ended)
    }

    /// Users proven without a gap from step 1; waived steps carry, but prove nothing.
    pub(super) fn proven_users(&self) -> u32 {
        StepId::all()
            .take_while(|id| self.state(*id).is_done())
            .filter(|id| self.state(*id) == StepState::Proven)
            .filter_map(|id| {
                self.climb.progress.steps.get(&id).and_then(|r| r.users).or(self.step(id).map(|s| s.gate.users))
            })
            .max()
            .unwrap_or(0)
    }

    /// Users of the last gate.
    pub(super) fn goal_users(&self) -> u32 {
        self.steps.iter().map(|s| self.gate_users(s.id)).max().unwrap_or(0)
    }

    /// Users a step's ramp drives; a practice measurement drives fewer.
    pub(super) fn gate_users(&self, id: StepId) -> u32 {
        self.plans.get(&id).map(|(plan, _)| plan.users).or(self.step(id).map(|s| s.gate.users)).unwrap_or(0)
    }
}

impl Climb {
    pub(super) fn note(&mut self, at: Timestamp, text: String) {
        if self.log.len() >= LOG {
            self.log.remove(0);
        }
        self.log.push((at, text));
    }
}
