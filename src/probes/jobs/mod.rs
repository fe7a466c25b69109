//! Background work behind one face, whichever library does it: who serves which queue, what waits, what is done. Each
//! library's own words are in a file of its own; which one it is, the keys on the broker tell.

mod celery;
mod clients;
mod facts;
mod heads;
mod huey;
mod kinds;
mod rq;
mod tally;
#[cfg(test)]
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::domain::site::{Key, QueueKind};

pub use facts::{Canary, Conf, Done, Waiting, Workers};
pub use heads::Heads;
pub use tally::{Came, Tally, Watch};

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
        written: impl Future<Output = Option<QueueKind>>,
    ) -> Result<Self, ProbeError> {
        if let Some(error) = kinds::other_transport(key.secret.expose(), &key.variable) {
            return Err(error);
        }
        let redis = Redis::connect(key, SYSTEM).await?;
        let kind = match kind {
            Some(kind) => kind,
            None => match kinds::detect(&redis, &key.variable).await? {
                Some(kind) => kind,
                None => written.await.unwrap_or_default(),
            },
        };
        let unnamed = named == UNNAMED;
        let queue = match kind {
            QueueKind::Rq if unnamed => "default".to_owned(),
            QueueKind::Huey if unnamed => huey::only(&redis).await?,
            QueueKind::Huey => huey::named(&redis, named).await?,
            _ => named.to_owned(),
        };
        let library = match kind {
            QueueKind::Celery => {
                let layout = celery::Layout::read(&redis, &queue, &key.variable).await?;
                Library::Celery(celery::Broker::new(redis.clone(), layout, &queue, &key.variable))
            }
            QueueKind::Rq => {
                rq::named_as_usual(&redis).await?;
                Library::Rq(rq::Broker::new(redis.clone(), &queue))
            }
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
        self.waiting_in(std::slice::from_ref(&self.queue), &mut celery::Reserved::default()).await
    }

    async fn waiting_in(&self, queues: &[String], reserved: &mut celery::Reserved) -> Result<Waiting, ProbeError> {
        match &self.library {
            Library::Celery(library) => library.waiting(queues, reserved).await,
            Library::Rq(library) => library.waiting(queues).await,
            Library::Huey(library) => library.waiting(queues).await,
        }
    }

    /// How many tasks are due and not done yet.
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

    /// The next task of each of these queues, to see later whether somebody took it.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn heads(&self, queues: &[&str]) -> Result<Heads, ProbeError> {
        match &self.library {
            Library::Celery(library) => library.heads(queues).await,
            Library::Rq(library) => library.heads(queues).await,
            Library::Huey(library) => library.heads(queues).await,
        }
    }

    /// Queues whose next task is not there any more.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn moved(&self, since: &Heads) -> Result<BTreeSet<String>, ProbeError> {
        since.gone(&self.redis).await
    }

    /// Who works, listening for so long where workers speak by themselves or answer late.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn workers(&self, listen: Duration) -> Result<Workers, ProbeError> {
        match &self.library {
            Library::Celery(library) => library.workers(listen).await,
            Library::Rq(library) => library.workers().await,
            Library::Huey(library) => library.workers(listen).await,
        }
    }

    /// What Celery's workers say of their configuration and their tasks; none for another library.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn conf(&self, limit: Duration) -> Result<Option<Conf>, ProbeError> {
        let Library::Celery(library) = &self.library else { return Ok(None) };
        let about = serde_json::json!({ "taskinfoitems": ["acks_late", "time_limit"] });
        let (said, tasks) = tokio::join!(library.ask("conf", limit), library.ask_for("registered", about, limit));
        let said = said?;
        Ok(Some(Conf { asked: said.asked, by_worker: said.by_worker, tasks: tasks?.by_worker }))
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
}

fn millis(since: tokio::time::Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
