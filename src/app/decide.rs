//! What a person decides about the climb: waivers, runs that count no more, the baseline. The machine says whether it may be.

use std::io;
use std::path::Path;

use anyhow::anyhow;
use tokio::sync::mpsc;

use crate::cli::OfRun;
use crate::config::Environment;
use crate::domain::command::{Command, Ruling};
use crate::domain::event::Feed;
use crate::domain::ids::RunId;
use crate::headless::{Lines, Printer, exit};
use crate::store::Store;

use super::session::{Session, Trouble, configured};
use super::terminal::chosen;

/// Writes one decision down and prints it. The code is that of a wrong call when it was refused.
pub async fn decide(project: &Path, environment: &Environment, decision: Command) -> Result<u8, Trouble> {
    let mut session = Session::open(project, environment, false)?;
    let (sender, receiver) = mpsc::channel(1);
    let (feed, mut fed) = mpsc::channel(64);
    sender.try_send(decision).map_err(|e| Trouble::Broken(e.into()))?;
    drop(sender);
    session.pump(receiver, feed).await?;
    let mut printer = Lines::default();
    let mut code = exit::USAGE;
    while let Ok(seen) = fed.try_recv() {
        if let Feed::Event(event) = seen {
            if event.kind.decides() {
                code = exit::PROVEN;
            }
            printer.print(&event, &mut io::stdout())?;
        }
    }
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
    let measured = Session::open(project, environment, false)?.ramps().iter().any(|ramp| ramp.run == ruling.run);
    if !measured {
        return Err(Trouble::usage(anyhow!("run {} holds no measured ramp that counts", ruling.run)));
    }
    decide(project, environment, Command::PinBaseline(Some(ruling))).await
}

fn ruling(runs: Vec<RunId>, wish: &OfRun) -> Result<Ruling, Trouble> {
    let run = chosen(runs, Some(&wish.run))?;
    Ok(Ruling { run, reason: wish.reason.clone(), owner: wish.owner.clone() })
}
