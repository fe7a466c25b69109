//! Background work behind one face, whichever library does it: who serves which queue, what waits, what is done. Each
//! library's own words are in a file of its own; which one it is, the keys on the broker tell.

mod celery;
mod huey;
mod rq;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::site::{Key, QueueKind};

use super::ProbeError;
use super::redis::Redis;

const SYSTEM: &str = "the job broker's Redis";
/// Queues and workers looked at, at most.
const MOST: usize = 100;
/// The queue's name when nobody wrote one: Celery's own default.
const UNNAMED: &str = "celery";

/// The broker, and the queue that matters.
#[derive(Debug, Clone)]
pub struct Broker {
    redis: Redis,
    queue: String,
    library: Library,
}

#[derive(Debug, Clone)]
enum Library {
    Celery(celery::Broker),
    Rq(rq::Broker),
    Huey(huey::Broker),
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// Tasks nobody has taken yet, of all priorities.
    pub queued: u64,
    /// Tasks handed out and not acknowledged.
    pub taken: u64,
    /// Age of the oldest of them, seconds; none where the library does not write it down.
    pub oldest_s: Option<f64>,
}

/// Who works.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Workers {
    /// Those that showed a sign of life just now.
    pub heard: Vec<String>,
    /// Queues by worker, as far as the library tells.
    pub consumed: BTreeMap<String, Vec<String>>,
}

/// What became of a task of our own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Canary {
    /// Its id.
    pub id: String,
    /// True when it left the queue.
    pub taken: bool,
    /// When it was done, ms after it was sent.
    pub done_ms: Option<u64>,
    /// Its result, when one was kept.
    pub result: Option<String>,
    /// True when only the workers' own count told that it was done.
    pub counted: bool,
}

/// Tasks that one worker has done since it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its name.
    pub worker: String,
    /// How many.
    pub tasks: u64,
}

/// Counts what the workers do.
#[derive(Debug)]
pub struct Tally(Counter);

#[derive(Debug)]
enum Counter {
    Celery(celery::Heartbeats),
    Rq(rq::Broker),
    Huey(huey::Counter),
}

impl Broker {
    /// Connects, and finds out which library it is: `kind` when its owner says so, the keys on the broker, then what
    /// the app's settings say (`written`), else Celery.
    ///
    /// # Errors
    /// As [`Redis::connect`]; a broker that is no Redis.
    pub async fn connect(
        key: &Key,
        named: &str,
        kind: Option<QueueKind>,
        written: impl FnOnce() -> Option<QueueKind>,
    ) -> Result<Self, ProbeError> {
        if let Some(error) = other_transport(key.secret.expose(), &key.variable) {
            return Err(error);
        }
        let redis = Redis::connect(key, SYSTEM).await?;
        let kind = match kind {
            Some(kind) => kind,
            None => detect(&redis).await?.or_else(written).unwrap_or_default(),
        };
        let unnamed = named == UNNAMED;
        let queue = match kind {
            QueueKind::Rq if unnamed => "default".to_owned(),
            QueueKind::Huey if unnamed => huey::only(&redis).await?,
            QueueKind::Huey => huey::clean(named),
            _ => named.to_owned(),
        };
        let library = match kind {
            QueueKind::Celery => Library::Celery(celery::Broker::new(redis.clone(), &queue, &key.variable)),
            QueueKind::Rq => Library::Rq(rq::Broker::new(redis.clone(), &queue)),
            QueueKind::Huey => Library::Huey(huey::Broker::new(redis.clone(), &queue)),
        };
        Ok(Self { redis, queue, library })
    }

    /// The Redis below.
    #[must_use]
    pub fn redis(&self) -> &Redis {
        &self.redis
    }

    /// Which library it is.
    #[must_use]
    pub fn kind(&self) -> QueueKind {
        match self.library {
            Library::Celery(_) => QueueKind::Celery,
            Library::Rq(_) => QueueKind::Rq,
            Library::Huey(_) => QueueKind::Huey,
        }
    }

    /// The queue that matters.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// What waits in the queue.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn waiting(&self) -> Result<Waiting, ProbeError> {
        match &self.library {
            Library::Celery(library) => library.waiting().await,
            Library::Rq(library) => library.waiting().await,
            Library::Huey(library) => library.waiting().await,
        }
    }

    /// How many tasks are not done yet.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn depth(&self) -> Result<u64, ProbeError> {
        self.waiting().await.map(|waiting| waiting.queued + waiting.taken)
    }

    /// Every queue known on this broker, and what waits in it.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn queues(&self) -> Result<BTreeMap<String, u64>, ProbeError> {
        match &self.library {
            Library::Celery(library) => library.queues().await,
            Library::Rq(library) => library.queues().await,
            Library::Huey(library) => library.queues().await,
        }
    }

    /// Who works, listening for so long where workers speak by themselves.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn workers(&self, listen: Duration) -> Result<Workers, ProbeError> {
        match &self.library {
            Library::Celery(library) => {
                let mut heartbeats = library.heartbeats().await?;
                let (heard, consumed) = tokio::join!(heartbeats.gather(listen), library.consumed(listen));
                Ok(Workers { heard: heard.into_iter().map(|beat| beat.worker).collect(), consumed: consumed? })
            }
            Library::Rq(library) => library.workers().await,
            Library::Huey(library) => library.workers().await,
        }
    }

    /// What Celery's workers say of their configuration, by worker; none for another library.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn conf(&self, limit: Duration) -> Result<Option<BTreeMap<String, serde_json::Value>>, ProbeError> {
        match &self.library {
            Library::Celery(library) => library.ask("conf", limit).await.map(Some),
            Library::Rq(_) | Library::Huey(_) => Ok(None),
        }
    }

    /// Sends a task of our own through the queue; what was written is removed again. None for a library that brings
    /// no task of its own.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn canary(&self, limit: Duration) -> Result<Option<Canary>, ProbeError> {
        match &self.library {
            Library::Celery(library) => library.canary(limit).await.map(Some),
            Library::Rq(library) => library.canary(limit).await.map(Some),
            Library::Huey(_) => Ok(None),
        }
    }

    /// Begins to count.
    ///
    /// # Errors
    /// No connection.
    pub async fn tally(&self) -> Result<Tally, ProbeError> {
        Ok(Tally(match &self.library {
            Library::Celery(library) => Counter::Celery(library.heartbeats().await?),
            Library::Rq(library) => Counter::Rq(library.clone()),
            Library::Huey(library) => Counter::Huey(library.counter().await?),
        }))
    }
}

impl Tally {
    /// What was heard of workers, newest of each, within some time.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn read(&mut self, time: Duration) -> Result<Vec<Done>, ProbeError> {
        match &mut self.0 {
            Counter::Celery(heartbeats) => heartbeats.done(time).await,
            Counter::Rq(library) => library.done().await,
            Counter::Huey(counter) => counter.done().await,
        }
    }
}

/// Which library left its keys, or listens.
async fn detect(redis: &Redis) -> Result<Option<QueueKind>, ProbeError> {
    let channel = format!("/{}.celery.pidbox", redis.database());
    let listeners: Vec<(String, u64)> = redis.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg(channel)).await?;
    if listeners.iter().any(|(_, listening)| *listening > 0) {
        return Ok(Some(QueueKind::Celery));
    }
    let rq: u64 = redis.ask(redis::cmd("EXISTS").arg("rq:workers").arg("rq:queues")).await?;
    if rq > 0 {
        return Ok(Some(QueueKind::Rq));
    }
    if redis.find("huey.*").await?.is_some() {
        return Ok(Some(QueueKind::Huey));
    }
    if redis.find("_kombu.binding.*").await?.is_some() {
        return Ok(Some(QueueKind::Celery));
    }
    // An idle Huey leaves no key at all; whoever waits for a task here and is none of the others is its consumer.
    let waits =
        huey::Broker::new(redis.clone(), UNNAMED).workers().await.is_ok_and(|workers| !workers.heard.is_empty());
    Ok(waits.then_some(QueueKind::Huey))
}

/// Which library the app's settings speak of; none when they speak of several or of none.
pub(super) fn written<'a>(texts: impl Iterator<Item = &'a str>) -> Option<QueueKind> {
    let words = [
        ("CELERY_", QueueKind::Celery),
        ("RQ_QUEUES", QueueKind::Rq),
        ("RQ_", QueueKind::Rq),
        ("HUEY", QueueKind::Huey),
    ];
    let mut found: Vec<QueueKind> = Vec::new();
    for line in texts.flat_map(str::lines).map(str::trim_start) {
        let kind = words.iter().find(|(word, _)| line.starts_with(word)).map(|(_, kind)| *kind);
        found.extend(kind.filter(|kind| !found.contains(kind)));
    }
    if let [only] = found.as_slice() { Some(*only) } else { None }
}

/// A broker that is spoken to in another protocol.
fn other_transport(address: &str, variable: &str) -> Option<ProbeError> {
    let scheme = address.split("://").next().unwrap_or_default().to_ascii_lowercase();
    let (name, look) = match scheme.as_str() {
        "amqp" | "amqps" | "pyamqp" => (
            "RabbitMQ",
            "celery -A yourproject inspect ping && celery -A yourproject inspect active_queues, and on its server: \
             rabbitmqctl list_queues name messages messages_unacknowledged consumers",
        ),
        "sqs" => (
            "Amazon SQS, where workers cannot be asked",
            "aws sqs get-queue-attributes --queue-url URL --attribute-names ApproximateNumberOfMessages \
             ApproximateNumberOfMessagesNotVisible, twice: it must not grow",
        ),
        _ => return None,
    };
    Some(ProbeError::NotGiven {
        what: format!("{variable} leads to {name}; rampup asks brokers on Redis only"),
        provide: format!("see it yourself: {look}; then waive this check with what you saw"),
    })
}

fn millis(since: tokio::time::Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_broker_is_named_with_the_command_that_tells_and_without_its_password() {
        for (address, word) in
            [("amqp://u:geheim@h/v", "RabbitMQ"), ("amqps://u:geheim@h", "rabbitmqctl"), ("sqs://a:geheim@", "aws sqs")]
        {
            let said = other_transport(address, "BROKER_URL").unwrap().to_string();
            assert!(said.contains(word) && said.contains("BROKER_URL") && !said.contains("geheim"), "{said}");
        }
        assert!(other_transport("redis://h:6379/0", "BROKER_URL").is_none());
    }

    #[test]
    fn settings_tell_the_library_only_when_they_speak_of_one() {
        let of = |text: &str| written(std::iter::once(text));
        assert_eq!(of("CELERY_BROKER_URL = 1\nCELERY_X = 2"), Some(QueueKind::Celery));
        assert_eq!(of("RQ_QUEUES = {}"), Some(QueueKind::Rq));
        assert_eq!(of("HUEY = {}\n"), Some(QueueKind::Huey));
        assert_eq!(of("HUEY = {}\nCELERY_BROKER_URL = 1"), None);
        assert_eq!(of("# HUEY is not used"), None);
    }
}
