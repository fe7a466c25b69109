//! Flows in other people's words: a browser's recording becomes a flow, flows become scripts for other load engines,
//! and their results are read.
//!
//! Pure: text in, text and notes out. Knows the domain; touches no file, no clock and no network. What cannot be carried
//! over is never dropped in silence: it is a note.

mod body;
mod har;
mod import;
mod k6;
mod locust;
pub mod results;
mod script;
mod secrets;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::domain::flow::Flow;

pub use har::MOST_BYTES;
pub use import::{Imported, import};
pub use k6::k6;
pub use locust::locust;
pub use script::{Exported, Job};

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The file is no HAR recording.
    #[error("this is no HAR 1.2 file: {0}; save it with the browser's network panel (\"Save all as HAR\")")]
    NotHar(String),
    /// It has no request of the site.
    #[error("no request to {host} is in the recording, only to {others}; name the site with --host")]
    NoRequest {
        /// Whose requests were looked for.
        host: String,
        /// Whose requests there are.
        others: String,
    },
    /// No page and no host says whose requests are meant.
    #[error("the recording names no site; say which with --host shop.example")]
    NoHost,
    /// The file is no result of a load engine that is known.
    #[error("these are no results of k6 (--summary-export) or Locust (_stats.csv or --json): {0}")]
    NoResults(String),
    /// The flow cannot be written down.
    #[error("the flow cannot be written as TOML: {0}")]
    Unwritable(#[from] toml::ser::Error),
}

/// A flow as it stands in `rampup.toml`.
///
/// # Errors
/// When a value of it has no form in TOML.
pub fn to_toml(flow: &Flow) -> Result<String, ExchangeError> {
    #[derive(Serialize)]
    struct Document<'a> {
        flow: [&'a Flow; 1],
    }
    Ok(toml::to_string_pretty(&Document { flow: [flow] })?)
}
