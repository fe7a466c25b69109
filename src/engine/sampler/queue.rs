//! The job queue and its workers, once a second. Knows how to read both, not what is too much.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::domain::check::Missing;
use crate::domain::measurement::series;
use crate::probes::jobs::{Done, Tally, Watch};
use crate::probes::{ProbeError, Probes};

use super::sources::{READING, Source, Values, real};

/// A worker that was not heard for this long is not counted on. Heartbeats come every two seconds.
const SILENCE: Duration = Duration::from_secs(6);

/// What waits in the broker's queues.
#[derive(Debug)]
pub(super) struct Queue;

impl Source for Queue {
    type Connection = Watch;

    async fn connect(&self, probes: &Probes) -> Result<Watch, ProbeError> {
        probes.broker().await?.watch().await
    }

    async fn read(&mut self, connection: &mut Watch) -> Result<Values, ProbeError> {
        let waiting = connection.read().await?;
        let mut values = vec![
            (series::QUEUE_DEPTH, real(waiting.queued + waiting.taken)),
            (series::QUEUE_LATER, real(waiting.later)),
            (series::QUEUE_RETRIED, real(connection.retried())),
        ];
        if connection.taken_is_active() {
            values.push((series::QUEUE_ACTIVE, real(waiting.taken)));
        }
        Ok(values)
    }
}

/// The workers' own count of tasks done, from heartbeats or the broker's keys.
#[derive(Debug, Default)]
pub(super) struct Workers {
    heard: BTreeMap<String, Worker>,
}

#[derive(Debug)]
struct Worker {
    /// Tasks done since we first heard of it: what it did before is not this ramp's.
    done: u64,
    /// Of these, the ones that failed; none where it does not count them.
    failed: Option<u64>,
    /// Its own counts at its last heartbeat.
    count: u64,
    bad: Option<u64>,
    /// Tasks it was at then, where it says so.
    active: Option<u64>,
    last: Instant,
}

impl Workers {
    fn hear(&mut self, said: Done, at: Instant) {
        let (count, bad, active) = (said.tasks, said.failed, said.active);
        let new = Worker { done: 0, failed: bad.map(|_| 0), count, bad, active, last: at };
        let worker = self.heard.entry(said.worker).or_insert(new);
        // A count that fell is a restart: it counts from zero again.
        worker.done += count.checked_sub(worker.count).unwrap_or(count);
        if let (Some(failed), Some(before), Some(bad)) = (&mut worker.failed, worker.bad, bad) {
            *failed += bad.checked_sub(before).unwrap_or(bad);
        }
        (worker.count, worker.bad, worker.active, worker.last) = (count, bad, active, at);
    }

    fn awake(&self, now: Instant) -> impl Iterator<Item = &Worker> {
        self.heard.values().filter(move |worker| now.duration_since(worker.last) < SILENCE)
    }

    /// Tasks done by all workers; none when all of them are silent.
    fn processed(&self, now: Instant) -> Option<u64> {
        self.awake(now).next().map(|_| self.heard.values().map(|w| w.done).sum())
    }

    /// Tasks that failed; none where nobody counts them, or all are silent.
    fn failed(&self, now: Instant) -> Option<u64> {
        self.awake(now).next()?;
        self.heard.values().filter_map(|worker| worker.failed).reduce(|one, other| one + other)
    }

    /// Tasks that those who were heard lately are at; none when nobody says so.
    fn active(&self, now: Instant) -> Option<u64> {
        self.awake(now).filter_map(|worker| worker.active).reduce(|one, other| one + other)
    }
}

impl Source for Workers {
    type Connection = Tally;

    async fn connect(&self, probes: &Probes) -> Result<Tally, ProbeError> {
        probes.broker().await?.tally().await
    }

    async fn read(&mut self, connection: &mut Tally) -> Result<Values, ProbeError> {
        // Where workers speak by themselves it listens for half of the second; what comes later waits for the next.
        for done in connection.read(READING / 2).await? {
            self.hear(done, Instant::now());
        }
        let now = Instant::now();
        let processed = self.processed(now).map(|done| (series::QUEUE_PROCESSED, real(done)));
        let active = self.active(now).map(|active| (series::QUEUE_ACTIVE, real(active)));
        let failed = self.failed(now).map(|failed| (series::QUEUE_FAILED, real(failed)));
        Ok(processed.into_iter().chain(active).chain(failed).collect())
    }

    fn last(&self) -> Option<Missing> {
        self.heard.is_empty().then(|| {
            Missing::new(
                "no worker was heard on the job broker",
                "start a worker (Celery: celery -A yourproject worker) with the broker address in [services] broker_env, without --without-heartbeat",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(worker: &str, tasks: u64, active: Option<u64>) -> Done {
        Done { worker: worker.to_owned(), tasks, failed: None, active }
    }

    #[test]
    fn failures_count_from_when_their_worker_is_first_heard() {
        let start = Instant::now();
        let mut workers = Workers::default();
        workers.hear(said("a", 700, None), start);
        assert_eq!(workers.failed(start), None);
        workers.hear(Done { failed: Some(40), ..said("b", 90, None) }, start);
        assert_eq!(workers.failed(start), Some(0));
        workers.hear(Done { failed: Some(43), ..said("b", 94, None) }, start);
        workers.hear(Done { failed: Some(2), ..said("b", 2, None) }, start);
        assert_eq!(workers.failed(start), Some(5));
    }

    #[test]
    fn workers_count_from_when_they_are_first_heard() {
        let start = Instant::now();
        let mut workers = Workers::default();
        assert_eq!(workers.processed(start), None);
        workers.hear(said("a", 700, None), start);
        assert_eq!(workers.processed(start), Some(0));
        workers.hear(said("a", 703, None), start);
        // One that is heard late brings nothing of its past; one that restarts counts on.
        workers.hear(said("b", 10_000, None), start);
        workers.hear(said("a", 2, None), start);
        assert_eq!(workers.processed(start), Some(5));
        assert_eq!(workers.processed(start + SILENCE), None);
    }

    #[test]
    fn what_is_being_worked_on_is_the_sum_of_those_who_were_heard_lately() {
        let start = Instant::now();
        let mut workers = Workers::default();
        workers.hear(said("a", 1, Some(2)), start);
        workers.hear(said("b", 1, Some(3)), start + SILENCE / 2);
        assert_eq!(workers.active(start + SILENCE / 2), Some(5));
        assert_eq!(workers.active(start + SILENCE), Some(3));
        workers.hear(said("b", 1, None), start + SILENCE);
        assert_eq!(workers.active(start + SILENCE), None);
    }
}
