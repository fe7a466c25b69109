//! Is there a queue with tasks in it that nobody takes from?

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::site::QueueKind;

use super::DOCS;

/// A queue's name when none is known.
const UNNAMED: &str = "NAME";

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
    /// Queues whose next task was taken meanwhile.
    #[serde(default)]
    moved: BTreeSet<String>,
    /// Workers of which it is not known what they take from; for Huey, consumers that wait for nothing because they are busy.
    #[serde(default)]
    untold: u64,
    /// Workers that showed a sign of life.
    #[serde(default)]
    heard: u64,
}

impl Check for QueuesConsumed {
    const ID: &'static str = "jobs.queues-consumed";
    const TITLE: &'static str = "every queue with tasks in it has a worker";
    const ABOUT: &'static str = "Finds every queue that was ever declared on the broker, with its priorities, and compares it with what the \
        workers say they take from; where they do not tell, the task that is next must be taken while it is watched, however many come \
        in meanwhile. Trap: one task is routed to a queue of its own (task_routes, @job(\"mail\")) and no worker was started for it: \
        everything else works, and that task waits for ever. Empty queues without \
        a worker prove nothing.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = ConsumedFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<ConsumedFacts, Missing> {
        const LISTEN: Duration = Duration::from_millis(2500);
        const PATIENCE: Duration = Duration::from_secs(10);
        let broker = ctx.probes.broker().await?;
        let waiting = broker.queues().await?;
        let full: Vec<&str> = waiting.iter().filter(|(_, tasks)| **tasks > 0).map(|(name, _)| name.as_str()).collect();
        let heads = broker.heads(&full).await?;
        let (workers, ()) = tokio::join!(broker.workers(LISTEN), tokio::time::sleep(LISTEN));
        let workers = workers?;
        let mut moved = broker.moved(&heads).await?;
        // Who does not tell is given the time of a longer task.
        let tells = broker.kind() != QueueKind::Huey && workers.untold() == 0;
        let until = tokio::time::Instant::now() + PATIENCE;
        let open = |moved: &BTreeSet<String>| full.iter().any(|name| !moved.contains(*name) && !workers.serve(name));
        while !tells && open(&moved) && tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_secs(1)).await;
            moved = broker.moved(&heads).await?;
        }
        Ok(ConsumedFacts {
            kind: broker.kind(),
            later: broker.queues().await?,
            untold: if broker.kind() == QueueKind::Huey { workers.silent } else { workers.untold() },
            heard: workers.heard.len() as u64,
            consumed: workers.consumed.into_values().flatten().collect(),
            moved,
            waiting,
        })
    }

    fn judge(&self, facts: &ConsumedFacts) -> CheckOutcome {
        let stuck = |queue: &String, before: u64| {
            let now = facts.later.get(queue).copied().unwrap_or(0);
            let shorter = facts.kind == QueueKind::Huey && now < before;
            let served = facts.consumed.contains(queue) || facts.moved.contains(queue) || shorter;
            (before > 0 && now > 0 && !served).then_some(now)
        };
        let stuck: Vec<(&String, u64)> =
            facts.waiting.iter().filter_map(|(queue, n)| Some((queue, stuck(queue, *n)?))).collect();
        let Some((queue, now)) = stuck.first() else { return idle(facts) };
        // A consumer of Huey that waits for a task does not take these; one that is busy might.
        let busy = facts.kind != QueueKind::Huey || facts.heard == 0;
        if facts.untold > 0 && busy {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "{now} tasks wait in queue {queue:?}, none was taken while it was watched, and {} workers did not say which queues \
                     they take from",
                    facts.untold
                ),
                format!(
                    "run the step again when the workers are less busy, and leave worker_enable_remote_control on; if it still waits, \
                     start a worker for it: {}",
                    facts.kind.start(queue)
                ),
            ));
        }
        let finding = |(queue, now): (&String, u64)| Finding {
            seen: format!("{now} tasks wait in queue {queue:?}, and no worker takes from it"),
            todo: format!(
                "start a worker for it: {}; or send those tasks to a queue that is served",
                facts.kind.start(queue)
            ),
        };
        CheckOutcome::Fail(stuck.into_iter().map(finding).collect())
    }
}

/// Nothing is stuck: proof only where somebody was seen, or something was taken.
fn idle(facts: &ConsumedFacts) -> CheckOutcome {
    let shorter = || facts.waiting.iter().any(|(queue, before)| facts.later.get(queue).copied().unwrap_or(0) < *before);
    if facts.heard > 0 || facts.untold > 0 || !facts.consumed.is_empty() || !facts.moved.is_empty() || shorter() {
        return CheckOutcome::Pass;
    }
    let named = facts.waiting.keys().next().map_or(UNNAMED, String::as_str);
    CheckOutcome::Unknown(Missing::new(
        format!(
            "no task waits in {} queues of {}, and no worker was seen: what is sent next may wait for ever",
            facts.waiting.len(),
            facts.kind.name()
        ),
        format!("start a worker: {}; then run the step again", facts.kind.start(named)),
    ))
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
            moved: BTreeSet::new(),
            untold: 0,
            heard: 0,
        };
        let moved = |queue: &str, facts| ConsumedFacts { moved: BTreeSet::from([queue.to_owned()]), ..facts };
        let (celery, huey) = (QueueKind::Celery, QueueKind::Huey);
        for (word, facts) in [
            ("pass", facts(celery, &[("celery", 0)], &[("celery", 0)], &["celery"])),
            // Nothing waits, and nobody is there to take it.
            ("unknown", facts(celery, &[("celery", 0)], &[("celery", 0)], &[])),
            ("unknown", facts(huey, &[("shop", 0)], &[("shop", 0)], &[])),
            ("unknown", facts(QueueKind::Rq, &[("default", 0)], &[("default", 2)], &[])),
            // Heartbeats alone, or a consumer that waits.
            ("pass", ConsumedFacts { heard: 1, untold: 1, ..facts(celery, &[("celery", 0)], &[("celery", 0)], &[]) }),
            ("pass", ConsumedFacts { heard: 2, ..facts(huey, &[("shop", 0)], &[("shop", 0)], &[]) }),
            // A long queue that is served is for another check.
            ("pass", facts(celery, &[("celery", 9)], &[("celery", 12)], &["celery"])),
            ("fail", facts(celery, &[("celery", 0), ("mail", 3)], &[("celery", 0), ("mail", 3)], &["celery"])),
            // A queue of the past, declared and empty.
            ("pass", facts(celery, &[("celery", 0), ("old", 0)], &[("celery", 0), ("old", 0)], &["celery"])),
            ("fail", facts(huey, &[("shop", 4)], &[("shop", 4)], &[])),
            ("pass", facts(huey, &[("shop", 4)], &[("shop", 1)], &[])),
            // Busy, and as long as before: what was next is not there any more.
            ("pass", moved("shop", facts(huey, &[("shop", 4)], &[("shop", 9)], &[]))),
            // All of its workers are at a long task.
            ("unknown", ConsumedFacts { untold: 1, ..facts(huey, &[("shop", 4)], &[("shop", 4)], &[]) }),
            // Somebody waits, but not for these.
            ("fail", ConsumedFacts { untold: 1, heard: 4, ..facts(huey, &[("shop", 4)], &[("shop", 4)], &[]) }),
            // The answer came too late, or remote control is off: only what happens to the queue can tell.
            ("unknown", ConsumedFacts { untold: 1, ..facts(celery, &[("celery", 3)], &[("celery", 3)], &[]) }),
            (
                "pass",
                moved("celery", ConsumedFacts { untold: 1, ..facts(celery, &[("celery", 3)], &[("celery", 3)], &[]) }),
            ),
            ("fail", facts(celery, &[("celery", 3)], &[("celery", 3)], &[])),
        ] {
            assert_eq!(QueuesConsumed {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
