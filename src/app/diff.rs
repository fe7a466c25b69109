//! `rampup diff A B`: what changed between two measured ramps, and whether that changed the figures. Unlike loads are not
//! compared.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use anyhow::anyhow;

use crate::cli::Diff;
use crate::config::Environment;
use crate::domain::diagnosis::{Change, change, comparable};
use crate::domain::event::{Event, EventKind};
use crate::domain::fingerprint::{Contract, Fingerprint};
use crate::domain::ids::StepId;
use crate::domain::measurement::{FarSide, RampRecord};
use crate::domain::ramps::Ramps;
use crate::headless::exit;
use crate::store::Store;

use super::session::{Trouble, configured};
use super::terminal::chosen;

/// One side.
struct Side {
    record: RampRecord,
    fingerprint: Fingerprint,
    contract: Contract,
    far_side: Box<FarSide>,
}

/// Prints the comparison. The code is 0, or 2 when the loads are unlike.
pub fn diff(project: &Path, environment: &Environment, wish: &Diff, out: &mut dyn Write) -> Result<u8, Trouble> {
    let folder = configured(project, environment)?.settings.project_dir;
    let runs = Store::runs(&folder)?;
    let read = |name: &str| -> Result<Side, Trouble> {
        let run = chosen(runs.clone(), Some(name))?;
        let events = Store::read_run(&folder, &run)?;
        side(&events, wish.step).ok_or_else(|| {
            let of = wish.step.map_or_else(String::new, |step| format!(" of step {step}"));
            Trouble::usage(anyhow!("run {run} holds no measured ramp{of}"))
        })
    };
    let (before, after) = (read(&wish.before)?, read(&wish.after)?);
    if before.record.step != after.record.step {
        let (one, other) = (before.record.step, after.record.step);
        return Err(Trouble::usage(anyhow!(
            "these are ramps of steps {one} and {other}; name one that both hold with --step"
        )));
    }
    writeln!(out, "step {}: {} against {}\n", after.record.step, after.record.run, before.record.run)?;
    writeln!(out, "changed")?;
    let changed = changed(&before, &after);
    for what in &changed {
        writeln!(out, "  {what}")?;
    }
    if changed.is_empty() {
        writeln!(out, "  nothing that is written down")?;
    }
    if changed.len() > 1 {
        writeln!(out, "more than one thing changed: what follows cannot say which of them did it")?;
    }
    for (one, other) in [(&before.record, &after.record), (&after.record, &before.record)] {
        if let Err(why) = comparable(one, other) {
            return Err(Trouble::usage(anyhow!("the figures are not compared: {why}")));
        }
    }
    figures(&before.record, &after.record, out)?;
    Ok(exit::PROVEN)
}

/// The last measured ramp of a run, or of one step in it.
fn side(events: &[Event], step: Option<StepId>) -> Option<Side> {
    let mut ramps = Ramps::default();
    let (mut fingerprint, mut contract, mut found) = (None, None, None);
    for event in events {
        match &event.kind {
            EventKind::RunStarted { fingerprint: of_run, .. } => fingerprint = Some(of_run.clone()),
            EventKind::StepStarted { contract: of_step, .. } => contract = Some(of_step.clone()),
            _ => {}
        }
        let record = ramps.see(event).filter(|record| step.is_none_or(|step| step == record.step));
        if let (Some(record), EventKind::RampFinished { far_side, .. }) = (record, &event.kind) {
            found = Some((record, contract.clone()?, far_side.clone()));
        }
    }
    let (record, contract, far_side) = found?;
    Some(Side { record, fingerprint: fingerprint?, contract, far_side })
}

fn changed(before: &Side, after: &Side) -> Vec<String> {
    let short = |commit: &Option<String>| {
        commit.as_deref().map_or_else(|| "none".to_owned(), |commit| commit.get(..12).unwrap_or(commit).to_owned())
    };
    let (one, other) = (&before.fingerprint, &after.fingerprint);
    let mut changed = Vec::new();
    if one.commit != other.commit {
        changed.push(format!("commit       {} -> {}", short(&one.commit), short(&other.commit)));
    }
    if one.dirty != other.dirty {
        let word = |dirty: &Option<String>| if dirty.is_some() { "changes" } else { "clean" };
        changed.push(format!("uncommitted  {} -> {}", word(&one.dirty), word(&other.dirty)));
    }
    if one.deployment != other.deployment {
        changed.push(format!("deployment   {} -> {}", short(&one.deployment), short(&other.deployment)));
    }
    // A phase that only one of them could read says nothing.
    for (phase, version) in &one.rules {
        if let Some(now) = other.rules.get(phase).filter(|now| *now != version) {
            changed.push(format!("edge rules   {phase} version {version} -> {now}"));
        }
    }
    if one.product != other.product {
        changed.push(format!("rampup       {} -> {}", one.product, other.product));
    }
    changed.extend(before.contract.changes(&after.contract).into_iter().map(str::to_owned));
    let (one, other) = (&one.settings_by_name, &other.settings_by_name);
    let names: BTreeSet<&str> = one.keys().chain(other.keys()).map(String::as_str).collect();
    let named: Vec<&str> = names.into_iter().filter(|name| one.get(*name) != other.get(*name)).collect();
    if before.fingerprint.settings != after.fingerprint.settings {
        // An older rampup wrote no names.
        let known = !one.is_empty() && !other.is_empty() && !named.is_empty();
        changed.push(if known { format!("rampup.toml  {}", named.join(", ")) } else { "rampup.toml".to_owned() });
    }
    for table in &after.far_side.tables {
        let then = before.far_side.tables.iter().find(|other| other.table == table.table);
        let magnitude = |rows: u64| rows.checked_ilog10().unwrap_or(0);
        if let Some(then) = then.filter(|then| magnitude(then.rows) != magnitude(table.rows)) {
            changed.push(format!("{}  about {} -> {} rows", table.table, then.rows, table.rows));
        }
    }
    changed
}

fn figures(before: &RampRecord, after: &RampRecord, out: &mut dyn Write) -> Result<(), Trouble> {
    writeln!(out, "\n{:<12} {:>24} {:>24}  verdict", "", "before", "after")?;
    let show = |figure: Option<[f64; 3]>, digits: usize| {
        figure.map_or_else(
            || "?".to_owned(),
            |[value, low, high]| format!("{value:.digits$} ({low:.digits$} to {high:.digits$})"),
        )
    };
    let p95 = before.p95_ms.zip(after.p95_ms).and_then(|(before, after)| change(after, before));
    let verdict = p95.map_or_else(
        || "cannot be said".to_owned(),
        |([value, low, high], change)| {
            let word = match change {
                Change::Slower => "slower",
                Change::Faster => "faster",
                Change::None => "no change that shows",
            };
            format!("{word}: {value:.2}x ({low:.2} to {high:.2})")
        },
    );
    writeln!(out, "{:<12} {:>24} {:>24}  {verdict}", "p95, ms", show(before.p95_ms, 0), show(after.p95_ms, 0))?;
    let overlap = before.error_percent.zip(after.error_percent).map(|(a, b)| a[1] <= b[2] && b[1] <= a[2]);
    let word = match overlap {
        Some(true) => "no change that shows",
        Some(false) if before.error_percent < after.error_percent => "more",
        Some(false) => "fewer",
        None => "cannot be said",
    };
    writeln!(
        out,
        "{:<12} {:>24} {:>24}  {word}",
        "errors, %",
        show(before.error_percent, 2),
        show(after.error_percent, 2)
    )?;
    writeln!(out, "{:<12} {:>24} {:>24}", "requests", before.requests, after.requests)?;
    Ok(())
}
