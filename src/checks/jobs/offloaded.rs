//! Does the slow work really leave the request? Answered by what the ramp measured and what came into the queue, less
//! what comes in without us.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context, ramp};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::{Endpoint, FarSide, series};
use crate::domain::site::QueueKind;
use crate::probes::jobs::Came;

/// `jobs.slow-work-offloaded`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SlowWorkOffloaded {
    /// What a slow endpoint's p95 must stay under, ms; the promise that the ramp was judged by when absent.
    limit_ms: Option<f64>,
    /// Requests of the slow endpoints that are needed at least.
    requests: u64,
    /// Tasks that must have come in for each of them.
    tasks_per_request: f64,
    /// How long the queue is watched without users, seconds: long enough for what runs every minute. 100 at most.
    idle_s: f64,
}

impl Default for SlowWorkOffloaded {
    fn default() -> Self {
        Self { limit_ms: None, requests: 5, tasks_per_request: 0.8, idle_s: 60.0 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OffloadFacts {
    /// The p95 limit that the ramp was judged by, ms.
    promised_ms: f64,
    #[serde(default)]
    kind: QueueKind,
    endpoints: Vec<Slow>,
    hold_seconds: usize,
    /// Seconds of the hold with a figure of tasks done, and of what waits and is tried again.
    covered: usize,
    /// Tasks that ended with an error in the hold, each try counted; none where the library does not count them.
    #[serde(default)]
    failed: Option<f64>,
    /// Tasks begun in the hold, and how many more waited, due or not, at its end than at its beginning.
    processed: f64,
    queued: f64,
    /// Of these, not due yet.
    #[serde(default)]
    later: f64,
    /// Tries of tasks that had failed before, as far as they were seen (Celery).
    #[serde(default)]
    retried: f64,
    /// What came in while nobody used the site; none when it did not matter or was not seen.
    #[serde(default)]
    idle: Option<Came>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
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
        tasks that came into the queue, done or waiting, must have risen with their requests; what comes in when the users are gone is \
        counted for a minute and taken off. Celery's workers do not say which tasks failed: only those that are tried again are seen. Traps: CELERY_TASK_ALWAYS_EAGER (RQ: ASYNC = False; Huey: immediate) runs the task inside \
        the request, so everything works and nothing is offloaded; other tasks, of a job that runs every minute, look like those.";
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
        let (from, to) = far_side.hold.unwrap_or((0, 0));
        let promised = ramp.verdict.objectives.iter().find(|objective| objective.name == "p95");
        let promised_ms = promised.map(|objective| objective.limit);
        let later = more(far_side, series::QUEUE_LATER);
        let broker = ctx.probes.broker().await;
        let configured = ctx.probes.site.queue_kind.unwrap_or_default();
        let kind = broker.as_ref().map_or(configured, |broker| broker.kind());
        // RQ counts what is finished; the others count a task when it is begun, which may still be unacknowledged.
        let twice = if kind == QueueKind::Rq { 0.0 } else { more(far_side, series::QUEUE_ACTIVE) };
        let mut facts = OffloadFacts {
            kind,
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
            covered: far_side.held(series::QUEUE_PROCESSED).count().min(far_side.held(series::QUEUE_DEPTH).count()),
            processed: far_side.rise(series::QUEUE_PROCESSED).unwrap_or(0.0),
            failed: far_side.rise(series::QUEUE_FAILED),
            queued: more(far_side, series::QUEUE_DEPTH) + later - twice,
            later,
            retried: far_side.rise(series::QUEUE_RETRIED).unwrap_or(0.0),
            idle: None,
        };
        // What comes in anyway matters only where the rest would pass; the users of the ramp are gone by now.
        if self.open(&facts) {
            facts.idle = broker?.came(Duration::from_secs_f64(self.idle_s.clamp(5.0, 100.0))).await?;
        }
        Ok(facts)
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
        let mut findings = self.slow(facts);
        if (facts.covered as f64) < 0.9 * facts.hold_seconds.max(1) as f64 {
            if !findings.is_empty() {
                return CheckOutcome::Fail(findings);
            }
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "the queues and the workers' work were seen in {} of {} s of the hold",
                    facts.covered, facts.hold_seconds
                ),
                counter(facts.kind),
            ));
        }
        // A task that is tried again is begun twice, or was begun and waits.
        let (wanted, came) = (self.wanted(facts), facts.processed + facts.queued - facts.retried);
        if came < wanted {
            findings.push(inside(format!(
                "{requests} slow requests gave the workers {:.0} tasks: the work is done inside the request",
                came.max(0.0)
            )));
        }
        let failed = facts.failed.unwrap_or(0.0);
        if came >= wanted && came - failed < wanted {
            findings.push(Finding {
                seen: format!(
                    "of {:.0} tasks that workers did, {failed:.0} failed: {requests} slow requests were answered, and their work was not \
                     done",
                    facts.processed
                ),
                todo: "read the error in the worker's log and mend the task, then send again what failed; see it: rq info -u \
                       \"$REDIS_URL\", and ZCARD rq:failed:QUEUE"
                    .to_owned(),
            });
        }
        if facts.processed < 1.0 && facts.later < wanted && findings.is_empty() {
            findings.push(Finding {
                seen: format!("{:.0} tasks were queued and none was processed", facts.queued),
                todo: "start a worker for the queue and look at its log".to_owned(),
            });
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if came - failed - facts.retried < wanted {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "{came:.0} tasks came in and {:.0} tries failed and were made anew: whether the work of {requests} slow requests gets done \
                     is not seen",
                    facts.retried
                ),
                "read in the worker's log why they fail, mend it and run the step again; see them: celery -A yourproject inspect \
                 scheduled. Where a task asks again and again by design, let the slow request send its work as a task of its own",
            ));
        }
        let Some(idle) = facts.idle.filter(|idle| idle.seconds > 0.0) else {
            return CheckOutcome::Unknown(Missing::new(
                "what comes into the queue without the ramp's users could not be counted, so theirs cannot be told apart",
                counter(facts.kind),
            ));
        };
        let hold = facts.hold_seconds as f64;
        let others = idle.tasks / idle.seconds * hold;
        // What chance adds in both times, at most, in nineteen of twenty holds.
        let chance = 1.645 * (others * (1.0 + hold / idle.seconds)).sqrt();
        if chance > wanted / 2.0 {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "{came:.0} tasks came in during the hold, of which about {others:.0} come in without it: those of {requests} slow \
                     requests cannot be told apart"
                ),
                "run the step at a quiet time, hold longer, or give the flow with the slow endpoint more weight",
            ));
        }
        if came - others + chance < wanted {
            return CheckOutcome::Fail(vec![inside(format!(
                "{came:.0} tasks came in during the hold, and about {others:.0} come in as well when nobody uses the site: {requests} slow \
                 requests gave the workers {:.0}, so the work is done inside the request",
                (came - others).max(0.0)
            ))]);
        }
        // None in so many seconds may still be three in as many, once in twenty times.
        let unseen = if idle.tasks < 1.0 { NONE_SEEN * hold / idle.seconds } else { 0.0 };
        if came - others - unseen < wanted {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "{came:.0} tasks came in during the hold; as many as {unseen:.0} of them may have come in without the ramp's users, and \
                     {requests} slow requests are too few to tell"
                ),
                "hold longer, or give the flow with the slow endpoint more weight",
            ));
        }
        CheckOutcome::Pass
    }
}

/// Upper bound, at 95 %, of a Poisson count of which none was seen.
const NONE_SEEN: f64 = 3.0;

impl SlowWorkOffloaded {
    /// Tasks that the slow requests must have brought. Heartbeats come every two seconds: a task or two may be counted
    /// after the hold.
    fn wanted(&self, facts: &OffloadFacts) -> f64 {
        let requests: u64 = facts.endpoints.iter().map(|e| e.requests).sum();
        (self.tasks_per_request * requests as f64 - 2.0).max(1.0)
    }

    /// What the users had to wait for.
    fn slow(&self, facts: &OffloadFacts) -> Vec<Finding> {
        let limit = self.limit_ms.unwrap_or(facts.promised_ms);
        let waited = |slow: &Slow| (slow.p95_ms.unwrap_or(f64::INFINITY), slow.name.clone(), slow.requests);
        let over = facts.endpoints.iter().map(waited).filter(|(p95, ..)| *p95 >= limit);
        over.map(|(p95, name, requests)| Finding {
            seen: format!("p95 of {name:?} is {p95:.0} ms over {requests} requests, the limit is {limit:.0} ms"),
            todo: format!(
                "move what {name:?} waits for (mail, pictures, calls to other services) into a task and call it by .delay() (RQ: \
                 .delay() or queue.enqueue(); Huey: by its name)"
            ),
        })
        .collect()
    }

    /// True when only what comes in anyway can still decide.
    fn open(&self, facts: &OffloadFacts) -> bool {
        // As if nothing had come in a watch without end.
        let unmeasured = OffloadFacts { idle: Some(Came { tasks: 0.0, seconds: f64::INFINITY }), ..facts.clone() };
        matches!(self.judge(&unmeasured), CheckOutcome::Pass)
    }
}

/// By how much a level was higher at the end of the hold than at its beginning.
fn more(far_side: &FarSide, name: &str) -> f64 {
    let values: Vec<f64> = far_side.held(name).map(|(_, value)| value).collect();
    values.last().zip(values.first()).map_or(0.0, |(last, first)| last - first)
}

fn inside(seen: String) -> Finding {
    Finding {
        seen,
        todo: "call the task by .delay(), set CELERY_TASK_ALWAYS_EAGER to False in production (RQ: ASYNC = True; Huey: immediate = \
               False), and check that app and worker share broker address and queue"
            .to_owned(),
    }
}

/// What makes the workers' work visible.
fn counter(kind: QueueKind) -> &'static str {
    match kind {
        QueueKind::Celery => {
            "start a worker without --without-heartbeat, and name the broker in rampup.toml: [services] broker_env"
        }
        QueueKind::Rq => {
            "start a worker with the same address as the app (rq worker), and name the broker in rampup.toml: [services] broker_env"
        }
        QueueKind::Huey => {
            "give the user in [services] broker_env the right to INFO commandstats, by which Huey's tasks are counted (redis-cli \
             INFO commandstats shows cmdstat_lpush); where the provider hides it, waive this check with what you saw in the \
             consumer's log"
        }
    }
}

#[cfg(test)]
mod tests;
