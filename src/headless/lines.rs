//! Plain lines for people: append-only, ASCII states, no cursor movement.

use std::io::{self, Write};

use super::Printer;
use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::command::Ruling;
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::StepId;
use crate::domain::progress::StepState;
use crate::domain::ramp::{LoadPulse, RampPhase};
use crate::domain::step::Level;
use crate::domain::text::tame;
use crate::domain::units::show_duration;
use crate::domain::verdict::{Objective, ObjectiveOutcome, Verdict};

/// Seconds between two lines of a running ramp.
const HEARTBEAT: u32 = 15;
/// Longest line of text from outside.
const WIDTH: usize = 400;

/// Prints events as sentences.
#[derive(Debug, Default)]
pub struct Lines {
    /// The step that was taken up.
    step: Option<StepId>,
    phase: Option<RampPhase>,
}

impl Printer for Lines {
    fn print(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted { fingerprint, site, target, quick } => {
                let practice = if *quick { "   QUICK: practice measurements" } else { "" };
                let commit = fingerprint.commit.as_deref().and_then(|id| id.get(..7)).map_or(String::new(), |id| {
                    format!("  commit {id}{}", if fingerprint.dirty.is_some() { " with changes" } else { "" })
                });
                writeln!(out, "rampup {}  {site}  {target}{commit}  run {}{practice}", fingerprint.product, event.run)
            }
            EventKind::StepStarted { step, .. } => {
                self.step = Some(*step);
                writeln!(out, "STEP {step}")
            }
            EventKind::CheckStarted { .. } | EventKind::Sample { .. } => Ok(()),
            // What another step is shown broken by was printed when this one asked it; the judgement names it.
            EventKind::CheckFinished { evidence } if self.step.is_some_and(|step| step != evidence.step) => Ok(()),
            EventKind::CheckFinished { evidence } => check(evidence, out),
            EventKind::RampStarted { plan, slo, claim, .. } => {
                self.phase = None;
                writeln!(
                    out,
                    "  RAMP    {} users, think {}, hold {}; takes about {}; SLO p95 < {} ms, errors < {} %",
                    plan.users,
                    plan.think,
                    show_duration(plan.hold),
                    show_duration(claim.takes),
                    slo.p95_ms,
                    slo.error_percent,
                )?;
                let rules_out = claim.error_percent.map_or_else(
                    || "too few requests to rule out any error rate".to_owned(),
                    |e| format!("a clean hold rules out more than {e:.2} % errors"),
                );
                writeln!(out, "          about {} requests; {rules_out}", claim.requests)?;
                match plan.beyond.last() {
                    Some(most) => writeln!(
                        out,
                        "          then rungs up to {most} users in {}, until the promise breaks; they decide nothing",
                        show_duration(plan.exploring()),
                    ),
                    None => Ok(()),
                }
            }
            EventKind::RampPhase { .. } => Ok(()),
            EventKind::Pulse { pulse } => self.pulse(pulse, out),
            EventKind::RampFinished { verdict, .. } => ramp(verdict, out),
            EventKind::RampFailed { why, .. } => writeln!(out, "  RAMP    not driven: {}", tame(why, WIDTH)),
            EventKind::StepJudged { step, state, sentence, .. } => {
                writeln!(out, "{} step {step}. {}", state.word().to_uppercase(), tame(sentence, WIDTH * 2))?;
                match (state, step.next()) {
                    (StepState::Proven, Some(next)) => writeln!(out, "Step {next} is open."),
                    _ => Ok(()),
                }
            }
            EventKind::Waived { waiver } => writeln!(
                out,
                "WAIVED step {} until {} by {}: {}",
                waiver.step,
                waiver.until,
                tame(&waiver.owner, 60),
                tame(&waiver.reason, WIDTH)
            ),
            EventKind::Invalidated { ruling } => ruled("INVALIDATED", ruling, out),
            EventKind::BaselinePinned { ruling } => ruled("BASELINE", ruling, out),
            EventKind::BaselineUnpinned { ruling } => ruled("NO BASELINE", ruling, out),
            EventKind::Note { text } => writeln!(out, "NOTE {}", tame(text, WIDTH * 2)),
            EventKind::RunFinished { exit } => writeln!(out, "exit {exit}"),
        }?;
        out.flush()
    }
}

impl Lines {
    /// One line when a phase begins and every quarter of a minute.
    fn pulse(&mut self, pulse: &LoadPulse, out: &mut dyn Write) -> io::Result<()> {
        if self.phase == Some(pulse.phase) && !pulse.second.is_multiple_of(HEARTBEAT) {
            return Ok(());
        }
        self.phase = Some(pulse.phase);
        let phase = match pulse.phase {
            RampPhase::Climb => "climb",
            RampPhase::Settle => "settle",
            RampPhase::Hold => "hold",
            RampPhase::Beyond => "beyond",
            RampPhase::Drain => "drain",
        };
        let p95 = pulse.p95_ms.map_or_else(|| "-".to_owned(), |p| format!("{p:.0} ms"));
        writeln!(
            out,
            "  {:02}:{:02} {phase:<6} {:>5} users {:>6.0}/s  p95 {p95:>8}  errors {}  in flight {}",
            pulse.second / 60,
            pulse.second % 60,
            pulse.users,
            pulse.rps,
            pulse.total_errors,
            pulse.in_flight,
        )
    }
}

fn ruled(what: &str, ruling: &Ruling, out: &mut dyn Write) -> io::Result<()> {
    let (run, owner) = (tame(ruling.run.as_str(), WIDTH), tame(&ruling.owner, 60));
    writeln!(out, "{what} run {run} by {owner}: {}", tame(&ruling.reason, WIDTH))
}

fn check(evidence: &Evidence, out: &mut dyn Write) -> io::Result<()> {
    let advised = if evidence.level == Level::Advised { " (advised)" } else { "" };
    let word = evidence.outcome.word().to_uppercase();
    let took = f64::from(u32::try_from(evidence.took_ms).unwrap_or(u32::MAX)) / 1000.0;
    writeln!(out, "  {word:<7} {:<30} {}{advised}  {took:.1} s", evidence.check.to_string(), evidence.title)?;
    for (seen, todo) in evidence.outcome.said() {
        writeln!(out, "          seen {}", tame(seen, WIDTH))?;
        writeln!(out, "          do   {}", tame(todo, WIDTH * 2))?;
    }
    match &evidence.outcome {
        CheckOutcome::NotApplicable(why) => writeln!(out, "          because {}", tame(why, WIDTH)),
        _ => Ok(()),
    }
}

fn ramp(verdict: &Verdict, out: &mut dyn Write) -> io::Result<()> {
    for objective in &verdict.objectives {
        writeln!(out, "  {}", line(objective))?;
    }
    if let Some((p95, second)) = verdict.worst_window {
        writeln!(out, "          worst 10 s: p95 {p95:.0} ms from second {second} of the hold")?;
    }
    verdict.notes.iter().try_for_each(|note| writeln!(out, "          note {}", tame(note, WIDTH)))?;
    let diagnosis = &verdict.diagnosis;
    diagnosis.sentences().iter().try_for_each(|said| writeln!(out, "          look {}", tame(said, WIDTH)))?;
    let rungs = diagnosis.knee.as_ref().map_or(&[][..], |knee| &knee.rungs);
    rungs.iter().try_for_each(|rung| {
        let p95 = rung.p95_ms.map_or_else(|| "-".to_owned(), |p| format!("{p:.0} ms"));
        writeln!(
            out,
            "          rung {:>5} users {:>6.0}/s  p95 {p95:>8}  errors {}",
            rung.users, rung.rps, rung.errors
        )
    })
}

/// "PASS p95  143 ms (137 to 150) < 300 ms, n 1150".
fn line(objective: &Objective) -> String {
    let word = match objective.outcome {
        ObjectiveOutcome::Pass => "PASS",
        ObjectiveOutcome::Fail => "FAIL",
        ObjectiveOutcome::Inconclusive => "INCONCLUSIVE",
    };
    let figure = |value: Option<f64>| {
        value.map_or_else(|| "-".to_owned(), |v| format!("{v:.*}", if objective.unit == "ms" { 0 } else { 2 }))
    };
    let more = objective.more_seconds.map_or_else(String::new, |s| format!("; about {s:.0} s more would decide it"));
    format!(
        "{word:<7} {:<30} {} {unit} ({} to {}) against {} {unit}, n {}{more}",
        objective.name,
        figure(objective.value),
        figure(objective.low),
        figure(objective.high),
        objective.limit,
        objective.n,
        unit = objective.unit,
    )
}
