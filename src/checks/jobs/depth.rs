//! Do the workers keep up while the users of this step are there?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context, ramp};
use crate::domain::backlog::{Backlog, Pace};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::measurement::series;
use crate::domain::site::QueueKind;

use super::DOCS;

/// `jobs.depth-stable`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DepthStable {
    /// By which share of the tasks that come in the queue may become longer.
    share: f64,
}

impl Default for DepthStable {
    fn default() -> Self {
        Self { share: 0.03 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DepthFacts {
    kind: QueueKind,
    queue: String,
    /// What waits in each queue of the broker now that the users are gone.
    #[serde(default)]
    now: BTreeMap<String, u64>,
    hold_seconds: u32,
    /// Seconds with a figure.
    covered: usize,
    /// What waited, besides what was being worked on.
    backlog: Backlog,
    /// Tasks done in the hold, where they were counted.
    processed: Option<f64>,
    /// Tasks that workers held at the end because they are to be done later; no backlog.
    later: f64,
}

impl Check for DepthStable {
    const ID: &'static str = "jobs.depth-stable";
    const TITLE: &'static str = "the queue does not grow under this load";
    const ABOUT: &'static str = "Looks once a second at what waits in all queues of the broker: tasks in their lists, in those of their priorities and those \
        handed out, without those being worked on. Its lowest point in the last third of the hold must be near nothing or no higher \
        than in the first; else the growth since all users came, with an interval against chance, decides. Traps: LLEN alone is 0 while \
        hundreds are handed out; tasks with a countdown are handed out at once and are no backlog; a batch that drains is no growth; a \
        queue that grows slowly looks short when it is looked at once.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = DepthFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<DepthFacts, Missing> {
        let facts = ramp(ctx)?;
        let far_side = &facts.far_side;
        let broker = ctx.probes.broker().await?;
        let (from, to) = far_side.hold.unwrap_or((0, 0));
        Ok(DepthFacts {
            kind: broker.kind(),
            queue: broker.queue().to_owned(),
            now: broker.queues().await?,
            hold_seconds: to.saturating_sub(from),
            covered: far_side.held(series::QUEUE_DEPTH).count(),
            backlog: Backlog::of(far_side, facts.plan.users).unwrap_or_default(),
            processed: far_side.rise(series::QUEUE_PROCESSED),
            later: far_side.held(series::QUEUE_LATER).last().map_or(0.0, |(_, count)| count),
        })
    }

    fn judge(&self, facts: &DepthFacts) -> CheckOutcome {
        if facts.hold_seconds == 0 || (facts.covered as f64) < 0.9 * f64::from(facts.hold_seconds) {
            return CheckOutcome::Unknown(Missing::new(
                format!("the queue was seen in {} of {} s of the hold", facts.covered, facts.hold_seconds),
                "keep the broker reachable during the ramp, then run the step again",
            ));
        }
        let (DepthFacts { kind, backlog, .. }, seconds) = (facts, f64::from(facts.hold_seconds));
        let (queue, queues) = (facts.longest(), facts.watched());
        let growth = backlog.growth.map_or(0.0, |[growth, _]| growth.max(0.0));
        let rate = facts.processed.unwrap_or(0.0) / seconds + growth;
        let [first, _, last] = backlog.lows;
        let done = facts.processed.map_or_else(String::new, |done| format!(", {done:.0} tasks were done meanwhile"));
        match backlog.pace(rate, self.share) {
            Pace::Kept => CheckOutcome::Pass,
            Pace::Behind => CheckOutcome::fail(
                format!(
                    "the fewest tasks that waited in {queues} were {first:.0} in the first third of {seconds:.0} s and {last:.0} in \
                     the last{done}: of every hundred that come in, {:.0} stay",
                    100.0 * growth / rate.max(f64::EPSILON)
                ),
                format!(
                    "{}, and look which task takes long; then run the step again. See it grow: {}",
                    more(*kind),
                    look(*kind, queue)
                ),
            ),
            Pace::Open => CheckOutcome::Unknown(Missing::new(
                format!(
                    "{:.0} tasks waited in {queues} when the hold ended and at least {last:.0} all through its last third{done}; \
                     whether it grows cannot be told from chance",
                    backlog.end
                ),
                format!(
                    "hold longer ([steps.N] hold = \"180s\" in rampup.toml), or {}; see it: {}",
                    more(*kind),
                    look(*kind, queue)
                ),
            )),
        }
    }
}

impl DepthFacts {
    /// The queue in which most waits now; the one that matters when none does.
    fn longest(&self) -> &str {
        let longest = self.now.iter().filter(|(_, tasks)| **tasks > 0).max_by_key(|(_, tasks)| **tasks);
        longest.map_or(self.queue.as_str(), |(queue, _)| queue)
    }

    /// The queues that were watched, and which of them to look at.
    fn watched(&self) -> String {
        let longest = self.longest();
        match self.now.get(longest) {
            Some(tasks) if self.now.len() > 1 => {
                format!("the broker's {} queues (most now in {longest:?}: {tasks})", self.now.len())
            }
            _ => format!("queue {longest:?}"),
        }
    }
}

fn more(kind: QueueKind) -> &'static str {
    match kind {
        QueueKind::Celery => {
            "add a worker or give it more room (--concurrency; -P threads for tasks that wait for others)"
        }
        QueueKind::Rq => "add a worker or give it more room (rq worker-pool -n 4, or more replicas)",
        QueueKind::Huey => "add a worker or give it more room (run_huey -w 8 -k thread)",
    }
}

/// How to see the queue's length oneself.
fn look(kind: QueueKind, queue: &str) -> String {
    match kind {
        QueueKind::Celery => format!("redis-cli -u \"$CELERY_BROKER_URL\" LLEN {queue}, and HLEN unacked"),
        QueueKind::Rq => format!("redis-cli -u \"$REDIS_URL\" LLEN rq:queue:{queue}"),
        QueueKind::Huey => format!("redis-cli -u \"$REDIS_URL\" LLEN huey.redis.{queue}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_that_grows_is_named() {
        let facts = |now: &[(&str, u64)]| DepthFacts {
            kind: QueueKind::Celery,
            queue: "celery".to_owned(),
            now: now.iter().map(|(queue, tasks)| ((*queue).to_owned(), *tasks)).collect(),
            hold_seconds: 60,
            covered: 60,
            backlog: Backlog { lows: [3.0, 12.0, 24.0], most: 34.0, end: 34.0, growth: Some([0.5, 0.4]) },
            processed: None,
            later: 0.0,
        };
        for (now, seen, todo) in [
            (&[][..], "in queue \"celery\"", "LLEN celery"),
            (&[("celery", 30)], "in queue \"celery\"", "LLEN celery"),
            (&[("celery", 0), ("mail", 34)], "the broker's 2 queues (most now in \"mail\": 34)", "LLEN mail"),
            (&[("celery", 0), ("mail", 0)], "the broker's 2 queues (most now in \"celery\": 0)", "LLEN celery"),
        ] {
            let outcome = DepthStable::default().judge(&facts(now));
            let said = format!("{} {:?}", outcome.seen(), outcome.said());
            assert!(said.contains(seen) && said.contains(todo), "{now:?}: {said}");
        }
    }

    #[test]
    fn growth_is_told_from_a_long_queue_from_waves_and_from_noise() {
        let facts = |lows, most, end, growth, processed| DepthFacts {
            kind: QueueKind::Celery,
            queue: "celery".to_owned(),
            now: BTreeMap::new(),
            hold_seconds: 60,
            covered: 60,
            backlog: Backlog { lows, most, end, growth },
            processed,
            later: 0.0,
        };
        for (word, facts) in [
            ("pass", facts([0.0; 3], 3.0, 0.4, Some([0.01, -0.2]), Some(50.0))),
            ("fail", facts([3.0, 12.0, 24.0], 34.0, 34.0, Some([0.5, 0.4]), Some(20.0))),
            ("fail", facts([3.0, 12.0, 24.0], 34.0, 34.0, Some([0.5, 0.4]), None)),
            // Nine of ten: six tasks too many in a minute with sixty, and never caught up.
            ("fail", facts([2.0, 4.0, 6.0], 9.0, 9.0, Some([0.1, 0.05]), Some(54.0))),
            // Less surely, and its lowest point rises from third to third.
            ("fail", facts([3.0, 8.0, 14.0], 20.0, 19.0, Some([0.2, -0.05]), Some(108.0))),
            ("unknown", facts([3.0, 3.0, 14.0], 20.0, 19.0, Some([0.2, -0.05]), Some(108.0))),
            // A batch that comes every minute and drains.
            ("pass", facts([0.0, 40.0, 1.0], 60.0, 50.0, Some([0.8, -0.5]), Some(160.0))),
            // Long, and not longer.
            ("pass", facts([80.0, 79.0, 78.0], 82.0, 78.0, Some([-0.03, -0.2]), Some(50.0))),
            // Six more of a thousand.
            ("pass", facts([1.0, 6.0, 20.0], 30.0, 29.0, Some([0.1, 0.05]), Some(1000.0))),
            ("unknown", DepthFacts { covered: 20, ..facts([0.0; 3], 0.0, 0.0, None, Some(1.0)) }),
            ("unknown", DepthFacts { covered: 0, hold_seconds: 0, ..facts([0.0; 3], 0.0, 0.0, None, None) }),
        ] {
            assert_eq!(DepthStable::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
