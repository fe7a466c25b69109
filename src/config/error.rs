//! What can be wrong with settings, with file, line and column, then what to do.

use std::fmt;
use std::path::PathBuf;

use crate::domain::ids::StepId;
use crate::domain::place::Place;

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is no `rampup.toml` here or above.
    #[error("there is no rampup.toml in {folder} or above it; write one with `rampup init`", folder = folder.display())]
    Absent {
        /// Where the search began.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {file}: {source}; check its name and that you may read it", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in a file is wrong; all that was found, in the order of the file.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<Problem>),
    /// A gate asks for an endpoint that the flows do not have.
    #[error(
        "step {step} measures the endpoint {wanted:?} on its own, and no flow step has that name (there are: {known}); \
         name the flow step {wanted:?}, or say in rampup.toml which ones to measure: [site] slow_endpoints = [\"…\"]; \
         where nothing is slow: [steps.{step}] endpoints = []"
    )]
    Endpoint {
        /// The step.
        step: StepId,
        /// What its gate names.
        wanted: String,
        /// What there is.
        known: String,
    },
}

/// One thing that is wrong in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the person named it.
    pub file: String,
    /// Where in it.
    pub place: Place,
    /// The setting and what is wrong with it; then, after a semicolon, what to do.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.place, self.what)
    }
}
