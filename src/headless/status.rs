//! `rampup status`: where the climb stands, from the progress file alone.

use std::collections::BTreeMap;
use std::io::{self, Write};

use crate::domain::ids::StepId;
use crate::domain::progress::{Outdated, Progress, StepState};
use crate::domain::step::Step;
use crate::domain::text::tame;

/// One line a step, and the one thing to do next.
///
/// # Errors
/// When the output cannot be written.
pub fn lines(
    site: &str,
    steps: &[Step],
    states: &[(StepId, StepState)],
    progress: &Progress,
    outdated: &BTreeMap<StepId, Outdated>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let proven = proven_users(states, progress);
    let goal = steps.iter().map(|s| s.gate.users).max().unwrap_or(0);
    writeln!(out, "{site}  proven {proven} of {goal} users")?;
    let wide = steps.iter().map(|step| step.title.chars().count()).max().unwrap_or(0);
    for ((id, state), step) in states.iter().zip(steps) {
        let detail = match (state, progress.steps.get(id)) {
            (StepState::Waived, _) => progress
                .waivers
                .iter()
                .rfind(|w| w.step == *id && w.check.is_none())
                .map_or_else(String::new, |waiver| {
                    format!("to {} by {}: {}", waiver.until, tame(&waiver.owner, 60), tame(&waiver.reason, 100))
                }),
            (StepState::Locked | StepState::Open, _) | (_, None) => format!("goal {} users", step.gate.users),
            (StepState::Stale, Some(record)) => {
                let why = outdated.get(id).map_or_else(String::new, |why| format!("  {}", why.sentence()));
                format!("{}{why}", record_line(record))
            }
            (_, Some(record)) => record_line(record),
        };
        writeln!(out, "  {:>2} {:<9} {:<wide$} {detail}", id.number(), state.word(), step.title)?;
    }
    for ruling in &progress.invalidated {
        let (run, owner) = (tame(ruling.run.as_str(), 60), tame(&ruling.owner, 60));
        writeln!(out, "run {run} counts no more  {owner}: {}", tame(&ruling.reason, 100))?;
    }
    if let Some(ruling) = &progress.baseline {
        let (run, owner) = (tame(ruling.run.as_str(), 60), tame(&ruling.owner, 60));
        writeln!(
            out,
            "ramps are compared with run {run}, too, where its log is  {owner}: {}",
            tame(&ruling.reason, 100)
        )?;
    }
    match states.iter().find(|(_, state)| !state.is_done()) {
        Some((next, _)) => writeln!(out, "next: rampup run {next}"),
        None => writeln!(out, "every step is proven or waived"),
    }
}

fn record_line(record: &crate::domain::progress::StepRecord) -> String {
    let quick = if record.contract.quick { "  quick" } else { "" };
    let measured = match (record.users, record.p95_ms, record.error_percent) {
        (Some(users), Some([p95, ..]), Some([errors, ..])) => {
            format!("{users} users  p95 {p95:.0} ms  errors {errors:.2} %{quick}")
        }
        _ => format!("no ramp{quick}"),
    };
    match record.held_by.first() {
        Some(first) => format!("{measured}  {}", tame(first, 100)),
        None => measured,
    }
}

/// Users held by the last step of the unbroken row of proven and waived ones.
#[must_use]
pub fn proven_users(states: &[(StepId, StepState)], progress: &Progress) -> u32 {
    states
        .iter()
        .take_while(|(_, state)| state.is_done())
        .filter(|(_, state)| *state == StepState::Proven)
        .filter_map(|(id, _)| progress.steps.get(id)?.users)
        .max()
        .unwrap_or(0)
}

/// The same as one JSON object.
#[must_use]
pub fn json(
    site: &str,
    states: &[(StepId, StepState)],
    progress: &Progress,
    outdated: &BTreeMap<StepId, Outdated>,
) -> serde_json::Value {
    serde_json::json!({
        "site": site,
        "proven_users": proven_users(states, progress),
        "steps": states.iter().map(|(id, state)| serde_json::json!({
            "step": id, "state": state, "record": progress.steps.get(id), "outdated": outdated.get(id),
        })).collect::<Vec<_>>(),
        "waivers": progress.waivers,
        "invalidated": progress.invalidated,
        "baseline": progress.baseline,
    })
}
