//! Goose writes to the `log` facade, and to the terminal when nobody listens there. Here somebody listens, and keeps
//! the little that a person may need: warnings and errors, on the run's own stderr when it is no terminal.

use std::io::{self, IsTerminal, Write};

use log::{LevelFilter, Log, Metadata, Record};

use crate::domain::text::tame;

struct Quiet {
    /// A terminal may be drawn upon at this moment; then nothing is written.
    silent: bool,
}

impl Log for Quiet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Goose warns once for every failed request; the recorder counts those.
        !self.silent && metadata.level() <= log::Level::Error
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let _ = writeln!(io::stderr(), "{}: {}", record.target(), tame(&record.args().to_string(), 400));
        }
    }

    fn flush(&self) {}
}

/// Takes the facade before goose can.
pub fn take() {
    // Somebody else has it already only in a process that is not ours alone; then it is theirs.
    if log::set_boxed_logger(Box::new(Quiet { silent: io::stderr().is_terminal() })).is_ok() {
        log::set_max_level(LevelFilter::Error);
    }
}
