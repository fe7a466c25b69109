//! What is known of a queue and its workers, whichever library they are of. Plain values; asks nobody.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// Tasks nobody has taken yet, of all priorities.
    pub queued: u64,
    /// Tasks handed out, due and not acknowledged.
    pub taken: u64,
    /// Tasks handed out that are not due yet (Celery's countdown and eta): reserved, no backlog.
    #[serde(default)]
    pub later: u64,
    /// Seconds until the last of these is due; none without any.
    #[serde(default)]
    pub later_s: Option<f64>,
    /// Age of the oldest task that is handed out, seconds; none where the library does not write it down.
    pub oldest_s: Option<f64>,
}

/// Who works.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Workers {
    /// Those that showed a sign of life just now.
    pub heard: Vec<String>,
    /// Queues by worker, as far as the library and the worker tell.
    pub consumed: BTreeMap<String, Vec<String>>,
    /// Processes that behave like workers and said nothing: they listen for questions and did not answer in time, or
    /// they wait for tasks without a word.
    #[serde(default)]
    pub silent: u64,
}

impl Workers {
    /// How many there are of which it is not known what they serve.
    #[must_use]
    pub fn untold(&self) -> u64 {
        let unnamed = self.heard.iter().filter(|worker| !self.consumed.contains_key(*worker)).count();
        self.silent.max(unnamed as u64)
    }

    /// True when one of them says that it takes from this queue.
    #[must_use]
    pub fn serve(&self, queue: &str) -> bool {
        self.consumed.values().flatten().any(|name| name == queue)
    }
}

/// What Celery's workers say of themselves.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conf {
    /// Processes that were listening when they were asked.
    pub asked: u64,
    /// Their configuration, by worker.
    pub by_worker: BTreeMap<String, serde_json::Value>,
    /// Their tasks, by worker, each a text with what was asked of it behind its name.
    pub tasks: BTreeMap<String, serde_json::Value>,
}

/// What became of a task of our own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Canary {
    /// Its id.
    pub id: String,
    /// True when it left the queue.
    pub taken: bool,
    /// When it was done, ms after it was sent.
    pub done_ms: Option<u64>,
    /// Its result, when one was kept.
    pub result: Option<String>,
    /// True when only the workers' own count told that it was done.
    pub counted: bool,
}

/// Tasks that one worker has done since it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its name.
    pub worker: String,
    /// How many it has begun or finished.
    pub tasks: u64,
    /// How many of these ended with an error, each try counted; none where the library does not count them.
    pub failed: Option<u64>,
    /// How many of those that are counted as waiting it is at right now; none where that is not known.
    pub active: Option<u64>,
}
