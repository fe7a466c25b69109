//! Sentry: does a request of ours arrive there under our own trace id?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

use super::{Check, Context, Entry};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[Entry::of::<TraceRoundtrip>()];

/// `sentry.trace-roundtrip`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TraceRoundtrip {
    /// Longest wait for the trace to show up, seconds.
    wait_seconds: u64,
}

impl Default for TraceRoundtrip {
    fn default() -> Self {
        Self { wait_seconds: 30 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    page: String,
    status: u16,
    /// A cache answered, so the app never saw the request.
    from_cache: bool,
    /// The project that should have it.
    project: String,
    spans: u64,
    by_operation: BTreeMap<String, u64>,
    /// The projects that do have it.
    projects: Vec<String>,
    waited_seconds: f64,
}

impl Check for TraceRoundtrip {
    const ID: &'static str = "sentry.trace-roundtrip";
    const TITLE: &'static str = "the app's web processes report to its Sentry project";
    const ABOUT: &'static str = "Sends one page request with a trace id of our own, marked as sampled, and asks Sentry's API for \
        exactly that trace until it shows up. That proves DSN, initialisation and delivery in one, whatever the sample rate. Traps: \
        a DSN in the settings that nobody reads, a dead DSN (the app answers normally), a DSN of another project (the project that \
        received it is compared), a page out of a cache (its address is new to every cache).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://docs.sentry.io/platforms/python/integrations/django/",
        "https://docs.sentry.io/platforms/python/tracing/",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let (trace, span) = (probes.nonce(), probes.nonce());
        // Asked first, so that a missing token is found before anything is sent.
        probes.sentry_trace(&trace).await?;
        let page = probes.site.public_pages.first().unwrap_or(&probes.site.health).clone();
        let answer = probes
            .http
            .get_origin(&page)
            .nonce(&trace)
            .header("sentry-trace", format!("{trace}-{}-1", &span[..16]))
            .header("baggage", format!("sentry-trace_id={trace},sentry-sampled=true,sentry-sample_rate=1"))
            .send()
            .await?;
        let (began, mut pause) = (Instant::now(), Duration::from_millis(250));
        let mut found = probes.sentry_trace(&trace).await?;
        while !arrived(found.spans, &found.by_operation, &found.projects)
            && began.elapsed().as_secs() < self.wait_seconds
        {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(8));
            found = probes.sentry_trace(&trace).await?;
        }
        Ok(Facts {
            page,
            status: answer.status,
            from_cache: answer.trail().from_cache(),
            project: probes.site.sentry.as_ref().map(|s| s.project.clone()).unwrap_or_default(),
            spans: found.spans,
            by_operation: found.by_operation,
            projects: found.projects,
            waited_seconds: began.elapsed().as_secs_f64(),
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if facts.from_cache {
            return CheckOutcome::Unknown(Missing::new(
                format!("{} came out of a cache, so the app never saw our trace", facts.page),
                "name the app's own address in rampup.toml: [site] origin",
            ));
        }
        if facts.spans == 0 {
            return CheckOutcome::fail(
                format!(
                    "Sentry received nothing of our request to {} within {:.0} s",
                    facts.page, facts.waited_seconds
                ),
                format!(
                    "call sentry_sdk.init(dsn=..., traces_sample_rate=0.1) at the top of the production settings with the DSN of \
                     project {:?}, and check that the variable is set where the app runs; if Sentry is slow right now, verify again",
                    facts.project
                ),
            );
        }
        if !facts.projects.contains(&facts.project) {
            return CheckOutcome::fail(
                format!("our request arrived in project {} instead of {:?}", list(&facts.projects), facts.project),
                format!("copy the DSN from the keys of project {:?}, or correct [site.sentry] project", facts.project),
            );
        }
        if !facts.by_operation.contains_key("http.server") {
            return CheckOutcome::fail(
                "Sentry received spans of our trace, but no http.server span of the web process",
                "enable the Django integration in the process that serves pages, not only in the worker",
            );
        }
        CheckOutcome::Pass
    }
}

fn arrived(spans: u64, by_operation: &BTreeMap<String, u64>, projects: &[String]) -> bool {
    spans > 0 && by_operation.contains_key("http.server") && !projects.is_empty()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "(none named)".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(spans: u64, operation: &str, project: &str) -> Facts {
        Facts {
            page: "/".to_owned(),
            status: 200,
            from_cache: false,
            project: "shop".to_owned(),
            spans,
            by_operation: BTreeMap::from([(operation.to_owned(), spans)]),
            projects: vec![project.to_owned()],
            waited_seconds: 30.0,
        }
    }

    #[test]
    fn roundtrip_traps() {
        let check = TraceRoundtrip::default();
        assert_eq!(check.judge(&facts(3, "http.server", "shop")).word(), "pass");
        assert_eq!(check.judge(&facts(0, "http.server", "shop")).word(), "fail");
        // A staging project answers.
        assert_eq!(check.judge(&facts(3, "http.server", "staging")).word(), "fail");
        // Only the worker reports.
        assert_eq!(check.judge(&facts(3, "queue.task.celery", "shop")).word(), "fail");
        let cached = Facts { from_cache: true, ..facts(0, "http.server", "shop") };
        assert_eq!(check.judge(&cached).word(), "unknown");
    }
}
