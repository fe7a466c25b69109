//! The terminal interface: ten steps on a rail, one question per screen, a verdict in a sentence.
//!
//! Owns what a person sees and types. It decides nothing: events come in, commands go out, and what it shows is the
//! fold of those events. `update` and `view` are pure, so that any screen can be drawn from a recorded run with no
//! terminal and no network; `run`, `terminal` and the end of `wizard` are all that touches the outside.

use std::collections::BTreeMap;

use crate::domain::event::Event;
use crate::domain::ids::{RunId, StepId};
use crate::domain::measurement::RampRecord;
use crate::domain::progress::{Outdated, Progress, StepState};
use crate::domain::ramp::{Claim, RampPlan};
use crate::domain::slo::Slo;
use crate::domain::step::Step;

mod act;
mod fold;
pub mod keymap;
pub mod keys;
pub mod model;
mod mouse;
mod palette;
mod replay;
mod run;
mod tape;
mod terminal;
pub mod theme;
mod ticks;
pub mod update;
pub mod view;
mod waive;
mod widgets;
pub mod wizard;
mod words;

pub use run::{Desk, run};
pub use theme::{Look, Theme, Tier};
pub use ticks::Ticks;

/// All a face needs to know before the first event.
#[derive(Debug, Clone)]
pub struct Start {
    /// The ten steps, in order.
    pub steps: Vec<Step>,
    /// Name of the site.
    pub site: String,
    /// Where load would go.
    pub target: String,
    /// The promise in force (a playbook may be stricter).
    pub slo: Slo,
    /// The state of each step under today's contracts.
    pub states: Vec<(StepId, StepState)>,
    /// Earlier judgements and waivers.
    pub progress: Progress,
    /// What a ramp of a step would drive and could show, said before it is started; steps may be missing.
    pub plans: BTreeMap<StepId, (RampPlan, Claim)>,
    /// Events of earlier runs, oldest first: their evidence and verdicts can be read again; they change no state.
    pub past: Vec<Event>,
    /// Measured ramps of all runs whose logs are here, the newest last.
    pub ramps: Vec<RampRecord>,
    /// Proofs whose basis changed, and how.
    pub outdated: BTreeMap<StepId, Outdated>,
    /// A run to play back instead of opening on today: its events.
    pub replay: Option<(RunId, Vec<Event>)>,
    /// What was ticked off in the playbooks.
    pub ticks: Ticks,
    /// Who sits here, proposed as the one who signs a waiver; may be empty.
    pub owner: String,
    /// Today, for waivers.
    pub today: jiff::civil::Date,
    /// Clock times are shown in this zone.
    pub zone: jiff::tz::TimeZone,
    /// On the practice stack, marked in the header the whole time: the command that applies a step's remedy, up to the
    /// step's number.
    pub demo: Option<String>,
    /// True for practice measurements; marked in the header the whole time.
    pub quick: bool,
    /// Colours and signs.
    pub look: Look,
    /// The keys in force.
    pub keys: keymap::Keymap,
}

/// Why the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// A person left.
    Quit,
    /// A signal with this number ended it; exit with 128 and the number.
    Signal(i32),
}
