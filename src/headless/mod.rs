//! The face for scripts and CI: the same events as the terminal interface, as plain lines or as JSON, and an exit code.

pub mod doctor;
pub mod exit;
mod json;
mod lines;
mod patient;
pub mod status;

pub use exit::Tally;
pub use json::{Json, schema};
pub use lines::Lines;
pub use patient::{Patient, stderr, stdout};

use std::io::{self, Write};

use crate::domain::event::Event;

/// Prints events one by one.
pub trait Printer: Send {
    /// Shows one event.
    ///
    /// # Errors
    /// When the output cannot be written.
    fn print(&mut self, event: &Event, out: &mut dyn Write) -> io::Result<()>;
}
