//! Is there a queue with tasks in it that nobody takes from?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::site::QueueKind;

use super::DOCS;

/// `jobs.queues-consumed`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct QueuesConsumed {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ConsumedFacts {
    kind: QueueKind,
    /// Tasks that wait, by queue: every queue known on the broker.
    waiting: BTreeMap<String, u64>,
    /// The same some seconds later.
    later: BTreeMap<String, u64>,
    /// Queues that workers say they take from; none when the library does not tell.
    consumed: BTreeSet<String>,
}

impl Check for QueuesConsumed {
    const ID: &'static str = "jobs.queues-consumed";
    const TITLE: &'static str = "every queue with tasks in it has a worker";
    const ABOUT: &'static str = "Finds every queue that was ever declared on the broker, with its priorities, and compares it with what the \
        workers say they take from; where the library does not tell (Huey), a queue must become shorter while it is watched. Trap: one \
        task is routed to a queue of its own (task_routes, @job(\"mail\")) and no worker was started for it: everything else works, and \
        that task waits for ever.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = ConsumedFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<ConsumedFacts, Missing> {
        const LISTEN: Duration = Duration::from_millis(2500);
        let broker = ctx.probes.broker().await?;
        let waiting = broker.queues().await?;
        let (workers, ()) = tokio::join!(broker.workers(LISTEN), tokio::time::sleep(LISTEN));
        let workers = workers?;
        Ok(ConsumedFacts {
            kind: broker.kind(),
            waiting,
            later: broker.queues().await?,
            consumed: workers.consumed.into_values().flatten().collect(),
        })
    }

    fn judge(&self, facts: &ConsumedFacts) -> CheckOutcome {
        let stuck = |queue: &String, before: u64| {
            let now = facts.later.get(queue).copied().unwrap_or(0);
            let unserved = if facts.kind == QueueKind::Huey { now >= before } else { !facts.consumed.contains(queue) };
            (before > 0 && now > 0 && unserved).then_some(now)
        };
        let findings: Vec<Finding> = facts
            .waiting
            .iter()
            .filter_map(|(queue, before)| stuck(queue, *before).map(|now| (queue, now)))
            .map(|(queue, now)| Finding {
                seen: format!("{now} tasks wait in queue {queue:?}, and no worker takes from it"),
                todo: format!(
                    "start a worker for it: {}; or send those tasks to a queue that is served",
                    facts.kind.start(queue)
                ),
            })
            .collect();
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_stuck_when_it_has_tasks_and_nobody() {
        let of = |all: &[(&str, u64)]| all.iter().map(|(q, n)| ((*q).to_owned(), *n)).collect::<BTreeMap<_, _>>();
        let facts = |kind, waiting: &[(&str, u64)], later: &[(&str, u64)], consumed: &[&str]| ConsumedFacts {
            kind,
            waiting: of(waiting),
            later: of(later),
            consumed: consumed.iter().map(|q| (*q).to_owned()).collect(),
        };
        let (celery, huey) = (QueueKind::Celery, QueueKind::Huey);
        for (word, facts) in [
            ("pass", facts(celery, &[("celery", 0)], &[("celery", 0)], &["celery"])),
            // A long queue that is served is for another check.
            ("pass", facts(celery, &[("celery", 9)], &[("celery", 12)], &["celery"])),
            ("fail", facts(celery, &[("celery", 0), ("mail", 3)], &[("celery", 0), ("mail", 3)], &["celery"])),
            // A queue of the past, declared and empty.
            ("pass", facts(celery, &[("celery", 0), ("old", 0)], &[("celery", 0), ("old", 0)], &["celery"])),
            ("fail", facts(huey, &[("shop", 4)], &[("shop", 4)], &[])),
            ("pass", facts(huey, &[("shop", 4)], &[("shop", 1)], &[])),
        ] {
            assert_eq!(QueuesConsumed {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
