//! A task of our own, from the queue to its result.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::site::QueueKind;
use crate::probes::jobs;

use super::DOCS;

/// `jobs.canary`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Canary {
    /// How long it may take, seconds; 20 at most.
    limit_s: f64,
}

impl Default for Canary {
    fn default() -> Self {
        Self { limit_s: 8.0 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CanaryFacts {
    kind: QueueKind,
    queue: String,
    /// False when its owner did not agree.
    agreed: bool,
    /// None where the library brings no task of its own.
    seen: Option<jobs::Canary>,
    /// Tasks that waited before it was sent, and whether the first of them was taken meanwhile.
    #[serde(default)]
    ahead: u64,
    #[serde(default)]
    moved: bool,
}

impl Check for Canary {
    const ID: &'static str = "jobs.canary";
    const TITLE: &'static str = "a task goes all the way: queue, worker, result";
    const ABOUT: &'static str = "Puts one harmless task that the library itself brings (it adds two numbers) into the queue and waits until \
        it is done; what was written is removed again. Only where [site] queue_canary = true. Traps: a worker that lives and does \
        nothing, a result backend that leads elsewhere; a task behind a batch that is being worked off is not lost.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = CanaryFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<CanaryFacts, Missing> {
        let broker = ctx.probes.broker().await?;
        let agreed = ctx.probes.site.queue_canary;
        let limit = Duration::from_secs_f64(self.limit_s.clamp(1.0, 20.0));
        let (queue, ahead) = (broker.queue().to_owned(), broker.waiting().await?.queued);
        let heads = broker.heads(&[&queue]).await?;
        let seen = if agreed { broker.canary(limit).await? } else { None };
        let moved = broker.moved(&heads).await?.contains(&queue);
        Ok(CanaryFacts { kind: broker.kind(), queue, agreed, seen, ahead, moved })
    }

    fn judge(&self, facts: &CanaryFacts) -> CheckOutcome {
        let (queue, kind) = (&facts.queue, facts.kind);
        if !facts.agreed {
            return CheckOutcome::NotApplicable(
                "no task of rampup's own may be sent: [site] queue_canary = true allows one".to_owned(),
            );
        }
        let Some(seen) = &facts.seen else {
            return CheckOutcome::NotApplicable(format!(
                "{} brings no task of its own; the ramp shows it",
                kind.name()
            ));
        };
        match (seen.taken, seen.done_ms, seen.counted) {
            (false, ..) if facts.moved => CheckOutcome::Unknown(Missing::new(
                format!(
                    "{} tasks waited before ours in queue {queue:?}: workers take them, and did not come to ours within {} s",
                    facts.ahead, self.limit_s
                ),
                "run the step again when the queue is shorter; if it always is this long, jobs.depth-stable says whether it grows",
            )),
            (false, ..) => CheckOutcome::fail(
                format!("a task in queue {queue:?} was not taken within {} s", self.limit_s),
                format!("start a worker for it: {}; and look whether those that run are busy", kind.start(queue)),
            ),
            (true, None, _) => CheckOutcome::fail(
                format!("a task was taken out of queue {queue:?} and nothing came of it within {} s", self.limit_s),
                "look at the worker's log for this task (celery.accumulate or operator.add)",
            ),
            (true, Some(_), true) => CheckOutcome::weak(
                format!("a worker did a task of queue {queue:?}, but its result is not on the broker's Redis"),
                "nothing to do if you do not read results; else lead CELERY_RESULT_BACKEND to a Redis that both app and worker reach",
            ),
            (true, Some(_), false) => match seen.result.as_deref() {
                Some(result) if result.to_lowercase().contains("fail") => CheckOutcome::fail(
                    format!("the worker took a task of queue {queue:?} and failed: {result}"),
                    "look at the worker's log; it must accept JSON (Celery: accept_content) or pickle (RQ: its default serializer)",
                ),
                _ => CheckOutcome::Pass,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_is_not_done_and_done_is_not_kept() {
        let seen = |taken, done_ms, result: Option<&str>, counted| {
            Some(jobs::Canary { id: "x".to_owned(), taken, done_ms, result: result.map(str::to_owned), counted })
        };
        let facts = |seen| CanaryFacts {
            kind: QueueKind::Celery,
            queue: "celery".to_owned(),
            agreed: true,
            seen,
            ahead: 0,
            moved: false,
        };
        for (word, facts) in [
            ("pass", facts(seen(true, Some(54), Some("\"SUCCESS\" 5"), false))),
            ("pass", facts(seen(true, Some(54), Some("finished"), false))),
            ("fail", facts(seen(true, Some(54), Some("failed"), false))),
            ("fail", facts(seen(true, Some(54), Some("\"FAILURE\" {}"), false))),
            ("fail", facts(seen(false, None, None, false))),
            // Behind a batch that is being worked off, and behind one that is not.
            ("unknown", CanaryFacts { ahead: 18, moved: true, ..facts(seen(false, None, None, false)) }),
            ("fail", CanaryFacts { ahead: 18, ..facts(seen(false, None, None, false)) }),
            ("fail", facts(seen(true, None, None, false))),
            ("weak", facts(seen(true, Some(4000), None, true))),
            ("n/a", facts(None)),
            ("n/a", CanaryFacts { agreed: false, ..facts(None) }),
        ] {
            assert_eq!(Canary::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
