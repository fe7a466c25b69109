//! What a verdict rests on, from the disk alone: `rampup explain` shows it, `rampup verify-evidence` decides it again.

use std::io::Write;
use std::path::Path;

use anyhow::anyhow;
use serde::Serialize;

use crate::cli::Output;
use crate::config::Environment;
use crate::domain::audit;
use crate::domain::check::Evidence;
use crate::domain::command::Ruling;
use crate::domain::event::{Event, EventKind, SCHEMA};
use crate::domain::ids::{CheckId, RunId, StepId};
use crate::domain::progress::{Progress, StepRecord};
use crate::domain::step::Level;
use crate::domain::text::tame;
use crate::headless::{Lines, Printer, exit};
use crate::store::{Store, StoreError};

use super::session::{Trouble, configured};
use super::steps_of;
use super::terminal::chosen;

/// Longest line of text from a file.
const WIDTH: usize = 2000;

/// What became of the evidence of one step's judgement.
#[derive(Debug, Serialize)]
struct Upheld {
    /// None for a log on which no judgement rests.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<StepId>,
    run: RunId,
    /// `upheld`, `edited`, `different` or `gone`.
    found: &'static str,
    said: Vec<String>,
}

/// Recomputes every recorded judgement. The code is 0 when all stand, 1 when one was edited or would be decided
/// otherwise, 3 when the evidence of one is not here.
pub fn verify(project: &Path, environment: &Environment, wish: Output, out: &mut dyn Write) -> Result<u8, Trouble> {
    let settings = configured(project, environment)?.settings;
    let (folder, steps) = (&settings.project_dir, steps_of(&settings)?);
    let (progress, _) = Store::read(folder).map_err(Trouble::usage)?;
    // Of a playbook that has changed since, nobody knows what it asked for.
    let required = |step: StepId, record: &StepRecord| -> Vec<CheckId> {
        let playbook = &steps[step.index()];
        let same = settings.contract(playbook, record.contract.quick).playbook == record.contract.playbook;
        let lines = playbook.checks.iter().filter(|line| same && line.level == Level::Required);
        lines.map(|line| line.check.clone()).collect()
    };
    let all: Vec<Upheld> = progress
        .steps
        .iter()
        .map(|(step, record)| upheld(folder, *step, record, &progress, &required(*step, record)))
        .collect();
    for one in &all {
        if wish.json {
            writeln!(out, "{}", serde_json::to_string(one).map_err(|e| Trouble::Broken(e.into()))?)?;
            continue;
        }
        let step = one.step.map_or_else(String::new, |step| step.to_string());
        writeln!(out, "step {step:>2}  {:<9}  run {}", one.found, tame(one.run.as_str(), WIDTH))?;
        for said in &one.said {
            writeln!(out, "         {}", tame(said, WIDTH))?;
        }
    }
    // Logs that no judgement rests on any more are still the history that ramps are compared with.
    let judged = |run: &RunId| all.iter().any(|one| one.run == *run);
    let mut edited = false;
    for run in Store::runs(folder)?.into_iter().filter(|run| !judged(run)) {
        if let Err(why @ StoreError::Malformed { .. }) = Store::read_run(folder, &run) {
            edited = true;
            let one = Upheld { step: None, run, found: "edited", said: vec![why.to_string()] };
            if wish.json {
                writeln!(out, "{}", serde_json::to_string(&one).map_err(|e| Trouble::Broken(e.into()))?)?;
            } else {
                writeln!(out, "log      edited     {}", tame(&one.said.join("; "), WIDTH))?;
            }
        }
    }
    if all.is_empty() && !wish.json {
        writeln!(out, "no step was judged here yet")?;
    }
    let any = |found: &str| all.iter().any(|one| one.found == found);
    Ok(if edited || any("edited") || any("different") {
        exit::FAILED
    } else if any("gone") {
        exit::INCONCLUSIVE
    } else {
        exit::PROVEN
    })
}

fn upheld(folder: &Path, step: StepId, record: &StepRecord, progress: &Progress, required: &[CheckId]) -> Upheld {
    let told = |found, said| Upheld { step: Some(step), run: record.run.clone(), found, said };
    let lines = match Store::read_run_lines(folder, &record.run) {
        Ok(lines) => lines,
        Err(why @ StoreError::Malformed { .. }) => return told("edited", vec![why.to_string()]),
        Err(why) => return told("gone", vec![why.to_string()]),
    };
    let link = lines.iter().rev().find_map(|(event, link)| match &event.kind {
        EventKind::StepJudged { step: of, .. } if *of == step && event.at == record.at => Some(link.clone()),
        _ => None,
    });
    let events: Vec<Event> = lines.into_iter().map(|(event, _)| event).collect();
    match (&record.evidence, link) {
        (Some(kept), Some(found)) if found.as_ref() != Some(kept) => {
            return told("edited", vec!["progress.toml names another line than the one in the log".to_owned()]);
        }
        (None, Some(Some(_))) => {
            return told("edited", vec!["progress.toml no longer names the line of the log that shows it".to_owned()]);
        }
        _ => {}
    }
    let said = audit::audit(step, record, &events, &progress.waivers, required);
    if !said.is_empty() {
        return told("different", said);
    }
    let answers = audit::basis(step, record, &events).map_or(0, |basis| audit::answers(step, basis).len());
    let mut said =
        vec![format!("{}, checks that answered: {answers}; decided again, and the same", record.state.word())];
    if let Some(Ruling { owner, reason, .. }) = progress.invalidated(&record.run) {
        said.push(format!("the run counts no more ({owner}: {reason}), so the step is not proven by it"));
    }
    if record.evidence.is_none() {
        said.push("its log has no chain: an older rampup wrote it, and an edit would not show".to_owned());
    }
    told("upheld", said)
}

/// Shows what a run, a step's judgement or a check's answer rests on.
pub fn explain(
    project: &Path,
    environment: &Environment,
    what: Option<&str>,
    out: &mut dyn Write,
) -> Result<u8, Trouble> {
    let folder = configured(project, environment)?.settings.project_dir;
    let (progress, _) = Store::read(&folder).map_err(Trouble::usage)?;
    let last = || progress.steps.iter().max_by_key(|(_, record)| record.at).map(|(step, _)| *step);
    let step = match what {
        None => Some(last().ok_or_else(|| Trouble::usage(anyhow!("no step was judged here yet; rampup run does")))?),
        Some(text) => text.parse().ok().and_then(|number| StepId::new(number).ok()),
    };
    if let Some(step) = step {
        return explain_step(&folder, step, &progress, out);
    }
    let text = what.unwrap_or_default();
    if text.contains('.') {
        return explain_check(&folder, text, &progress, out);
    }
    let run = chosen(Store::runs(&folder)?, Some(text))?;
    print(&Store::read_run(&folder, &run)?, out)?;
    Ok(exit::PROVEN)
}

fn explain_step(folder: &Path, step: StepId, progress: &Progress, out: &mut dyn Write) -> Result<u8, Trouble> {
    let record = progress
        .steps
        .get(&step)
        .ok_or_else(|| Trouble::usage(anyhow!("step {step} was not judged here yet; rampup run {step} does")))?;
    let events = Store::read_run(folder, &record.run).map_err(Trouble::usage)?;
    let basis = audit::basis(step, record, &events)
        .ok_or_else(|| Trouble::usage(anyhow!("run {} holds no judgement of step {step}", record.run)))?;
    let began = events.iter().filter(|event| matches!(event.kind, EventKind::RunStarted { .. }));
    // Another step's run may have shown this one broken: what it did for itself is no basis of this.
    let about = |event: &&Event| match &event.kind {
        EventKind::StepStarted { step: of, .. }
        | EventKind::CheckStarted { step: of, .. }
        | EventKind::RampStarted { step: of, .. }
        | EventKind::RampPhase { step: of, .. }
        | EventKind::RampFinished { step: of, .. }
        | EventKind::RampFailed { step: of, .. }
        | EventKind::StepJudged { step: of, .. } => *of == step,
        EventKind::CheckFinished { evidence } => evidence.step == step,
        EventKind::RunStarted { .. } | EventKind::RunFinished { .. } => false,
        _ => true,
    };
    print(began.chain(basis.iter().filter(about)), out)?;
    writeln!(out, "judged {}; `rampup verify-evidence` decides it again from the same facts", record.at)?;
    Ok(exit::PROVEN)
}

fn explain_check(folder: &Path, check: &str, progress: &Progress, out: &mut dyn Write) -> Result<u8, Trouble> {
    let mut found: Option<(RunId, Evidence)> = None;
    for event in Store::read_past(folder, progress).map_err(Trouble::usage)? {
        if let EventKind::CheckFinished { evidence } = event.kind
            && evidence.check.0 == check
            && found.as_ref().is_none_or(|(_, other)| other.at <= evidence.at)
        {
            found = Some((event.run, evidence));
        }
    }
    let (run, evidence) = found.ok_or_else(|| {
        Trouble::usage(anyhow!("no judgement here rests on a check {check:?}; rampup playbook checks lists them"))
    })?;
    writeln!(out, "{} in step {}, run {}, {}", evidence.check, evidence.step, tame(run.as_str(), WIDTH), evidence.at)?;
    let (how, took) = (evidence.how, evidence.took_ms);
    let facts = serde_json::to_string_pretty(&evidence.facts).map_err(|e| Trouble::Broken(e.into()))?;
    let answered = Event { v: SCHEMA, seq: 0, at: evidence.at, run, kind: EventKind::CheckFinished { evidence } };
    Lines::default().print(&answered, out)?;
    writeln!(out, "          how  {}, in {took} ms\nfacts", how.words())?;
    for line in facts.lines() {
        writeln!(out, "{}", tame(line, WIDTH))?;
    }
    Ok(exit::PROVEN)
}

fn print<'a>(events: impl IntoIterator<Item = &'a Event>, out: &mut dyn Write) -> Result<(), Trouble> {
    let mut lines = Lines::default();
    for event in events {
        lines.print(event, out)?;
    }
    Ok(())
}
