//! One event a line, exactly as the run log keeps it.

use std::io::{self, Write};

use super::Printer;
use crate::domain::event::{Event, EventKind};

/// Prints every event as a JSON object on a line of its own; droppable ones too when asked.
#[derive(Debug, Default)]
pub struct Json {
    /// Print the once-a-second figures as well.
    pub pulses: bool,
}

impl Printer for Json {
    fn print(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()> {
        if event.kind.is_droppable() && !self.pulses {
            return Ok(());
        }
        let line = match &event.kind {
            // The sample itself stays in the run log: a line for people and pipes needs the verdict, not each bucket.
            EventKind::RampFinished { task, step, verdict, measurement, .. } => serde_json::json!({
                "v": event.v, "seq": event.seq, "at": event.at, "run": event.run, "event": "ramp_finished",
                "task": task, "step": step, "verdict": verdict,
                "users": measurement.users, "requests": measurement.requests, "errors": measurement.errors,
                "blocked": measurement.blocked,
            })
            .to_string(),
            _ => serde_json::to_string(event).map_err(io::Error::other)?,
        };
        writeln!(out, "{line}")?;
        out.flush()
    }
}
