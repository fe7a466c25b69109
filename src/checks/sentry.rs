//! Sentry: do the app's traces and errors arrive in its project, and does nothing stand in their way?

mod dropped;
mod error;
mod key;
mod trace;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::probes::http::Ask;
use crate::probes::{ProbeError, Probes};

use super::Entry;

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<trace::TraceRoundtrip>(),
    Entry::of::<key::KeyActive>(),
    Entry::of::<error::ErrorRoundtrip>(),
    Entry::of::<dropped::NotDropped>(),
];

/// Longest wait for Sentry to show what it was sent, seconds.
const WAIT: u64 = 30;

/// A page request under a trace id of our own, and what Sentry has of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Arrival {
    page: String,
    status: u16,
    /// A cache answered, so the app never saw the request.
    from_cache: bool,
    spans: u64,
    by_operation: BTreeMap<String, u64>,
    /// The projects that have it.
    projects: Vec<String>,
    waited_seconds: f64,
}

impl Arrival {
    /// Sends one and waits until it has arrived, at most this long.
    async fn of(probes: &Probes, wait: Duration) -> Result<Self, ProbeError> {
        let trace = probes.nonce();
        // Asked first, so that a missing token is found before anything is sent.
        probes.sentry_trace(&trace).await?;
        let page = probes.site.public_pages.first().unwrap_or(&probes.site.health).clone();
        let answer = traced(probes.http.get_origin(&page).nonce(&trace), &trace, &probes.nonce()).send().await?;
        let mut patience = Patience::new(wait);
        let mut found = probes.sentry_trace(&trace).await?;
        while (found.projects.is_empty() || !found.by_operation.contains_key("http.server")) && patience.pause().await {
            found = probes.sentry_trace(&trace).await?;
        }
        Ok(Self {
            page,
            status: answer.status,
            from_cache: answer.trail().from_cache(),
            spans: found.spans,
            by_operation: found.by_operation,
            projects: found.projects,
            waited_seconds: patience.waited(),
        })
    }
}

/// Marks a request as part of a trace of ours that is to be kept, whatever the app's sample rate.
fn traced<'a>(ask: Ask<'a>, trace: &str, span: &str) -> Ask<'a> {
    ask.header("sentry-trace", format!("{trace}-{}-1", &span[..16]))
        .header("baggage", format!("sentry-trace_id={trace},sentry-sampled=true,sentry-sample_rate=1"))
}

/// Asking again, ever less often.
struct Patience {
    began: Instant,
    longest: Duration,
    next: Duration,
}

impl Patience {
    fn new(longest: Duration) -> Self {
        Self { began: Instant::now(), longest, next: Duration::from_millis(250) }
    }

    fn waited(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Waits for the next time to ask; false when there is none.
    async fn pause(&mut self) -> bool {
        if self.began.elapsed() >= self.longest {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(Duration::from_secs(8));
        true
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "(none named)".to_owned() } else { names.join(", ") }
}
