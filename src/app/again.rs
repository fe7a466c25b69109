//! `rampup run --once`: a verdict that was already reached on the same commit, under the same contract and lately, is said
//! again instead of driving load a second time. A platform that starts a failed job anew must not double it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::domain::audit;
use crate::domain::event::{Event, EventKind};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::ids::StepId;
use crate::domain::progress::{StepState, within_reach};
use crate::headless::{Printer, Tally, exit, stdout};
use crate::store::Store;

use super::session::{Session, Trouble};

/// Longest pause between a run's start, or a judgement in it, and the next step that it takes up: a row of steps that was
/// given at once. In a run that a person leads, the code may have changed meanwhile.
const AT_ONCE: SignedDuration = SignedDuration::from_secs(5);

/// Prints the known verdicts of these steps, the first ones on; gives the steps that are still to be run, and the code of
/// a verdict that ends the row.
pub async fn known(
    session: &Session,
    steps: Vec<StepId>,
    lifetime: Duration,
    printer: &mut dyn Printer,
) -> Result<(Vec<StepId>, Option<u8>), Trouble> {
    let (commit, dirty) = session.commit().await;
    // Without a commit, or with changes beside it, nobody knows whether it is the same code.
    let Some(commit) = commit.filter(|_| dirty.is_none()) else { return Ok((steps, None)) };
    let deployment = session.deployment().await;
    let mut left = steps.into_iter();
    let mut rest = Vec::new();
    for step in left.by_ref() {
        let Some((events, code)) = verdict(session, step, lifetime, &commit, deployment.as_deref()) else {
            rest.push(step);
            break;
        };
        for event in &events {
            printer.print(event, &mut stdout())?;
        }
        if let Some(event) = events.last() {
            let said =
                format!("nothing was measured now: run {} judged this commit so at {} (--once)", event.run, event.at);
            let note = Event { kind: EventKind::Note { text: said }, ..event.clone() };
            printer.print(&note, &mut stdout())?;
        }
        if code != exit::PROVEN {
            return Ok((Vec::new(), Some(code)));
        }
    }
    rest.extend(left);
    Ok((rest, None))
}

/// The events of a step's verdict and its exit code, when it still says what a new run would be asked. Only what was
/// decided is said again; what was not may be decided now.
fn verdict(
    session: &Session,
    step: StepId,
    lifetime: Duration,
    commit: &str,
    deployment: Option<&str>,
) -> Option<(Vec<Event>, u8)> {
    let record = session.progress().steps.get(&step)?;
    let age = Timestamp::now().duration_since(record.at);
    let young = Duration::try_from(age).is_ok_and(|age| age <= lifetime);
    let states = session.states();
    let state = |step: StepId| states.iter().find(|(id, _)| *id == step).map_or(StepState::Locked, |(_, state)| *state);
    let counts = match record.state {
        // Its state may be `waived`, whatever became of the proof under that.
        StepState::Proven => session.proof(step).is_some(),
        _ => session.progress().invalidated(&record.run).is_none() && record.contract == session.contract(step),
    };
    if !young || !within_reach(step, &state) || !counts {
        return None;
    }
    let events = Store::read_run(&session.settings.project_dir, &record.run).ok()?;
    let basis = audit::basis(step, record, &events)?.to_vec();
    let same = |fingerprint: &Fingerprint| {
        fingerprint.commit.as_deref() == Some(commit)
            && fingerprint.dirty.is_none()
            && fingerprint.deployment.as_deref() == deployment
            && fingerprint.product == env!("CARGO_PKG_VERSION")
    };
    if !at_once(&events, basis.first()?, same) {
        return None;
    }
    let mut tally = Tally::default();
    basis.iter().for_each(|event| tally.see(event));
    Some((basis, tally.proving())).filter(|(_, code)| matches!(*code, exit::PROVEN | exit::FAILED))
}

/// True when a run is about this code and took up its steps without a pause until this event.
fn at_once(events: &[Event], until: &Event, same: impl Fn(&Fingerprint) -> bool) -> bool {
    let mut last = None;
    for event in events.iter().take_while(|event| event.seq <= until.seq) {
        match &event.kind {
            EventKind::RunStarted { fingerprint, .. } if same(fingerprint) => last = Some(event.at),
            EventKind::StepStarted { .. } if last.is_none_or(|at| event.at.duration_since(at) > AT_ONCE) => {
                return false;
            }
            EventKind::StepJudged { .. } => last = Some(event.at),
            _ => {}
        }
    }
    last.is_some()
}
