//! Counting over time: what waits second by second, what the workers did, and from both what came in. Knows no library
//! by itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::probes::ProbeError;

use super::{Broker, Done, Library, Waiting, celery, huey, rq};

/// Workers that speak by themselves are heard at least once in this time.
const HEARD: Duration = Duration::from_millis(2300);
/// How often queues are looked for that were not there before.
const AGAIN: Duration = Duration::from_secs(5);
/// Workers that are asked how they acknowledge answer in this time, or it is not known.
const ASKED: Duration = Duration::from_secs(1);

/// Looks at what waits in all queues of the broker again and again: tasks that are sent to another queue than the one that
/// matters wait all the same. What it read once of a task it does not read again.
#[derive(Debug)]
pub struct Watch {
    broker: Broker,
    reserved: celery::Reserved,
    queues: Queues,
}

/// The names of all queues. They are looked for beside the readings: one may be declared in the midst of a ramp, and a
/// search through many keys takes longer than a reading may.
#[derive(Debug)]
struct Queues {
    names: watch::Receiver<Vec<String>>,
    looking: JoinHandle<()>,
}

impl Queues {
    async fn of(broker: &Broker) -> Result<Self, ProbeError> {
        let (sender, names) = watch::channel(broker.queues().await?.into_keys().collect());
        let broker = broker.clone();
        let looking = tokio::spawn(async move {
            loop {
                tokio::time::sleep(AGAIN).await;
                // What cannot be asked now is asked the next time; until then those are watched that are known.
                if let Ok(found) = broker.queues().await {
                    sender.send_replace(found.into_keys().collect());
                }
            }
        });
        Ok(Self { names, looking })
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

/// Counts what the workers do.
#[derive(Debug)]
pub struct Tally(Counter);

#[derive(Debug)]
enum Counter {
    Celery {
        heartbeats: celery::Heartbeats,
        /// What they are at is still among what was handed out.
        late: bool,
    },
    Rq(rq::Broker),
    Huey(huey::Counter),
}

/// Tasks that came in within some time.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Came {
    /// How many; done, or waiting in addition.
    pub tasks: f64,
    /// How long it was watched, seconds.
    pub seconds: f64,
}

impl Broker {
    /// Begins to look at what waits.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn watch(&self) -> Result<Watch, ProbeError> {
        let queues = Queues::of(self).await?;
        Ok(Watch { broker: self.clone(), reserved: celery::Reserved::default(), queues })
    }

    /// Begins to count.
    ///
    /// # Errors
    /// No connection.
    pub async fn tally(&self) -> Result<Tally, ProbeError> {
        Ok(Tally(match &self.library {
            Library::Celery(library) => {
                Counter::Celery { heartbeats: library.heartbeats().await?, late: library.acks_late(ASKED).await? }
            }
            Library::Rq(library) => Counter::Rq(library.clone()),
            Library::Huey(library) => Counter::Huey(library.counter().await?),
        }))
    }

    /// Counts for so long what comes in, and a few seconds more to hear the workers; none when none was heard twice.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn came(&self, over: Duration) -> Result<Option<Came>, ProbeError> {
        let (mut watch, mut tally) = (self.watch().await?, self.tally().await?);
        let first = tally.read(HEARD).await?;
        let (before, began) = (watch.read().await?, tokio::time::Instant::now());
        let retried = watch.retried();
        tokio::time::sleep(over).await;
        let later = tally.read(HEARD).await?;
        let (after, seconds) = (watch.read().await?, began.elapsed().as_secs_f64());
        let (Some(done), held) =
            (done(&first, &later), |waiting: Waiting| waiting.queued + waiting.taken + waiting.later)
        else {
            return Ok(None);
        };
        #[expect(clippy::cast_precision_loss, reason = "tasks of a minute")]
        let [done, after, before, again] =
            [done, held(after), held(before), watch.retried() - retried].map(|n| n as f64);
        let tasks = (done + after - before - again).max(0.0);
        Ok(Some(Came { tasks, seconds }))
    }
}

/// Tasks done between two readings, by workers that are in both: what a new one did before is nobody's. None when no
/// worker is.
fn done(first: &[Done], later: &[Done]) -> Option<u64> {
    let newest = |all: &[Done]| all.iter().map(|one| (one.worker.clone(), one.tasks)).collect::<BTreeMap<_, _>>();
    let (first, later) = (newest(first), newest(later));
    let rises: Vec<u64> = later
        .iter()
        .filter_map(|(worker, tasks)| Some(tasks.checked_sub(*first.get(worker)?).unwrap_or(*tasks)))
        .collect();
    (!rises.is_empty()).then(|| rises.iter().sum())
}

impl Watch {
    /// What waits now.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn read(&mut self) -> Result<Waiting, ProbeError> {
        let queues = self.queues.names.borrow().clone();
        self.broker.waiting_in(&queues, &mut self.reserved).await
    }

    /// Tasks that were seen waiting to be tried again since the first reading, each try counted (Celery).
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.reserved.retried()
    }

    /// True where what was taken is what is being worked on: no worker holds more in its hands.
    #[must_use]
    pub fn taken_is_active(&self) -> bool {
        matches!(self.broker.library, Library::Rq(_))
    }
}

impl Tally {
    /// What was heard of workers, oldest first, within some time.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn read(&mut self, time: Duration) -> Result<Vec<Done>, ProbeError> {
        match &mut self.0 {
            Counter::Celery { heartbeats, late } => {
                let mut done = heartbeats.done(time).await?;
                if !*late {
                    // It was acknowledged when it was begun: it does not wait, and is not among what does.
                    done.iter_mut().for_each(|one| one.active = None);
                }
                Ok(done)
            }
            Counter::Rq(library) => library.done().await,
            Counter::Huey(counter) => counter.done().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_workers_that_were_there_before_are_counted() {
        let of = |all: &[(&str, u64)]| {
            all.iter()
                .map(|(w, n)| Done { worker: (*w).to_owned(), tasks: *n, failed: None, active: None })
                .collect::<Vec<_>>()
        };
        for (first, later, counted) in [
            (vec![("a", 700)], vec![("a", 701), ("a", 703)], Some(3)),
            (vec![("a", 700)], vec![("a", 703), ("b", 9000)], Some(3)),
            // It began anew.
            (vec![("a", 700)], vec![("a", 2)], Some(2)),
            (vec![("a", 700)], vec![], None),
            (vec![], vec![("a", 7)], None),
        ] {
            assert_eq!(done(&of(&first), &of(&later)), counted, "{first:?} {later:?}");
        }
    }
}
