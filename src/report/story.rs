//! What the last judgement of each step rests on, gathered for those who tell it.

use std::collections::BTreeMap;

use crate::domain::audit;
use crate::domain::check::Evidence;
use crate::domain::event::{Event, EventKind};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::StepId;
use crate::domain::progress::{Outdated, Progress, StepState};
use crate::domain::step::Step;

/// The whole climb, as it stands.
#[derive(Debug)]
pub struct Climb<'a> {
    /// Name of the site.
    pub site: &'a str,
    /// The ten steps.
    pub steps: &'a [Step],
    /// Their states today.
    pub states: &'a [(StepId, StepState)],
    /// Judgements and waivers.
    pub progress: &'a Progress,
    /// Proofs whose basis changed.
    pub outdated: &'a BTreeMap<StepId, Outdated>,
    /// Today, for waivers.
    pub today: jiff::civil::Date,
    /// Events of the runs that the judgements name; a step whose log is not here has none.
    pub events: &'a [Event],
}

impl Climb<'_> {
    /// The events that a step's last judgement rests on; none when it has none, or its log is not here.
    #[must_use]
    pub fn basis(&self, step: StepId) -> &[Event] {
        let Some(record) = self.progress.steps.get(&step) else { return &[] };
        let of_run = self.events.iter().position(|event| event.run == record.run);
        let run = of_run.map_or(&[][..], |from| {
            let rest = &self.events[from..];
            &rest[..rest.iter().position(|event| event.run != record.run).unwrap_or(rest.len())]
        });
        audit::basis(step, record, run).unwrap_or_default()
    }

    /// The answers that the judgement rests on.
    #[must_use]
    pub fn answers(&self, step: StepId) -> Vec<&Evidence> {
        audit::answers(step, self.basis(step))
    }

    /// The ramp that it rests on.
    #[must_use]
    pub fn ramp(&self, step: StepId) -> Option<audit::Ramp<'_>> {
        audit::ramp(step, self.basis(step))
    }

    /// What the run of a step's last judgement was about.
    #[must_use]
    pub fn fingerprint(&self, step: StepId) -> Option<&Fingerprint> {
        let run = &self.progress.steps.get(&step)?.run;
        self.events.iter().filter(|event| event.run == *run).find_map(|event| match &event.kind {
            EventKind::RunStarted { fingerprint, .. } => Some(fingerprint),
            _ => None,
        })
    }

    /// True when somebody signed for this answer, by its name or with its whole step.
    #[must_use]
    pub fn signed(&self, evidence: &Evidence) -> bool {
        self.state(evidence.step) == StepState::Waived
            || self.progress.check_excused(evidence.step, &evidence.check, self.today)
    }

    /// The state of a step today.
    #[must_use]
    pub fn state(&self, step: StepId) -> StepState {
        self.states.iter().find(|(id, _)| *id == step).map_or(StepState::Locked, |(_, state)| *state)
    }

    /// Users proven without a gap from step 1.
    #[must_use]
    pub fn proven_users(&self) -> u32 {
        let proven = self.states.iter().take_while(|(_, state)| state.is_done());
        let proven = proven.filter(|(_, state)| *state == StepState::Proven);
        proven.filter_map(|(id, _)| self.progress.steps.get(id)?.users).max().unwrap_or(0)
    }
}
