//! Reads a Django project: parses its files, follows its settings, finds what production runs. Nothing of the project is
//! ever run. Uses nothing of ours and judges nothing.

mod ask;
mod condition;
mod deploy;
mod eval;
mod facts;
mod hints;
mod joined;
mod mentions;
mod parse;
mod production;
mod requirements;
mod scan;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod urls;
mod value;
mod words;

use std::path::PathBuf;

pub use ask::{Is, Repository, Settings, Way, doubt};
pub use facts::Fact;
pub use hints::{Hints, Variable};
pub use scan::Scan;

/// Why a project cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DjangoError {
    /// The folder is not there or not readable.
    #[error("{} cannot be read: {source}; name the folder of a Django project", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nothing of Django in it.
    #[error("no Django project is in {}: no manage.py, wsgi.py or settings.py; name the folder that holds one", path.display())]
    NoProject {
        /// The folder.
        path: PathBuf,
    },
    /// Reading it ended in a way that it must not.
    #[error("this project could not be read to its end, which is a fault of rampup; please report it")]
    Confused,
}
