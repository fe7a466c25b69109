//! Does the slow work really leave the request? Answered by what the ramp measured and what the workers counted.

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context, ramp};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::{Endpoint, series};

/// `jobs.slow-work-offloaded`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SlowWorkOffloaded {
    /// What a slow endpoint's p95 must stay under, ms; the promise that the ramp was judged by when absent.
    limit_ms: Option<f64>,
    /// Requests of the slow endpoints that are needed at least.
    requests: u64,
    /// Tasks the workers must have done for each of them.
    tasks_per_request: f64,
}

impl Default for SlowWorkOffloaded {
    fn default() -> Self {
        Self { limit_ms: None, requests: 5, tasks_per_request: 0.8 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OffloadFacts {
    /// The p95 limit that the ramp was judged by, ms.
    promised_ms: f64,
    endpoints: Vec<Slow>,
    hold_seconds: usize,
    /// Seconds of the hold with a figure of tasks done.
    covered: usize,
    /// Tasks done in the hold, and by how much the queue grew meanwhile.
    processed: f64,
    queued: f64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Slow {
    name: String,
    /// Successful requests in the hold.
    requests: u64,
    p95_ms: Option<f64>,
}

impl Check for SlowWorkOffloaded {
    const ID: &'static str = "jobs.slow-work-offloaded";
    const TITLE: &'static str = "slow endpoints answer at once, and workers do their work";
    const ABOUT: &'static str = "Looks at the endpoints you named as slow in the ramp itself: their p95 must be under the limit, and the \
        workers' count of processed tasks must have risen with their requests. Trap: CELERY_TASK_ALWAYS_EAGER (RQ: ASYNC = False; \
        Huey: immediate) runs the task inside the request, so everything works and nothing is offloaded: no worker processes anything.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = &[
        "https://docs.celeryq.dev/en/stable/userguide/configuration.html#task-always-eager",
        "https://docs.celeryq.dev/en/stable/userguide/calling.html",
    ];
    type Facts = OffloadFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<OffloadFacts, Missing> {
        let ramp = ramp(ctx)?;
        let slow = &ctx.probes.site.slow_endpoints;
        if slow.is_empty() {
            return Err(Missing::new(
                "no endpoint is named as slow",
                "name the flow steps whose work belongs to workers in rampup.toml: [site] slow_endpoints = [\"checkout\"]",
            ));
        }
        let endpoint = |name: &String| ramp.measurement.endpoints.get(name);
        let far_side = &ramp.far_side;
        let depth: Vec<f64> = far_side.held(series::QUEUE_DEPTH).map(|(_, v)| v).collect();
        let (from, to) = far_side.hold.unwrap_or((0, 0));
        let promised = ramp.verdict.objectives.iter().find(|objective| objective.name == "p95");
        let promised_ms = promised.map(|objective| objective.limit);
        Ok(OffloadFacts {
            promised_ms: promised_ms
                .ok_or_else(|| Missing::new("the ramp was judged without a p95", "run the step again"))?,
            endpoints: slow
                .iter()
                .map(|name| Slow {
                    name: name.clone(),
                    requests: endpoint(name).map_or(0, |e: &Endpoint| e.latency.count()),
                    p95_ms: endpoint(name).and_then(|e| e.latency.quantile_ms(0.95)),
                })
                .collect(),
            hold_seconds: to.saturating_sub(from) as usize,
            covered: far_side.held(series::QUEUE_PROCESSED).count(),
            processed: far_side.rise(series::QUEUE_PROCESSED).unwrap_or(0.0),
            queued: depth.last().zip(depth.first()).map_or(0.0, |(last, first)| (last - first).max(0.0)),
        })
    }

    fn judge(&self, facts: &OffloadFacts) -> CheckOutcome {
        let requests: u64 = facts.endpoints.iter().map(|e| e.requests).sum();
        if let Some(quiet) = facts.endpoints.iter().find(|e| e.requests == 0) {
            return CheckOutcome::Unknown(Missing::new(
                format!("the ramp made no successful request of {:?}", quiet.name),
                "write a flow whose step carries that name, with enough weight, in rampup.toml",
            ));
        }
        if requests < self.requests {
            return CheckOutcome::Unknown(Missing::new(
                format!("the ramp made only {requests} requests of the slow endpoints"),
                "give their flow more weight, or hold longer",
            ));
        }
        let limit = self.limit_ms.unwrap_or(facts.promised_ms);
        let mut findings = Vec::new();
        for slow in &facts.endpoints {
            let p95 = slow.p95_ms.unwrap_or(f64::INFINITY);
            if p95 >= limit {
                findings.push(Finding {
                    seen: format!("p95 of {:?} is {p95:.0} ms over {} requests, the limit is {limit:.0} ms", slow.name, slow.requests),
                    todo: format!("move what {:?} waits for (mail, pictures, calls to other services) into a task and call it by .delay() (RQ: .delay() or queue.enqueue(); Huey: by its name)", slow.name),
                });
            }
        }
        if (facts.covered as f64) < 0.9 * facts.hold_seconds.max(1) as f64 {
            if !findings.is_empty() {
                return CheckOutcome::Fail(findings);
            }
            return CheckOutcome::Unknown(Missing::new(
                format!("the workers were heard in {} of {} s of the hold", facts.covered, facts.hold_seconds),
                "start a worker without --without-heartbeat, and name the broker in rampup.toml: [services] broker_env",
            ));
        }
        // Heartbeats come every two seconds: a task or two may be counted after the hold.
        let wanted = (self.tasks_per_request * requests as f64 - 2.0).max(1.0);
        if facts.processed + facts.queued < wanted {
            findings.push(Finding {
                seen: format!(
                    "{requests} slow requests gave the workers {:.0} tasks: the work is done inside the request",
                    facts.processed + facts.queued
                ),
                todo: "call the task by .delay(), set CELERY_TASK_ALWAYS_EAGER to False in production (RQ: ASYNC = True; Huey: immediate = False), and check that app and worker share \
                       broker address and queue"
                    .to_owned(),
            });
        }
        if facts.processed < 1.0 && findings.is_empty() {
            findings.push(Finding {
                seen: format!("{:.0} tasks were queued and none was processed", facts.queued),
                todo: "start a worker for the queue and look at its log".to_owned(),
            });
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offload_traps() {
        let check = SlowWorkOffloaded::default();
        let facts = |requests, p95_ms, processed, queued| OffloadFacts {
            promised_ms: 300.0,
            endpoints: vec![Slow { name: "checkout".to_owned(), requests, p95_ms }],
            hold_seconds: 60,
            covered: 60,
            processed,
            queued,
        };
        for (word, facts) in [
            ("pass", facts(20, Some(42.0), 20.0, 0.0)),
            ("pass", facts(20, Some(42.0), 15.0, 2.0)),
            // Inline, and eager: nothing reaches a worker, fast or not.
            ("fail", facts(20, Some(431.0), 0.0, 0.0)),
            ("fail", facts(20, Some(431.0), 20.0, 0.0)),
            ("fail", facts(20, Some(42.0), 0.0, 0.0)),
            ("fail", facts(20, Some(42.0), 5.0, 0.0)),
            // Queued for nobody.
            ("fail", facts(20, Some(42.0), 0.0, 20.0)),
            ("unknown", facts(0, None, 20.0, 0.0)),
            ("unknown", facts(4, Some(42.0), 4.0, 0.0)),
            ("unknown", OffloadFacts { covered: 10, ..facts(20, Some(42.0), 20.0, 0.0) }),
            ("unknown", OffloadFacts { endpoints: vec![], ..facts(20, Some(42.0), 20.0, 0.0) }),
            ("fail", OffloadFacts { covered: 0, ..facts(20, Some(431.0), 0.0, 0.0) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
