//! Does a request of ours arrive in Sentry under our own trace id?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

use super::{Arrival, WAIT, list};

/// `sentry.trace-roundtrip`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TraceRoundtrip {
    /// Longest wait for the trace to show up, seconds.
    wait_seconds: u64,
}

impl Default for TraceRoundtrip {
    fn default() -> Self {
        Self { wait_seconds: WAIT }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The project that should have it.
    project: String,
    #[serde(flatten)]
    arrival: Arrival,
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
        let project = probes.sentry_site()?.project.clone();
        let arrival = Arrival::of(probes, Duration::from_secs(self.wait_seconds)).await?;
        Ok(Facts { project, arrival })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let arrival = &facts.arrival;
        if arrival.from_cache {
            return CheckOutcome::Unknown(Missing::new(
                format!("{} came out of a cache, so the app never saw our trace", arrival.page),
                "name the app's own address in rampup.toml: [site] origin",
            ));
        }
        if arrival.spans == 0 {
            return CheckOutcome::fail(
                format!(
                    "Sentry received nothing of our request to {} within {:.0} s",
                    arrival.page, arrival.waited_seconds
                ),
                format!(
                    "call sentry_sdk.init(dsn=..., traces_sample_rate=0.1) at the top of the production settings with the DSN of \
                     project {:?}, and check that the variable is set where the app runs; a traces_sampler that overrules a parent's decision hides it too; if Sentry is slow right now, \
                     verify again",
                    facts.project
                ),
            );
        }
        if !arrival.projects.contains(&facts.project) {
            return CheckOutcome::fail(
                format!("our request arrived in project {} instead of {:?}", list(&arrival.projects), facts.project),
                format!("copy the DSN from the keys of project {:?}, or correct [site.sentry] project", facts.project),
            );
        }
        if !arrival.by_operation.contains_key("http.server") {
            return CheckOutcome::fail(
                "Sentry received spans of our trace, but no http.server span of the web process",
                "enable the Django integration in the process that serves pages, not only in the worker",
            );
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn facts(spans: u64, operation: &str, project: &str) -> Facts {
        let arrival = Arrival {
            page: "/".to_owned(),
            status: 200,
            from_cache: false,
            spans,
            by_operation: BTreeMap::from([(operation.to_owned(), spans)]),
            projects: vec![project.to_owned()],
            waited_seconds: 30.0,
        };
        Facts { project: "shop".to_owned(), arrival }
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
        let mut cached = facts(0, "http.server", "shop");
        cached.arrival.from_cache = true;
        assert_eq!(check.judge(&cached).word(), "unknown");
    }
}
