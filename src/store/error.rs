//! What can go wrong with files: what happened, then what to do.

use std::io;
use std::path::PathBuf;

use crate::domain::ids::RunId;
use crate::domain::place::Place;

/// A file that could not be written, read, understood or locked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A write failed.
    #[error("cannot write {path}: {source}; check that the folder exists, is yours and has room", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A read failed.
    #[error("cannot read {path}: {source}; check that you may read it", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there already and must not be replaced.
    #[error("{path} exists already; move it away first if you want a new one", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another rampup writes here.
    #[error("another rampup is at work here ({holder}, by {path}); let it finish or end it first", path = path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Process and host that hold it.
        holder: String,
    },
    /// A file holds something it should not.
    #[error("{path}:{place}: {what}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where in it.
        place: Place,
        /// What is wrong, then what to do.
        what: String,
    },
    /// A file of a newer rampup, which may mean more than is known here.
    #[error("{path}: schema {found} is newer than {known}; use the rampup that wrote it", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// No log of that run is here.
    #[error("no log of run {run} is here; logs stay on the machine that made them")]
    NoRun {
        /// The run.
        run: RunId,
    },
    /// An event that does not belong at this point of the log. A fault of the program, never of a file.
    #[error(
        "run {run}: event {found} cannot follow, the log expects {wanted}; this is a fault in rampup, please report it"
    )]
    Sequence {
        /// The log's run.
        run: RunId,
        /// What came.
        found: String,
        /// What should have come.
        wanted: u64,
    },
    /// An event whose line could not be read back. A fault of the program.
    #[error("an event cannot be kept: {what}; this is a fault in rampup, please report it")]
    Unreadable {
        /// What the reader says of the line.
        what: String,
    },
}
