//! Is a worker there, on the broker's own database, for the app's queue?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::site::QueueKind;
use crate::probes::jobs::Workers;

use super::DOCS;

/// `jobs.worker-alive`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WorkerAlive {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct AliveFacts {
    #[serde(default)]
    kind: QueueKind,
    queue: String,
    #[serde(flatten)]
    workers: Workers,
    /// Tasks that wait.
    depth: u64,
}

impl Check for WorkerAlive {
    const ID: &'static str = "jobs.worker-alive";
    const TITLE: &'static str = "a worker is alive and serves the app's queue";
    const ABOUT: &'static str = "Looks for workers on the broker's own database and for the queues they consume; the app's queue must be \
        among them. Celery: heartbeats, and each worker's own answer. RQ: workers that listen on their channel now; a killed one's \
        entry stays for minutes. Huey: consumers that wait for a task. Traps: a worker on another database number or another queue, a \
        queue that looks empty because its tasks sit in priority lists or are handed out (they are counted).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = AliveFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<AliveFacts, Missing> {
        // Celery's heartbeats come every two seconds; asking for queues goes on meanwhile.
        const LISTEN: std::time::Duration = std::time::Duration::from_millis(4500);
        let broker = ctx.probes.broker().await?;
        Ok(AliveFacts {
            kind: broker.kind(),
            queue: broker.queue().to_owned(),
            workers: broker.workers(LISTEN).await?,
            depth: broker.depth().await?,
        })
    }

    fn judge(&self, facts: &AliveFacts) -> CheckOutcome {
        let (queue, kind, workers) = (&facts.queue, facts.kind, &facts.workers);
        if workers.consumed.values().any(|queues| queues.contains(queue)) {
            return CheckOutcome::Pass;
        }
        if !workers.consumed.is_empty() {
            let theirs: Vec<&str> = workers.consumed.values().flatten().map(String::as_str).collect();
            return CheckOutcome::fail(
                format!("no worker serves queue {queue:?}; they serve {}", theirs.join(", ")),
                format!("start a worker for it: {}; or correct [site] queue in rampup.toml", kind.start(queue)),
            );
        }
        match (kind, workers.heard.is_empty()) {
            // They do not tell which queue they wait on; that what is sent gets done, the ramp shows.
            (QueueKind::Huey, false) => CheckOutcome::Pass,
            (_, false) => CheckOutcome::Unknown(Missing::new(
                format!("{} is alive, but does not say which queues it serves", workers.heard.join(", ")),
                "leave worker_enable_remote_control on (it is by default)",
            )),
            (_, true) => CheckOutcome::fail(
                format!(
                    "no {} worker was seen on the broker of queue {queue:?}; {} tasks wait",
                    kind.name(),
                    facts.depth
                ),
                format!(
                    "start one as a service of its own, with the same broker address and database number as the app: {}{}. If another \
                     library does the work, say so: [site] queue_kind = \"celery\", \"rq\" or \"huey\"",
                    kind.start(queue),
                    if kind == QueueKind::Celery { "; install packaging beside celery[redis]" } else { "" },
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alive_traps() {
        let facts = |heard: &[&str], consumed: &[(&str, &str)]| AliveFacts {
            kind: QueueKind::Celery,
            queue: "celery".to_owned(),
            workers: Workers {
                heard: heard.iter().map(|s| (*s).to_owned()).collect(),
                consumed: consumed.iter().map(|(w, q)| ((*w).to_owned(), vec![(*q).to_owned()])).collect(),
            },
            depth: 3,
        };
        for (word, facts) in [
            ("pass", facts(&["a"], &[("a", "celery")])),
            // Heartbeats switched off.
            ("pass", facts(&[], &[("a", "celery")])),
            ("pass", facts(&["a", "b"], &[("a", "mail"), ("b", "celery")])),
            // The wrong queue.
            ("fail", facts(&["a"], &[("a", "mail")])),
            ("fail", facts(&[], &[])),
            ("unknown", facts(&["a"], &[])),
            ("fail", AliveFacts { kind: QueueKind::Rq, ..facts(&[], &[]) }),
            ("fail", AliveFacts { kind: QueueKind::Huey, ..facts(&[], &[]) }),
            ("pass", AliveFacts { kind: QueueKind::Huey, ..facts(&["client 3"], &[]) }),
        ] {
            assert_eq!(WorkerAlive::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
