//! `rampup lab climb`: for each step, run it as it is (it must be held), apply its remedy, run it again (it must be
//! proven). The whole product against a stack that is known to be broken, one fault after the other.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::cli::LabClimb;
use crate::config::Environment;
use crate::domain::command::Command;
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::headless::{Printer, exit, stdout};
use crate::lab::{Lab, Progress};

use super::drive::{Goal, perform, printer};
use super::practice::{Promise, write_project};
use super::session::{Session, Trouble};
use super::signals::Signals;

/// One step of the climb, before and after its remedy.
#[derive(Debug, Serialize)]
struct Row {
    step: StepId,
    before: Option<StepState>,
    held_by: Vec<String>,
    after: Option<StepState>,
    users: Option<u32>,
    p95_ms: Option<f64>,
    p95_low_ms: Option<f64>,
    p95_high_ms: Option<f64>,
    error_rate: Option<f64>,
    error_rate_high: Option<f64>,
    requests: u64,
    seconds: f64,
    attempts: u8,
    quick: bool,
}

/// How often a step is run after its remedy when a run shows nothing either way (too little data, a generator short
/// of breath on a busy machine). A full run that fails is not repeated; the row says how many it took.
const ATTEMPTS: u8 = 3;

/// What one run of a step came to.
#[derive(Debug, Default)]
struct Judged {
    attempt: u8,
    verdict: Option<EventKind>,
}

/// Shows events and keeps the judgement.
struct Watching<'a> {
    printer: &'a mut dyn Printer,
    judged: Judged,
}

impl Printer for Watching<'_> {
    fn print(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()> {
        if matches!(event.kind, EventKind::StepJudged { .. }) {
            self.judged.verdict = Some(event.kind.clone());
        }
        self.printer.print(event, out)
    }
}

/// Climbs from naive to the last step asked for. The code is 0 when every step was held before and proven after.
pub async fn climb(
    lab: &mut Lab,
    environment: &Environment,
    wish: &LabClimb,
    signals: &mut Signals,
) -> Result<u8, Trouble> {
    let narrate = Progress::new(|line| {
        let _ = writeln!(io::stderr(), "  {line}");
    });
    let broken = |why: crate::lab::LabError| Trouble::Broken(why.into());
    let project = lab.project_dir().join("climb");
    begin_afresh(&project)?;
    lab.broken_by(std::collections::BTreeSet::new(), &narrate).await.map_err(broken)?;
    lab.climbed(0, &narrate).await.map_err(broken)?;
    let promise = if wish.pace.quick { Promise::Loose } else { Promise::Usual };
    let mut rows = Vec::new();
    let mut code = exit::PROVEN;
    for step in StepId::all().filter(|step| wish.until.is_none_or(|until| *step <= until)) {
        let mut runs = Vec::new();
        for fixed in [false, true] {
            if fixed {
                for line in lab.fix(step.number(), &narrate).await.map_err(broken)? {
                    narrate.say(line);
                }
            }
            write_project(lab, &project, promise)?;
            let mut judged = Judged::default();
            for attempt in 1..=if fixed { ATTEMPTS } else { 1 } {
                let mut session = Session::open(&project, environment, wish.pace.quick)?;
                let mut shown = printer(wish.output);
                let mut watching = Watching { printer: &mut *shown, judged: Judged { attempt, verdict: None } };
                let command = VecDeque::from([Command::Run(step)]);
                let ended = perform(&mut session, command, &mut watching, signals, Goal::Prove).await?;
                judged = watching.judged;
                match ended {
                    exit::INTERRUPTED | exit::TERMINATED => return Ok(ended),
                    exit::PROVEN => break,
                    _ if !fixed => break,
                    exit::INCONCLUSIVE | exit::INVALID => narrate.say("nothing was shown either way"),
                    _ if wish.pace.quick => {
                        narrate.say("once more: a practice measurement, on a machine that may be busy")
                    }
                    _ => break,
                }
            }
            runs.push(judged);
        }
        let row = row(step, &runs, wish.pace.quick);
        let as_expected = row.before == Some(StepState::Held) && row.after == Some(StepState::Proven);
        rows.push(row);
        if !as_expected {
            code = exit::FAILED;
            break;
        }
    }
    report(&rows, wish.output.json)?;
    Ok(code)
}

/// A climb starts without anything proven; the climb before it is kept beside it until the next.
pub(super) fn begin_afresh(project: &Path) -> Result<(), Trouble> {
    let last = project.with_extension("last");
    if project.exists() {
        if last.exists() {
            std::fs::remove_dir_all(&last)?;
        }
        std::fs::rename(project, &last)?;
    }
    Ok(())
}

fn row(step: StepId, runs: &[Judged], quick: bool) -> Row {
    let state = |judged: &Judged| match &judged.verdict {
        Some(EventKind::StepJudged { state, .. }) => Some(*state),
        _ => None,
    };
    let mut row = Row {
        step,
        before: runs.first().and_then(state),
        held_by: Vec::new(),
        after: runs.get(1).and_then(state),
        users: None,
        p95_ms: None,
        p95_low_ms: None,
        p95_high_ms: None,
        error_rate: None,
        error_rate_high: None,
        requests: 0,
        seconds: 0.0,
        attempts: runs.get(1).map_or(0, |judged| judged.attempt),
        quick,
    };
    let verdict = |index: usize| runs.get(index).and_then(|judged| judged.verdict.as_ref());
    if let Some(EventKind::StepJudged { held_by, sentence, .. }) = verdict(0) {
        row.held_by = if held_by.is_empty() { vec![sentence.clone()] } else { held_by.clone() };
    }
    if let Some(EventKind::StepJudged { users, p95_ms, error_percent, requests, seconds, .. }) = verdict(1) {
        row.users = *users;
        [row.p95_ms, row.p95_low_ms, row.p95_high_ms] = p95_ms.map_or([None; 3], |p| p.map(Some));
        row.error_rate = error_percent.map(|e| e[0] / 100.0);
        row.error_rate_high = error_percent.map(|e| e[2] / 100.0);
        row.requests = *requests;
        row.seconds = *seconds;
    }
    row
}

fn report(rows: &[Row], json: bool) -> Result<(), Trouble> {
    let mut out = stdout();
    if json {
        writeln!(out, "{}", serde_json::json!({ "steps": rows }))?;
        return Ok(());
    }
    writeln!(out, "\nstep  before     after      users  p95 ms (low to high)     errors %  requests  seconds")?;
    for row in rows {
        let word = |state: Option<StepState>| state.map_or("-", StepState::word);
        let ms = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |v| format!("{v:.0}"));
        writeln!(
            out,
            "{:>4}  {:<9}  {:<9}  {:>5}  {:>5} ({} to {})  {:>12}  {:>8}  {:>7.0}{}",
            row.step.number(),
            word(row.before),
            word(row.after),
            row.users.unwrap_or(0),
            ms(row.p95_ms),
            ms(row.p95_low_ms),
            ms(row.p95_high_ms),
            row.error_rate.map_or_else(|| "-".to_owned(), |e| format!("{:.2}", e * 100.0)),
            row.requests,
            row.seconds,
            if row.quick { "  quick" } else { "" },
        )?;
        for held in &row.held_by {
            writeln!(out, "      held by {}", crate::domain::text::tame(held, 110))?;
        }
    }
    Ok(())
}
