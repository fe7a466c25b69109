//! The climb in plain lines: append-only, numbered choices, nothing is drawn over. For screen readers, dumb terminals and
//! whoever prefers it. Does what the screen does, through the same session.

use std::collections::VecDeque;
use std::io::{self, BufRead, Write};

use jiff::ToSpan;
use tokio::sync::mpsc;

use super::drive::{Goal, perform};
use super::session::{Session, Trouble};
use super::signals::Signals;
use crate::cli::Cli;
use crate::config::Environment;
use crate::domain::command::{Command, Waiver};
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::domain::text::tame;
use crate::domain::units::show_duration;
use crate::headless::{Lines, exit, status};

/// Longest line taken from a person.
const WIDTH: usize = 300;

/// What can be chosen, in its order.
const CHOICES: [&str; 6] = [
    "run it whole: checks, ramp, verdict",
    "run its checks only, no load",
    "read its playbook",
    "waive it, with a reason and a last day",
    "choose another step",
    "leave",
];

/// Shows where the climb stands and asks what to do, until a person or a signal ends it.
pub async fn open(cli: &Cli, environment: &Environment) -> Result<u8, Trouble> {
    let mut talk = Talk { signals: Signals::take()?, typed: typed() };
    let mut chosen = None;
    loop {
        let standing = super::standing(&cli.project, environment)?;
        let mut out = io::stdout();
        status::lines(
            &standing.site,
            &standing.steps,
            &standing.states,
            &standing.progress,
            &standing.outdated,
            &mut out,
        )?;
        let next = standing.states.iter().find(|(_, state)| !state.is_done()).map(|(id, _)| *id);
        let step = chosen.or(next).unwrap_or(StepId::FIRST);
        let state = standing.states.iter().find(|(id, _)| *id == step).map_or(StepState::Open, |(_, state)| *state);
        let title = standing.steps.get(step.index()).map_or("", |step| step.title.as_str());
        writeln!(out, "\nStep {step}, {title}, is {}.", state.word())?;
        for (number, words) in (1..).zip(CHOICES) {
            writeln!(out, "  {number}  {words}")?;
        }
        let answer = match talk.ask(&format!("Choose 1 to {}: ", CHOICES.len())).await? {
            Said::Line(answer) => answer,
            Said::Over(code) => return Ok(code),
        };
        let done = match answer.as_str() {
            "1" => run(cli, environment, &mut talk, step).await?,
            "2" => act(cli, environment, &mut talk, Command::Verify(step)).await?,
            "3" => {
                let guide = standing.steps.get(step.index()).map_or("", |step| step.guide.as_str());
                writeln!(out, "\n{guide}")?;
                None
            }
            "4" => waive(cli, environment, &mut talk, step).await?,
            "5" => match talk.ask("Which step, 1 to 10? ").await? {
                Said::Line(number) => {
                    match number.parse().ok().and_then(|number| StepId::new(number).ok()) {
                        Some(step) => chosen = Some(step),
                        None => writeln!(out, "There is no step {number:?}.")?,
                    }
                    None
                }
                Said::Over(code) => Some(code),
            },
            "6" | "q" => Some(exit::PROVEN),
            other => {
                writeln!(out, "{other:?} is none of the choices.")?;
                None
            }
        };
        if let Some(code) = done {
            return Ok(code);
        }
        writeln!(out)?;
    }
}

/// Load goes out only after its target was read and typed for.
async fn run(cli: &Cli, environment: &Environment, talk: &mut Talk, step: StepId) -> Result<Option<u8>, Trouble> {
    let session = Session::open(&cli.project, environment, false)?;
    let mut out = io::stdout();
    if let Some((plan, claim)) = session.plans().get(&step) {
        let takes = show_duration(claim.takes);
        writeln!(out, "This sends load to {}: {} users, about {takes}.", session.settings.site.url, plan.users)?;
    }
    // Whoever thinks about it holds nobody else up.
    drop(session);
    match talk.ask("Type yes to begin: ").await? {
        Said::Line(word) if word == "yes" => act(cli, environment, talk, Command::Run(step)).await,
        Said::Line(_) => {
            writeln!(out, "Nothing was sent.")?;
            Ok(None)
        }
        Said::Over(code) => Ok(Some(code)),
    }
}

/// Does it and prints it as it happens; a code only when a signal ended it.
async fn act(cli: &Cli, environment: &Environment, talk: &mut Talk, wish: Command) -> Result<Option<u8>, Trouble> {
    let mut session = Session::open(&cli.project, environment, false)?;
    let wishes = VecDeque::from([wish]);
    let code = perform(&mut session, wishes, &mut Lines::default(), &mut talk.signals, Goal::Look).await?;
    Ok(Some(code).filter(|code| *code > 128))
}

async fn waive(cli: &Cli, environment: &Environment, talk: &mut Talk, step: StepId) -> Result<Option<u8>, Trouble> {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = today.checked_add(Waiver::USUAL_DAYS.days()).unwrap_or(today);
    let user = environment.user().unwrap_or_default();
    let mut written = Vec::new();
    for (question, usual) in [
        ("Why is it acceptable? ".to_owned(), String::new()),
        (format!("Who answers for it? [{user}] "), user.to_owned()),
        (format!("Last day it counts? [{day}] "), day.to_string()),
    ] {
        match talk.ask(&question).await? {
            Said::Line(line) if line.is_empty() => written.push(usual),
            Said::Line(line) => written.push(line),
            Said::Over(code) => return Ok(Some(code)),
        }
    }
    let [reason, owner, until] = written.as_slice() else { return Ok(None) };
    let Ok(until) = until.parse() else {
        writeln!(io::stdout(), "{until:?} is no day; write one like {day}. Nothing was waived.")?;
        return Ok(None);
    };
    let waiver = Waiver { step, check: None, reason: reason.clone(), owner: owner.clone(), until };
    // What is missing is said by whoever judges it, as on the command line.
    super::decide::decide(&cli.project, environment, Command::Waive(waiver)).await?;
    Ok(None)
}

/// What came back.
enum Said {
    Line(String),
    /// Nobody types any more, or a signal came: the exit code.
    Over(u8),
}

struct Talk {
    signals: Signals,
    typed: mpsc::UnboundedReceiver<String>,
}

impl Talk {
    async fn ask(&mut self, question: &str) -> Result<Said, Trouble> {
        let mut out = io::stdout();
        write!(out, "{question}")?;
        out.flush()?;
        let said = tokio::select! {
            biased;
            code = self.signals.next() => Said::Over(code),
            line = self.typed.recv() => line.map_or(Said::Over(exit::PROVEN), |line| Said::Line(tame(line.trim(), WIDTH))),
        };
        if let Said::Over(_) = said {
            writeln!(out)?;
        }
        Ok(said)
    }
}

/// Lines of standard input. A thread of its own: one that waits for a line must not keep the program from ending.
fn typed() -> mpsc::UnboundedReceiver<String> {
    let (sender, typed) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    typed
}
