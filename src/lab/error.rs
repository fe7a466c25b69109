//! What can go wrong with the practice stack, and what to do about it. Knows no service.

use std::io;
use std::path::{Path, PathBuf};

/// Every failure of the practice stack: what happened, then what to do.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A file or folder of the lab could not be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// The verb: "read", "write", "create", …
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file of the lab is there but makes no sense.
    #[error("{} is damaged: {why}; {remedy}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A template names something that nobody fills in.
    #[error(
        "{file} has the placeholder {{{{{name}}}}}, which nobody fills in; this is a fault of rampup, please report it"
    )]
    Placeholder {
        /// The template.
        file: String,
        /// The name between the braces.
        name: String,
    },
    /// A template of the practice stack is missing or malformed.
    #[error("the built-in practice stack is incomplete: {0}; this is a fault of rampup, please report it")]
    Assets(String),
    /// A row of faults cannot be used.
    #[error("{0}")]
    Fault(String),
    /// There is no such fault.
    #[error("there is no fault {0:?}; `rampup lab faults` lists them")]
    NoFault(String),
    /// The folder cannot hold a practice stack.
    #[error("{} cannot hold the practice stack: {why}", dir.display())]
    Unfit {
        /// The folder.
        dir: PathBuf,
        /// Why, then what to do.
        why: String,
    },
    /// Programs are missing and rampup may not install them.
    #[error("the practice stack needs {what}, which this machine does not have; run: {command}")]
    Missing {
        /// Names, joined by commas.
        what: String,
        /// One line to copy.
        command: String,
    },
    /// There is no account to drop root's rights to.
    #[error(
        "PostgreSQL and PgBouncer refuse to run as root and there is no account \"nobody\" to run them as; run rampup as an ordinary user"
    )]
    NoAccount,
    /// Another rampup works on the same folder.
    #[error("another rampup is changing the practice stack in {} right now; wait until it is done", dir.display())]
    Busy {
        /// The folder.
        dir: PathBuf,
    },
    /// No block of free ports.
    #[error("found no {wanted} free ports on 127.0.0.1 between {low} and {high}; stop something that listens there")]
    NoPorts {
        /// How many are needed.
        wanted: usize,
        /// First port tried.
        low: u16,
        /// Last port tried.
        high: u16,
    },
    /// A command failed.
    #[error("{what} failed ({status}); it said: {tail}")]
    Command {
        /// What was being done, as a person would say it.
        what: String,
        /// Its exit status, or that it ran too long.
        status: String,
        /// The end of its output, secrets removed.
        tail: String,
    },
    /// A service did not answer in time, or died.
    #[error("{service} {why}; its log {} ends: {tail}", log.display())]
    NotReady {
        /// The service.
        service: &'static str,
        /// "did not answer within 20 s: connection refused" or "exited at once".
        why: String,
        /// Its log file.
        log: PathBuf,
        /// The end of the log, secrets removed.
        tail: String,
    },
    /// A process survived SIGKILL.
    #[error("{service} (process {pid}) does not stop, not even on SIGKILL; look at it with `ps -fp {pid}`")]
    Unstoppable {
        /// The service.
        service: String,
        /// Its process id.
        pid: u32,
    },
    /// A statement of a remedy failed.
    #[error("the database refused {what}: {why}")]
    Database {
        /// What was being done.
        what: String,
        /// What PostgreSQL said.
        why: String,
    },
    /// There is no such remedy.
    #[error("there is no step {0}; steps are 1 to 10")]
    NoStep(u8),
    /// A remedy needs the running stack.
    #[error("the practice stack is not running ({0} does not answer); start it first: rampup lab up")]
    NotRunning(&'static str),
}

/// Shorthand of this layer.
pub type Result<T> = std::result::Result<T, LabError>;

/// Turns an IO error into one that names the file.
pub(crate) fn file<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> LabError + 'a {
    move |source| LabError::File { doing, path: path.to_owned(), source }
}
