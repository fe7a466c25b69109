//! `rampup run --once`: a verdict that was already reached on the same commit, under the same contract and lately, is said
//! again instead of driving load a second time. A platform that starts a failed job anew must not double it.

use std::io;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::audit;
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::StepId;
use crate::headless::{Printer, Tally, exit};
use crate::store::Store;

use super::commit;
use super::session::{Session, Trouble};

/// Prints the known verdicts of these steps, the first ones on; gives the steps that are still to be run, and the code of
/// a verdict that ends the row.
pub async fn known(
    session: &Session,
    steps: Vec<StepId>,
    lifetime: Duration,
    printer: &mut dyn Printer,
) -> Result<(Vec<StepId>, Option<u8>), Trouble> {
    let now = commit::of(&session.settings.project_dir).await;
    let mut left = steps.into_iter();
    let mut rest = Vec::new();
    for step in left.by_ref() {
        let Some((events, code)) = verdict(session, step, lifetime, &now) else {
            rest.push(step);
            break;
        };
        for event in &events {
            printer.print(event, &mut io::stdout())?;
        }
        if code != exit::PROVEN {
            return Ok((Vec::new(), Some(code)));
        }
    }
    rest.extend(left);
    Ok((rest, None))
}

/// The events of a step's verdict and its exit code, when it still says what a new run would be asked.
fn verdict(
    session: &Session,
    step: StepId,
    lifetime: Duration,
    now: &(Option<String>, Option<String>),
) -> Option<(Vec<Event>, u8)> {
    let record = session.progress().steps.get(&step)?;
    let events = Store::read_run(&session.settings.project_dir, &record.run).ok()?;
    let fingerprint = events.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted { fingerprint, .. } => Some(fingerprint),
        _ => None,
    })?;
    // Without a commit nobody knows whether it is the same code.
    let same_code = now.0.is_some() && (&fingerprint.commit, &fingerprint.dirty) == (&now.0, &now.1);
    let age = Timestamp::now().duration_since(record.at);
    let young = Duration::try_from(age).is_ok_and(|age| age <= lifetime);
    if !same_code || !young || record.contract != session.contract(step) {
        return None;
    }
    let basis = audit::basis(step, record, &events)?.to_vec();
    let mut tally = Tally::default();
    basis.iter().for_each(|event| tally.see(event));
    Some((basis, tally.proving()))
}
