//! What Huey's workers took, counted from outside: what was put in since the server started, less what waits. Knows no
//! worker.

use crate::probes::ProbeError;
use crate::probes::redis::Info;

use super::super::Done;
use super::{Broker, Keeps};

/// What was taken out of the queue since it was first looked at.
#[derive(Debug)]
pub(in crate::probes::jobs) struct Counter {
    broker: Broker,
    /// All of them: the server counts what is put into any.
    queues: Vec<String>,
    taken: Taken,
}

/// The count itself. While the queue is empty and nobody waits, its kind is not known: both are followed.
#[derive(Debug)]
struct Taken {
    keeps: Option<Keeps>,
    /// Tasks put in before the first look, less those that waited then; by kind.
    lists: u64,
    sets: u64,
    /// The most that was seen: two questions are never of the same instant.
    most: u64,
}

/// One look: how often each command put something in, and what waits.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    keeps: Option<Keeps>,
    pushed: u64,
    added: u64,
    waits: u64,
}

impl Counter {
    pub async fn begin(broker: &Broker) -> Result<Self, ProbeError> {
        let queues: Vec<String> = broker.queues().await?.into_keys().collect();
        let taken = Taken::since(look(broker, &queues, None).await?);
        Ok(Self { broker: broker.clone(), queues, taken })
    }

    pub async fn done(&mut self) -> Result<Vec<Done>, ProbeError> {
        let seen = look(&self.broker, &self.queues, self.taken.keeps).await?;
        Ok(vec![Done { worker: "huey".to_owned(), tasks: self.taken.now(seen), failed: None, active: None }])
    }
}

async fn look(broker: &Broker, queues: &[String], known: Option<Keeps>) -> Result<Look, ProbeError> {
    let keeps = if known.is_some() { known } else { broker.keeps().await? };
    let waits = broker.waiting(queues).await?.queued;
    let text: String = broker.redis.ask(redis::cmd("INFO").arg("commandstats")).await?;
    if !text.contains("cmdstat_") {
        return Err(ProbeError::odd(
            "the job broker's Redis",
            "no statistics of commands (INFO commandstats), by which Huey's tasks are counted",
        ));
    }
    let info = Info::parse(&text);
    let calls =
        |command| info.text(command).and_then(|text| text.split(',').next()?.strip_prefix("calls=")?.parse().ok());
    let (pushed, added) = (calls("cmdstat_lpush").unwrap_or(0), calls("cmdstat_zadd").unwrap_or(0));
    Ok(Look { keeps, pushed, added, waits })
}

impl Taken {
    fn since(first: Look) -> Self {
        let waits = |keeps| if first.keeps == Some(keeps) { first.waits } else { 0 };
        Self {
            keeps: first.keeps,
            lists: first.pushed.saturating_sub(waits(Keeps::List)),
            sets: first.added.saturating_sub(waits(Keeps::Set)),
            most: 0,
        }
    }

    fn now(&mut self, seen: Look) -> u64 {
        // Once seen it stays: an empty queue has no key that could tell.
        self.keeps = self.keeps.or(seen.keeps);
        let (lists, sets) = (seen.pushed.saturating_sub(self.lists), seen.added.saturating_sub(self.sets));
        let came = match self.keeps {
            Some(Keeps::List) => lists,
            Some(Keeps::Set) => sets,
            // A task that is to be done later is added to a set whatever the queue is, so only a set that is alone counts.
            None if lists == 0 => sets,
            None => lists,
        };
        self.most = self.most.max(came.saturating_sub(seen.waits));
        self.most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_queue_is_counted_although_it_is_empty_at_every_look() {
        let look = |keeps, pushed, added, waits| Look { keeps, pushed, added, waits };
        let (list, set) = (Some(Keeps::List), Some(Keeps::Set));
        for (first, seen, counted) in [
            // The consumer waits with bzpopmin, and takes each task at once.
            (look(set, 7, 100, 0), vec![look(set, 7, 110, 0), look(None, 9, 120, 0)], 20),
            // Its kind shows when a task waits for the first time.
            (look(None, 7, 100, 0), vec![look(None, 7, 104, 0), look(set, 7, 110, 3), look(None, 7, 112, 0)], 12),
            (look(list, 50, 100, 2), vec![look(None, 60, 130, 4)], 8),
            // Nothing told it: what is not pushed was added.
            (look(None, 7, 100, 0), vec![look(None, 7, 110, 0)], 10),
            (look(None, 7, 100, 0), vec![look(None, 27, 110, 0)], 20),
            // It never falls: the two questions are of two instants.
            (look(list, 5, 0, 0), vec![look(list, 9, 0, 0), look(list, 9, 0, 2)], 4),
        ] {
            let mut taken = Taken::since(first);
            let last = seen.iter().map(|seen| taken.now(*seen)).last();
            assert_eq!(last, Some(counted), "{first:?} {seen:?}");
        }
    }
}
