//! What a person decides about the climb: waivers, runs that count no more, the baseline. The machine says whether it may be.

use std::path::Path;

use anyhow::anyhow;
use tokio::sync::mpsc;

use crate::cli::{OfRun, Signed};
use crate::config::Environment;
use crate::domain::command::{Command, Ruling};
use crate::domain::diagnosis::comparable;
use crate::domain::event::Feed;
use crate::domain::ids::RunId;
use crate::headless::{Lines, Printer, exit, stdout};
use crate::store::Store;

use super::session::{Session, Trouble, configured};
use super::terminal::chosen;

/// Writes one decision down and prints it. The code is that of a wrong call when it was refused.
pub async fn decide(project: &Path, environment: &Environment, decision: Command) -> Result<u8, Trouble> {
    let mut session = Session::open(project, environment, false)?;
    if session.is_outranked() {
        let why = "progress.toml was written by a newer rampup; decide with that one, or this would count nowhere";
        return Err(Trouble::usage(anyhow!(why)));
    }
    let (sender, receiver) = mpsc::channel(1);
    let (feed, mut fed) = mpsc::channel(64);
    sender.try_send(decision).map_err(|e| Trouble::Broken(e.into()))?;
    drop(sender);
    let face = async {
        let mut printer = Lines::default();
        let mut code = exit::USAGE;
        while let Some(seen) = fed.recv().await {
            if let Feed::Event(event) = seen {
                if event.kind.decides() {
                    code = exit::PROVEN;
                }
                printer.print(&event, &mut stdout())?;
            }
        }
        Ok::<u8, Trouble>(code)
    };
    let (pumped, code) = tokio::join!(session.pump(receiver, feed), face);
    pumped?;
    let code = code?;
    session.finish(code)?;
    Ok(code)
}

/// `rampup invalidate`: of a run whose log is here, or whose judgement came by git.
pub async fn invalidate(project: &Path, environment: &Environment, wish: &OfRun) -> Result<u8, Trouble> {
    let folder = configured(project, environment)?.settings.project_dir;
    let (progress, _) = Store::read(&folder).map_err(Trouble::usage)?;
    let mut runs = Store::runs(&folder)?;
    runs.extend(progress.steps.into_values().map(|record| record.run));
    runs.sort();
    runs.dedup();
    decide(project, environment, Command::Invalidate(ruling(runs, wish)?)).await
}

/// `rampup baseline pin`: of a run that measured something here.
pub async fn pin(project: &Path, environment: &Environment, wish: &OfRun) -> Result<u8, Trouble> {
    let folder = configured(project, environment)?.settings.project_dir;
    let ruling = ruling(Store::runs(&folder)?, wish)?;
    let ramps = Session::open(project, environment, false)?.ramps();
    if !ramps.iter().any(|ramp| ramp.run == ruling.run && comparable(ramp, ramp).is_ok()) {
        return Err(Trouble::usage(anyhow!("run {} holds no measured ramp that counts", ruling.run)));
    }
    decide(project, environment, Command::PinBaseline(ruling)).await
}

/// `rampup baseline unpin`.
pub async fn unpin(project: &Path, environment: &Environment, wish: &Signed) -> Result<u8, Trouble> {
    let folder = configured(project, environment)?.settings.project_dir;
    let pinned = Store::read(&folder).map_err(Trouble::usage)?.0.baseline;
    let run = pinned.ok_or_else(|| Trouble::usage(anyhow!("no baseline is pinned")))?.run;
    decide(project, environment, Command::UnpinBaseline(signed(run, wish))).await
}

fn ruling(runs: Vec<RunId>, wish: &OfRun) -> Result<Ruling, Trouble> {
    Ok(signed(chosen(runs, Some(&wish.run))?, &wish.signed))
}

fn signed(run: RunId, wish: &Signed) -> Ruling {
    Ruling { run, reason: wish.reason.clone(), owner: wish.owner.clone() }
}
