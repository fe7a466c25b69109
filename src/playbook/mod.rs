//! Playbooks: ten markdown files with TOML front matter, each of them one [`Step`]. The only reader of them.
//!
//! They travel inside the program; a project may put its own version of a file beside its `rampup.toml`. Knows no
//! checks: whoever knows them hands in what [`lint()`] needs.

mod files;
mod lint;
mod parse;

pub use files::{Source, embedded, sources};
pub use lint::lint;
pub use parse::{HEADINGS, parse};

use std::fmt;
use std::path::{Path, PathBuf};

use crate::domain::ids::StepId;
use crate::domain::step::Step;

/// Playbooks that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PlaybookError {
    /// A file or folder cannot be read.
    #[error("cannot read {file}: {source}; check that you may read it", file = file.display())]
    Read {
        /// The file or folder.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in the files is wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Wrong(Vec<Lint>),
}

/// One thing that is wrong in a playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// The file as a person names it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub todo: String,
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}; {}", self.file, self.line, self.what, self.todo)
    }
}

/// The ten steps in order: the project's own playbooks where it has some, else the ones that travel with the program.
///
/// # Errors
/// When a file cannot be read, or any of them is not a whole playbook, or a step is missing or there twice.
pub fn load(project_dir: Option<&Path>) -> Result<Vec<Step>, PlaybookError> {
    let sources = sources(project_dir)?;
    let (mut steps, mut lints) = (Vec::new(), Vec::new());
    for source in &sources {
        match parse(source) {
            Ok(step) => steps.push(step),
            Err(found) => lints.extend(found),
        }
    }
    if !lints.is_empty() {
        return Err(PlaybookError::Wrong(lints));
    }
    steps.sort_by_key(|step| step.id);
    debug_assert!(steps.iter().map(|step| step.id).eq(StepId::all()), "`sources` gives each step once");
    Ok(steps)
}
