//! One event a line, exactly as the run log keeps it.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::Printer;
use crate::domain::event::{Event, EventKind};
use crate::domain::ids::{RunId, StepId, TaskId};
use crate::domain::measurement::ErrorKinds;
use crate::domain::verdict::Verdict;

/// Prints every event as a JSON object on a line of its own; droppable ones too when asked.
#[derive(Debug, Default)]
pub struct Json {
    /// Print the once-a-second figures as well.
    pub pulses: bool,
}

/// A ramp's end without its buckets and series, as it is printed; the log holds them.
#[derive(Debug, Serialize, JsonSchema)]
struct Ramped<'a> {
    /// Schema of this line.
    v: u32,
    /// Number within the run.
    seq: u64,
    /// When.
    at: jiff::Timestamp,
    /// Which run.
    run: &'a RunId,
    /// What.
    event: Finished,
    /// The ramp.
    task: TaskId,
    /// For this step.
    step: StepId,
    /// What it means.
    verdict: &'a Verdict,
    /// Users held.
    users: u32,
    /// Requests of the hold.
    requests: u64,
    /// Failed ones by kind.
    errors: &'a ErrorKinds,
    /// Answers that the edge made instead of the app.
    blocked: u64,
}

/// The only event with a printed form of its own.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Finished {
    RampFinished,
}

/// A line of a log, or one that is printed.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(title = "A line of events")]
#[expect(dead_code, reason = "only its schema is asked for")]
enum Line<'a> {
    /// As the run's log keeps it; there with its digest as `chain`.
    Event(Box<Event>),
    /// As `--json` prints the end of a ramp.
    Ramped(Ramped<'a>),
}

/// The JSON Schema (2020-12) of the lines, indented, with a line break at its end.
#[must_use]
pub fn schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Line<'static>).as_value())
}

impl Printer for Json {
    fn print(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()> {
        if event.kind.is_droppable() && !self.pulses {
            return Ok(());
        }
        let line = match &event.kind {
            // The sample itself stays in the run log: a line for people and pipes needs the verdict, not each bucket.
            EventKind::RampFinished { task, step, verdict, measurement, .. } => serde_json::to_string(&Ramped {
                v: event.v,
                seq: event.seq,
                at: event.at,
                run: &event.run,
                event: Finished::RampFinished,
                task: *task,
                step: *step,
                verdict,
                users: measurement.users,
                requests: measurement.requests,
                errors: &measurement.errors,
                blocked: measurement.blocked,
            }),
            _ => serde_json::to_string(event),
        }
        .map_err(io::Error::other)?;
        writeln!(out, "{line}")?;
        out.flush()
    }
}
