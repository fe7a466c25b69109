//! `rampup lab bench`: breaks the fixed practice stack in one way after the other and looks whether the checks see it, and
//! whether they leave healthy variants alone. The whole product against stacks that are known to be wrong.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Instant;

use anyhow::anyhow;
use serde::{Deserialize, Serialize};
use tokio::process::Child;

use crate::cli::LabBench;
use crate::config::Environment;
use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::command::{Command, Waiver};
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::{STEPS, StepId};
use crate::domain::step::Level;
use crate::domain::verdict::{RampOutcome, TAINTED_LIMIT};
use crate::headless::{Printer, exit, stdout};
use crate::lab::{Fault, Lab, Progress};

use super::climb::begin_afresh;
use super::drive::{Goal, perform};
use super::practice::{Promise, narrator, write_project};
use super::session::{Session, Trouble};
use super::signals::Signals;

/// A fault, and what the checks of its step made of it.
#[derive(Debug, Serialize, Deserialize)]
struct Caught {
    id: String,
    step: u8,
    expected: Vec<String>,
    failed: Vec<String>,
    /// Every check that is meant for it failed.
    caught: bool,
    seconds: f64,
}

/// A healthy variant, and which checks were wrong about it.
#[derive(Debug, Serialize, Deserialize)]
struct Spared {
    id: String,
    alarms: Vec<String>,
    seconds: f64,
}

/// The whole matrix.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Matrix {
    faults: Vec<Caught>,
    healthy: Vec<Spared>,
    missed: usize,
    false_alarms: usize,
}

/// Ramps for one row, at most, until the generator was well.
const TRIES: u32 = 3;
/// What a ramp is called where checks are named.
const RAMP: &str = "ramp";

/// Keeps what the checks and the ramps answered and shows nothing.
#[derive(Default)]
struct Answers {
    checks: Vec<Evidence>,
    /// What kept ramps from passing.
    ramps: Vec<String>,
    /// The generator was unwell, as on a machine that does other things: such a ramp says nothing of the stack.
    unwell: bool,
}

impl Printer for Answers {
    fn print(&mut self, event: &Event, _out: &mut dyn Write) -> io::Result<()> {
        match &event.kind {
            EventKind::CheckFinished { evidence } => self.checks.push(evidence.clone()),
            EventKind::RampFinished { verdict, .. } => {
                self.unwell |= verdict.tainted > TAINTED_LIMIT;
                if matches!(verdict.outcome, RampOutcome::Fail | RampOutcome::Aborted | RampOutcome::Invalid) {
                    self.ramps.push(verdict.sentence.clone());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Tries every fault and every healthy variant of these steps. The code is 0 when none was missed and nothing was alarmed.
pub async fn bench(
    lab: &mut Lab,
    environment: &Environment,
    wish: &LabBench,
    signals: &mut Signals,
) -> Result<u8, Trouble> {
    let narrate = narrator();
    let broken = |why: crate::lab::LabError| Trouble::Broken(why.into());
    let steps = wish.steps.map_or(1..=STEPS, |range| range.from.number()..=range.to.number());
    let wanted = |fault: &Fault| steps.contains(&fault.step) && (wish.only.is_empty() || wish.only.contains(&fault.id));
    let faults: Vec<Fault> = lab.faults().map_err(broken)?.into_iter().filter(wanted).collect();
    let missing = wish.only.iter().find(|id| faults.iter().all(|fault| &fault.id != *id));
    if let Some(id) = missing {
        return Err(Trouble::usage(anyhow!("there is no fault {id:?} of these steps; `rampup lab faults` lists them")));
    }
    if faults.is_empty() {
        return Err(Trouble::usage(anyhow!(
            "these steps have no faults yet; `rampup lab faults` lists those that there are"
        )));
    }
    let project = lab.project_dir().join("bench");
    begin_afresh(&project)?;
    lab.broken_by(BTreeSet::new(), &narrate).await.map_err(broken)?;
    lab.climbed(STEPS, &narrate).await.map_err(broken)?;

    let mut matrix = Matrix::default();
    // What needs no load comes first: it is quick, and most of it.
    let (quiet, loud): (Vec<Fault>, Vec<Fault>) = faults.iter().cloned().partition(|fault| !fault.load);
    let mut ours = [quiet, loud].concat();
    let mut second = None;
    if let Some(folder) = &wish.beside {
        let halves = ours.into_iter().enumerate().partition::<Vec<_>, _>(|(at, _)| at % 2 == 0);
        let [mine, theirs] = [halves.0, halves.1].map(|half| half.into_iter().map(|(_, fault)| fault).collect());
        ours = mine;
        second = Some(beside(folder, wish, &theirs)?);
    }
    let mut cut_off = None;
    if wish.only.is_empty() {
        cut_off = fixed(lab, environment, &project, &steps, &mut matrix, signals).await?;
    }
    if cut_off.is_none() {
        cut_off = rows(lab, environment, &project, (&steps, &ours), &mut matrix, signals).await?;
    }
    if let Some(second) = second {
        matrix.join(second.wait_with_output().await?)?;
    }
    matrix.sort(&faults);
    if cut_off.is_none() {
        lab.broken_by(BTreeSet::new(), &narrate).await.map_err(broken)?;
    }
    matrix.missed = matrix.faults.iter().filter(|fault| !fault.caught).count();
    matrix.false_alarms = matrix.healthy.iter().map(|variant| variant.alarms.len()).sum();
    let mut out = stdout();
    if wish.output.json {
        writeln!(out, "{}", serde_json::to_string(&matrix).map_err(|e| Trouble::Broken(e.into()))?)?;
    } else {
        matrix.print(&mut out)?;
    }
    if cut_off.is_some() {
        let seen = matrix.faults.len() + matrix.healthy.len();
        narrate.say(format!("cut off after {seen} rows; {} were asked for", faults.len()));
    }
    let judged = if matrix.missed + matrix.false_alarms == 0 { exit::PROVEN } else { exit::FAILED };
    Ok(cut_off.unwrap_or(judged))
}

/// Starts the same bench with these rows on another stack.
fn beside(folder: &Path, wish: &LabBench, faults: &[Fault]) -> Result<Child, Trouble> {
    let mut bench = tokio::process::Command::new(std::env::current_exe()?);
    bench.args(["lab", "bench", "--yes", "--json", "--lab"]).arg(folder);
    bench.args(wish.steps.map(|range| format!("{}-{}", range.from, range.to)));
    for fault in faults {
        bench.args(["--only", &fault.id]);
    }
    Ok(bench.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?)
}

/// What the fixed stack makes of the checks of these steps.
async fn fixed(
    lab: &Lab,
    environment: &Environment,
    project: &Path,
    steps: &RangeInclusive<u8>,
    matrix: &mut Matrix,
    signals: &mut Signals,
) -> Result<Option<u8>, Trouble> {
    let began = Instant::now();
    match answers(lab, environment, project, steps, None, signals).await? {
        // Step 7 only looks at ramps: without one there is nothing to be alarmed about.
        Ok(seen) if seen.checks.is_empty() => narrator().say("no check of these steps looks without load"),
        Ok(seen) => matrix.spare("the fixed stack", &seen, &[], began),
        Err(code) => return Ok(Some(code)),
    }
    Ok(None)
}

/// Fills the matrix row by row; the code of the signal that cut it off, if one did: what was seen until then is kept.
async fn rows(
    lab: &mut Lab,
    environment: &Environment,
    project: &Path,
    (steps, faults): (&RangeInclusive<u8>, &[Fault]),
    matrix: &mut Matrix,
    signals: &mut Signals,
) -> Result<Option<u8>, Trouble> {
    let narrate = narrator();
    let broken = |why: crate::lab::LabError| Trouble::Broken(why.into());
    for fault in faults {
        let began = Instant::now();
        if fault.twice {
            lab.broken_by(BTreeSet::new(), &narrate).await.map_err(broken)?;
            if let Err(code) = well(lab, environment, project, fault, &(fault.step..=fault.step), signals).await? {
                return Ok(Some(code));
            }
        }
        if let Err(why) = lab.broken_by(BTreeSet::from([fault.id.clone()]), &narrate).await {
            // It cannot even be tried: that is no catch, and the others still can.
            narrate.say(format!("WRONG: {} does not come up: {why}", fault.id));
            matrix.untried(fault, began);
            continue;
        }
        let began = Instant::now();
        let asked = if fault.healthy && !fault.alone { steps.clone() } else { fault.step..=fault.step };
        let seen = match well(lab, environment, project, fault, &asked, signals).await? {
            Ok(seen) => seen,
            Err(code) => return Ok(Some(code)),
        };
        if fault.healthy {
            matrix.spare(&fault.id, &seen, &fault.may, began);
        } else {
            matrix.catch(fault, &seen, began);
        }
        matrix.say_last(fault, &seen, &narrate);
    }
    Ok(None)
}

/// What the checks of these steps answer now, or the code of the signal that ended it. The loaded step is run whole.
async fn answers(
    lab: &Lab,
    environment: &Environment,
    project: &Path,
    steps: &RangeInclusive<u8>,
    loaded: Option<u8>,
    signals: &mut Signals,
) -> Result<Result<Answers, u8>, Trouble> {
    // Whether the checks see it is the question, not whether this machine is fast.
    write_project(lab, project, if loaded.is_some() { Promise::Loose } else { Promise::Usual })?;
    let mut session = Session::open(project, environment, true)?;
    let mut commands = VecDeque::new();
    for step in StepId::all().filter(|step| steps.contains(&step.number())) {
        commands.extend(StepId::all().filter(|below| *below < step).map(|below| Command::Waive(past(below))));
        let whole = loaded == Some(step.number());
        commands.push_back(if whole { Command::Run(step) } else { Command::Verify(step) });
    }
    let mut seen = Answers::default();
    match perform(&mut session, commands, &mut seen, signals, Goal::Look).await? {
        code @ (exit::INTERRUPTED | exit::TERMINATED) => Ok(Err(code)),
        _ => Ok(Ok(seen)),
    }
}

/// The same for a row of the bench, asked again while the generator was unwell.
async fn well(
    lab: &Lab,
    environment: &Environment,
    project: &Path,
    fault: &Fault,
    steps: &RangeInclusive<u8>,
    signals: &mut Signals,
) -> Result<Result<Answers, u8>, Trouble> {
    let loaded = fault.load.then_some(fault.step);
    for _ in 1..TRIES {
        match answers(lab, environment, project, steps, loaded, signals).await? {
            Ok(seen) if seen.unwell => narrator().say(format!("{}: the generator was unwell; once more", fault.id)),
            settled => return Ok(settled),
        }
    }
    answers(lab, environment, project, steps, loaded, signals).await
}

/// A step can only be run when those before it are done; here they are beside the point.
fn past(step: StepId) -> Waiver {
    Waiver {
        step,
        check: None,
        reason: "the fault bench tries a later step".to_owned(),
        owner: "rampup lab bench".to_owned(),
        until: jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date(),
    }
}

impl Matrix {
    /// Takes in the rows that another bench printed.
    fn join(&mut self, done: Output) -> Result<(), Trouble> {
        let text = String::from_utf8_lossy(&done.stdout);
        let rows = text.lines().last().and_then(|line| serde_json::from_str::<Matrix>(line).ok());
        let rows = rows.ok_or_else(|| Trouble::Broken(anyhow!("the second stack's bench ended without a matrix")))?;
        self.faults.extend(rows.faults);
        self.healthy.extend(rows.healthy);
        Ok(())
    }

    /// Puts the rows into the order in which they are listed.
    fn sort(&mut self, faults: &[Fault]) {
        let place = |id: &str| faults.iter().position(|fault| fault.id == id);
        self.faults.sort_by_key(|row| place(&row.id));
        self.healthy.sort_by_key(|row| place(&row.id));
    }

    fn catch(&mut self, fault: &Fault, seen: &Answers, began: Instant) {
        let named = |is: fn(&Evidence) -> bool| seen.checks.iter().filter(move |e| is(e)).map(|e| e.check.to_string());
        let blinded: Vec<String> = named(|e| matches!(e.outcome, CheckOutcome::Unknown(_))).collect();
        let blinded = fault.unknown.iter().filter(|check| blinded.contains(check)).cloned();
        let ramp = (!seen.ramps.is_empty() && !seen.unwell).then(|| RAMP.to_owned());
        let failed: Vec<String> = named(failed).chain(ramp).chain(blinded).collect();
        let expected = [fault.expected.as_slice(), &fault.unknown].concat();
        let caught = expected.iter().all(|check| failed.contains(check));
        let (id, step) = (fault.id.clone(), fault.step);
        self.faults.push(Caught { id, step, expected, failed, caught, seconds: began.elapsed().as_secs_f64() });
    }

    fn spare(&mut self, id: &str, seen: &Answers, may: &[String], began: Instant) {
        let wrong = |e: &&Evidence| {
            let refused = e.level == Level::Required && !e.outcome.opens();
            (failed(e) || refused) && !may.contains(&e.check.to_string())
        };
        let mut alarms: Vec<String> = seen.checks.iter().filter(wrong).map(|e| e.check.to_string()).collect();
        if seen.checks.is_empty() {
            alarms.push("no check answered".to_owned());
        }
        if !seen.ramps.is_empty() {
            alarms.push(RAMP.to_owned());
        }
        self.healthy.push(Spared { id: id.to_owned(), alarms, seconds: began.elapsed().as_secs_f64() });
    }

    fn untried(&mut self, fault: &Fault, began: Instant) {
        if fault.healthy {
            self.spare(&fault.id, &Answers::default(), &[], began);
        } else {
            self.catch(fault, &Answers::default(), began);
        }
    }

    /// One line as it goes; what a check that missed or alarmed has seen.
    fn say_last(&self, fault: &Fault, seen: &Answers, narrate: &Progress) {
        let (well, named) = if fault.healthy {
            let last = self.healthy.last();
            (last.is_some_and(|v| v.alarms.is_empty()), last.map_or(&[][..], |v| &v.alarms))
        } else {
            let last = self.faults.last();
            (last.is_some_and(|f| f.caught), last.map_or(&[][..], |f| &f.expected))
        };
        narrate.say(format!("{} {}", if well { "as it should be:" } else { "WRONG:" }, fault.id));
        for evidence in seen.checks.iter().filter(|e| !well && named.contains(&e.check.to_string())) {
            let (check, word) = (&evidence.check, evidence.outcome.word());
            narrate.say(format!("  {check} {word}: {}", evidence.outcome.seen()));
        }
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\nstep  fault                              seen by (* as meant)")?;
        for fault in &self.faults {
            let mark = |check: &String| format!("{check}{}", if fault.expected.contains(check) { "*" } else { "" });
            let seen: Vec<String> = fault.failed.iter().map(mark).collect();
            let missed: Vec<&str> =
                fault.expected.iter().filter(|check| !fault.failed.contains(check)).map(String::as_str).collect();
            let missed = if missed.is_empty() { String::new() } else { format!("  MISSED by {}", missed.join(", ")) };
            writeln!(out, "{:>4}  {:<33}  {}{missed}", fault.step, fault.id, seen.join(", "))?;
        }
        writeln!(out, "\nhealthy variant                          alarms")?;
        for variant in &self.healthy {
            let alarms = if variant.alarms.is_empty() { "none".to_owned() } else { variant.alarms.join(", ") };
            writeln!(out, "{:<39}  {alarms}", variant.id)?;
        }
        let (faults, healthy) = (self.faults.len(), self.healthy.len());
        writeln!(
            out,
            "\n{faults} faults, {} missed; {healthy} healthy stacks, {} false alarms",
            self.missed, self.false_alarms
        )
    }
}

fn failed(evidence: &Evidence) -> bool {
    matches!(evidence.outcome, CheckOutcome::Fail(_))
}
