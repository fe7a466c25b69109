//! Is a worker there, on the broker's own database, for the app's queue?

use std::time::Duration;

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
    /// True when a task that was next in the queue was taken while we looked.
    #[serde(default)]
    moved: bool,
    /// Whether a task of our own was done, where nothing else told and its owner agreed to one.
    #[serde(default)]
    own_done: Option<bool>,
}

impl Check for WorkerAlive {
    const ID: &'static str = "jobs.worker-alive";
    const TITLE: &'static str = "a worker is alive and serves the app's queue";
    const ABOUT: &'static str = "Looks for workers on the broker's own database and for the queues they consume; the app's queue must be \
        among them. Celery: heartbeats, and each worker's own answer. RQ: workers that listen on their channel now; a killed one's \
        entry stays for minutes. Huey: consumers that wait for a task. Where they do not tell, a task that is taken from the queue while \
        it is watched shows it, or one of rampup's own ([site] queue_canary). Traps: a worker on another database number or another \
        queue; one that is busy, or takes no questions, is not nobody; a queue that looks empty because its tasks sit in priority \
        lists or are handed out (they are counted).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = AliveFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<AliveFacts, Missing> {
        // Celery's heartbeats come every two seconds; asking for queues goes on meanwhile.
        const LISTEN: Duration = Duration::from_millis(4500);
        const CANARY: Duration = Duration::from_secs(8);
        let broker = ctx.probes.broker().await?;
        let queue = broker.queue().to_owned();
        let heads = broker.heads(&[&queue]).await?;
        let workers = broker.workers(LISTEN).await?;
        let moved = broker.moved(&heads).await?.contains(&queue);
        let open = !moved && !workers.serve(&queue) && broker.kind() != QueueKind::Huey && workers.untold() > 0;
        let own = if open && ctx.probes.site.queue_canary { broker.canary(CANARY).await? } else { None };
        Ok(AliveFacts {
            kind: broker.kind(),
            depth: broker.depth().await?,
            own_done: own.map(|own| own.done_ms.is_some()),
            queue,
            workers,
            moved,
        })
    }

    fn judge(&self, facts: &AliveFacts) -> CheckOutcome {
        let (queue, kind, workers) = (&facts.queue, facts.kind, &facts.workers);
        if workers.serve(queue) || facts.moved || facts.own_done == Some(true) {
            return CheckOutcome::Pass;
        }
        // They do not tell which queue they wait on; that what is sent gets done, the ramp shows.
        if kind == QueueKind::Huey && !workers.heard.is_empty() {
            return CheckOutcome::Pass;
        }
        if workers.untold() > 0 {
            return CheckOutcome::Unknown(untold(facts));
        }
        if !workers.consumed.is_empty() {
            let theirs: Vec<&str> = workers.consumed.values().flatten().map(String::as_str).collect();
            return CheckOutcome::fail(
                format!("no worker serves queue {queue:?}; they serve {}", theirs.join(", ")),
                format!("start a worker for it: {}; or correct [site] queue in rampup.toml", kind.start(queue)),
            );
        }
        CheckOutcome::fail(
            format!("no {} worker was seen on the broker of queue {queue:?}; {} tasks wait", kind.name(), facts.depth),
            format!(
                "start one as a service of its own, with the same broker address and database number as the app: {}. If another \
                 library does the work, say so: [site] queue_kind = \"celery\", \"rq\" or \"huey\"",
                kind.start(queue),
            ),
        )
    }
}

/// Somebody is there, and whether for this queue is not known.
fn untold(facts: &AliveFacts) -> Missing {
    let (queue, workers) = (&facts.queue, &facts.workers);
    let told = workers.consumed.len();
    let what = match (facts.kind, workers.heard.as_slice()) {
        (QueueKind::Huey, _) => {
            "a consumer of Huey looks for tasks that are due, and no worker of it waits for one: all are busy, \
                                 or it serves another queue"
                .to_owned()
        }
        (_, []) => format!(
            "{} of {} workers on the broker did not say in time which queues they serve",
            workers.untold(),
            workers.untold() + told as u64
        ),
        (_, heard) => {
            let silent: Vec<&str> =
                heard.iter().filter(|name| !workers.consumed.contains_key(*name)).map(String::as_str).collect();
            format!(
                "{} did not say in time which queues they serve",
                if silent.is_empty() { "a worker".to_owned() } else { silent.join(", ") }
            )
        }
    };
    let own = if facts.own_done == Some(false) { "; a task of rampup's own was not done either" } else { "" };
    let provide = match facts.kind {
        QueueKind::Huey => format!(
            "run the step again when queue {queue:?} is shorter, or start more workers: run_huey -w 8 -k thread"
        ),
        _ => format!(
            "leave worker_enable_remote_control on (it is by default) and run the step again when the workers are less busy; or allow \
             one task of rampup's own: [site] queue_canary = true. See it: celery -A yourproject inspect active_queues -t 10, which \
             must name {queue}"
        ),
    };
    Missing::new(format!("{what}{own}"), provide)
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
                silent: 0,
            },
            depth: 3,
            moved: false,
            own_done: None,
        };
        let silent = |silent, facts: AliveFacts| AliveFacts { workers: Workers { silent, ..facts.workers }, ..facts };
        for (word, facts) in [
            ("pass", facts(&["a"], &[("a", "celery")])),
            // Heartbeats switched off.
            ("pass", facts(&[], &[("a", "celery")])),
            ("pass", facts(&["a", "b"], &[("a", "mail"), ("b", "celery")])),
            // The wrong queue.
            ("fail", facts(&["a"], &[("a", "mail")])),
            ("fail", facts(&[], &[])),
            ("unknown", facts(&["a"], &[])),
            // It listens and is too busy to answer; remote control and heartbeats are off, and somebody waits for tasks.
            ("unknown", silent(1, facts(&[], &[]))),
            ("unknown", silent(1, AliveFacts { own_done: Some(false), ..facts(&[], &[]) })),
            // One told of another queue, the other did not answer.
            ("unknown", facts(&["a", "b"], &[("a", "mail")])),
            ("unknown", silent(1, facts(&[], &[("a", "mail")]))),
            // What it does tells more than what it says.
            ("pass", AliveFacts { moved: true, ..silent(1, facts(&[], &[])) }),
            ("pass", AliveFacts { own_done: Some(true), ..facts(&["a"], &[]) }),
            ("fail", AliveFacts { kind: QueueKind::Rq, ..facts(&[], &[]) }),
            ("fail", AliveFacts { kind: QueueKind::Huey, ..facts(&[], &[]) }),
            ("pass", AliveFacts { kind: QueueKind::Huey, ..facts(&["client 3"], &[]) }),
            // All of its workers are at a task.
            ("unknown", AliveFacts { kind: QueueKind::Huey, ..silent(1, facts(&[], &[])) }),
        ] {
            assert_eq!(WorkerAlive::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
