//! The headless way through a session: one command after the other, printed as it happens, until one does not hold.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use tokio::sync::mpsc;

use crate::cli::{LoadEngine, OnInconclusive, Output, Ramp, Run, Verify};
use crate::config::Environment;
use crate::domain::command::Command;
use crate::domain::event::Feed;
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::engine::machine;
use crate::headless::{Json, Lines, Printer, Tally, exit, stderr, stdout};
use crate::load::LocustDriver;

use super::again;
use super::session::{Session, Trouble};
use super::signals::Signals;

/// Variable that holds what a Locust must know to be let in.
const TOKEN: &str = "RAMPUP_TOKEN";
/// Shortest token, characters.
const LEAST_TOKEN: usize = 16;

/// `rampup run`.
pub async fn run(project: &Path, environment: &Environment, wish: &Run) -> Result<u8, Trouble> {
    let mut session = Session::open(project, environment, wish.pace.quick)?;
    let states = session.states();
    let first = states.iter().find(|(_, state)| !state.is_done()).map(|(step, _)| *step);
    let most = wish.until.unwrap_or(StepId::LAST);
    let steps: Vec<StepId> = match (wish.steps, first) {
        (Some(range), _) => StepId::all().filter(|s| (range.from..=range.to).contains(s)).collect(),
        // Of which commit the proofs are is asked below, not taken from the states: no commit makes one stale.
        (None, _) if wish.once.is_some() && (wish.all || wish.until.is_some()) => {
            let asked = states.iter().filter(|(step, state)| *step <= most && *state != StepState::Waived);
            asked.map(|(step, _)| *step).collect()
        }
        (None, None) => Vec::new(),
        (None, Some(first)) if wish.all || wish.until.is_some() => {
            StepId::all().filter(|s| *s >= first && *s <= most).collect()
        }
        (None, Some(first)) => vec![first],
    };
    if steps.is_empty() {
        let upto = wish.until.map_or_else(String::new, |step| format!(" up to step {step}"));
        let proven = states.iter().filter(|(step, state)| *step <= most && *state == StepState::Proven);
        let oldest = session.progress().oldest_proof(proven.map(|(step, _)| *step));
        let oldest = oldest.map_or_else(String::new, |(step, proof)| {
            format!(" (the oldest proof, of step {step}, is of {:.0} by run {})", proof.at, proof.run)
        });
        eprintln_line(&format!("every step{upto} is proven or waived{oldest}; name a step to run it again"))?;
        return Ok(exit::PROVEN);
    }
    let mut printer = printer(wish.output);
    let steps = match wish.once {
        None => steps,
        Some(lifetime) => match again::known(&session, steps, lifetime, &mut *printer).await? {
            (_, Some(code)) => return Ok(code),
            (rest, None) => rest,
        },
    };
    // Practice judges no step that is proven in full; with --once, that proof is not known to be of this commit.
    let (in_full, steps): (Vec<_>, Vec<_>) = steps.into_iter().partition(|step| session.proven_in_full(*step));
    in_full.iter().try_for_each(|step| eprintln_line(&machine::in_full(*step)))?;
    let passed_over = if wish.once.is_some() && !in_full.is_empty() { exit::INCONCLUSIVE } else { exit::PROVEN };
    let code = if steps.is_empty() {
        passed_over
    } else {
        let mut signals = Signals::take()?.within(wish.deadline);
        let commands = steps.into_iter().map(Command::Run).collect();
        match perform(&mut session, commands, &mut *printer, &mut signals, Goal::Prove).await? {
            exit::PROVEN => passed_over,
            code => code,
        }
    };
    Ok(match (code, wish.on_inconclusive) {
        (exit::INCONCLUSIVE, OnInconclusive::Fail) => exit::FAILED,
        _ => code,
    })
}

/// `rampup verify`.
pub async fn verify(project: &Path, environment: &Environment, wish: &Verify) -> Result<u8, Trouble> {
    let session = Session::open(project, environment, false)?;
    let steps = StepId::all().filter(|step| (wish.steps.from..=wish.steps.to).contains(step));
    look(session, steps.map(Command::Verify).collect(), wish.output).await
}

/// `rampup ramp`.
pub async fn ramp(project: &Path, environment: &Environment, wish: &Ramp) -> Result<u8, Trouble> {
    let Ramp { step, pace, output, .. } = *wish;
    let session = match wish.engine {
        LoadEngine::Goose => Session::open(project, environment, pace.quick)?,
        LoadEngine::Locust => {
            let token = environment.secret(TOKEN).filter(|token| token.expose().len() >= LEAST_TOKEN).ok_or_else(|| {
                Trouble::usage(anyhow!(
                    "{TOKEN} is not set or shorter than {LEAST_TOKEN} characters; set it here and where Locust's master \
                     runs: export {TOKEN}=$(openssl rand -hex 16)"
                ))
            })?;
            let driver = LocustDriver::new(wish.listen, token, Duration::from_secs(wish.wait.into()));
            Session::driving(project, environment, pace.quick, Arc::new(driver))?
        }
    };
    look(session, VecDeque::from([Command::Ramp(step)]), output).await
}

async fn look(mut session: Session, commands: VecDeque<Command>, output: Output) -> Result<u8, Trouble> {
    let mut signals = Signals::take()?;
    perform(&mut session, commands, &mut *printer(output), &mut signals, Goal::Look).await
}

/// The printer that the command line asks for.
pub fn printer(output: Output) -> Box<dyn Printer> {
    if output.json { Box::new(Json::default()) } else { Box::new(Lines::default()) }
}

/// What a row of commands is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Each proves something; the first that does not is the last.
    Prove,
    /// All are looked at; the code is that of the worst.
    Look,
}

/// Sends the commands one by one and ends the run.
pub async fn perform(
    session: &mut Session,
    mut waiting: VecDeque<Command>,
    printer: &mut dyn Printer,
    signals: &mut Signals,
    goal: Goal,
) -> Result<u8, Trouble> {
    let (sender, receiver) = mpsc::channel(8);
    let (feed, mut fed) = mpsc::channel(1024);
    let mut tally = Tally::knowing(session.steps.clone(), session.progress().clone());
    let face = async move {
        let mut interrupted = None;
        let (mut code, mut worst) = (exit::PROVEN, None);
        let mut states: Vec<(StepId, StepState)> = Vec::new();
        let Some(first) = waiting.pop_front() else { return Ok(code) };
        let mut sender = Some(sender);
        let mut gate = gate_of(&first);
        send(&mut sender, first).await;
        loop {
            tokio::select! {
                biased;
                signal = signals.next(), if sender.is_some() => {
                    interrupted = Some(signal);
                    send(&mut sender, Command::Stop).await;
                    sender = None;
                }
                seen = fed.recv() => match seen {
                    Some(Feed::Event(event)) => {
                        tally.see(&event);
                        // To the end, whoever still reads: the code is that of the verdict.
                        printer.print(&event, &mut stdout())?;
                    }
                    Some(Feed::States(now)) => states = now,
                    Some(Feed::Busy(true)) => {}
                    Some(Feed::Busy(false)) => {
                        let locked = gate.is_some_and(|step| states.contains(&(step, StepState::Locked)));
                        let said = match goal {
                            _ if tally.refused() && locked => Some(exit::INCONCLUSIVE),
                            // The settings were well when this began.
                            _ if tally.refused() => Some(exit::USAGE),
                            Goal::Prove => Some(tally.proving()),
                            Goal::Look => tally.looking(),
                        };
                        tally.next_job();
                        worst = exit::worse(worst, said);
                        code = interrupted.or(worst).unwrap_or(exit::INCONCLUSIVE);
                        let goes_on = interrupted.is_none() && (goal == Goal::Look || code == exit::PROVEN);
                        match waiting.pop_front().filter(|_| goes_on) {
                            Some(next) => {
                                gate = gate_of(&next);
                                send(&mut sender, next).await;
                            }
                            None => sender = None,
                        }
                    }
                    None => return Ok::<u8, Trouble>(code),
                },
            }
        }
    };
    let (pumped, code) = tokio::join!(session.pump(receiver, feed), face);
    pumped?;
    let code = code?;
    session.finish(code)?;
    Ok(code)
}

/// The step that must be open for this command.
fn gate_of(command: &Command) -> Option<StepId> {
    match command {
        Command::Run(step) | Command::Ramp(step) => Some(*step),
        _ => None,
    }
}

async fn send(sender: &mut Option<mpsc::Sender<Command>>, command: Command) {
    if let Some(open) = sender
        && open.send(command).await.is_err()
    {
        // The pump has ended with an error of its own, which is what will be reported.
        *sender = None;
    }
}

fn eprintln_line(text: &str) -> Result<(), Trouble> {
    use std::io::Write;
    Ok(writeln!(stderr(), "{text}")?)
}
