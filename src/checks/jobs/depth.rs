//! Do the workers keep up while the users of this step are there?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context, ramp};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::measurement::series;
use crate::domain::site::QueueKind;

use super::DOCS;

/// `jobs.depth-stable`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DepthStable {
    /// Tasks by which the queue may be longer in the last third of the hold than in the first.
    tasks: f64,
    /// And the same as a share of the tasks that came in.
    share: f64,
}

impl Default for DepthStable {
    fn default() -> Self {
        Self { tasks: 5.0, share: 0.1 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DepthFacts {
    kind: QueueKind,
    queue: String,
    hold_seconds: u32,
    /// Seconds with a figure.
    covered: usize,
    /// Mean length of the queue in the first and in the last third of the hold.
    first: f64,
    last: f64,
    /// Tasks done in the hold, where they were counted.
    processed: Option<f64>,
}

impl Check for DepthStable {
    const ID: &'static str = "jobs.depth-stable";
    const TITLE: &'static str = "the queue does not grow under this load";
    const ABOUT: &'static str = "Compares the queue's length in the last third of the hold with the first: tasks in its list, in the lists of \
        its priorities and those handed out but not done, once a second. Traps: LLEN alone is 0 while hundreds are handed out; a queue \
        that grows slowly looks short when it is looked at once.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = DepthFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<DepthFacts, Missing> {
        let far_side = &ramp(ctx)?.far_side;
        let broker = ctx.probes.broker().await?;
        let depth: Vec<f64> = far_side.held(series::QUEUE_DEPTH).map(|(_, value)| value).collect();
        let (from, to) = far_side.hold.unwrap_or((0, 0));
        let third = depth.len().div_ceil(3);
        Ok(DepthFacts {
            kind: broker.kind(),
            queue: broker.queue().to_owned(),
            hold_seconds: to.saturating_sub(from),
            covered: depth.len(),
            first: mean(depth.iter().take(third)),
            last: mean(depth.iter().rev().take(third)),
            processed: far_side.rise(series::QUEUE_PROCESSED),
        })
    }

    fn judge(&self, facts: &DepthFacts) -> CheckOutcome {
        if facts.hold_seconds == 0 || (facts.covered as f64) < 0.9 * f64::from(facts.hold_seconds) {
            return CheckOutcome::Unknown(Missing::new(
                format!("the queue was seen in {} of {} s of the hold", facts.covered, facts.hold_seconds),
                "keep the broker reachable during the ramp, then run the step again",
            ));
        }
        let (DepthFacts { queue, kind, first, last, .. }, grew) = (facts, facts.last - facts.first);
        let came = facts.processed.unwrap_or(0.0) + grew.max(0.0);
        if grew > self.tasks && grew > self.share * came {
            let done =
                facts.processed.map_or_else(String::new, |done| format!(" ({done:.0} tasks were done meanwhile)"));
            return CheckOutcome::fail(
                format!("queue {queue:?} grew from {first:.0} to {last:.0} tasks in {} s{done}", facts.hold_seconds),
                format!(
                    "add a worker or give it more room ({}), and look which task takes long; then run the step again",
                    match kind {
                        QueueKind::Celery => "--concurrency; -P threads for tasks that wait for others",
                        QueueKind::Rq => "rq worker-pool -n 4, or more replicas",
                        QueueKind::Huey => "run_huey -w 8 -k thread",
                    }
                ),
            );
        }
        CheckOutcome::Pass
    }
}

fn mean<'a>(values: impl ExactSizeIterator<Item = &'a f64>) -> f64 {
    let count = values.len();
    if count == 0 { 0.0 } else { values.sum::<f64>() / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_from_a_long_queue_and_from_noise() {
        let facts = |first, last, processed| DepthFacts {
            kind: QueueKind::Celery,
            queue: "celery".to_owned(),
            hold_seconds: 60,
            covered: 60,
            first,
            last,
            processed,
        };
        for (word, facts) in [
            ("pass", facts(0.0, 0.4, Some(50.0))),
            ("fail", facts(3.0, 24.0, Some(20.0))),
            ("fail", facts(3.0, 24.0, None)),
            // Long, and not longer.
            ("pass", facts(80.0, 78.0, Some(50.0))),
            // Six more of a thousand.
            ("pass", facts(1.0, 7.0, Some(1000.0))),
            ("unknown", DepthFacts { covered: 20, ..facts(0.0, 0.0, Some(1.0)) }),
            ("unknown", DepthFacts { covered: 0, hold_seconds: 0, ..facts(0.0, 0.0, None) }),
        ] {
            assert_eq!(DepthStable::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
