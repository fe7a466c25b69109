//! Huey on Redis. Its workers say nothing of themselves: they are seen where they wait for a task, and what they do is
//! what was put into the queue and is no longer there.

mod count;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::redis::Redis;

use super::clients::{self, Client};
use super::heads::{self, End, Heads};
use super::{MOST, Waiting, Workers};

pub(super) use count::Counter;

/// Commands by which a consumer waits for a task, in lists and in priority queues.
const LISTS: [&str; 2] = ["brpop", "rpop"];
const SETS: [&str; 2] = ["bzpopmin", "zpopmin"];
/// The consumer's scheduler looks once a second for what is due, by a script, however busy its workers are.
const SCHEDULER: [&str; 2] = ["evalsha", "eval"];
/// A consumer asks about once a second.
const SILENCE: u64 = 15;
/// How often it is looked who waits.
const LOOK: Duration = Duration::from_millis(500);

/// The queue that matters, and its broker.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    redis: Redis,
    queue: String,
}

/// How a queue keeps its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keeps {
    /// `RedisHuey`: a list.
    List,
    /// `PriorityRedisHuey`: a sorted set.
    Set,
}

/// Huey keeps letters, digits and underscores of a name.
pub(super) fn clean(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// The one name that Huey's keys on this broker carry.
///
/// # Errors
/// When they carry none or several: a queue that was guessed would look empty for ever.
pub(super) async fn only(redis: &Redis) -> Result<String, ProbeError> {
    let keys = redis.keys("huey.*", MOST).await?;
    let mut names: Vec<&str> = keys.iter().filter_map(|key| name_in(key)).collect();
    names.sort_unstable();
    names.dedup();
    if let [name] = names.as_slice() {
        return Ok((*name).to_owned());
    }
    let found = if names.is_empty() { "none".to_owned() } else { tame(&names.join(", "), 120) };
    Err(ProbeError::NotGiven {
        what: format!("it is not known which queue of Huey is the app's (names on the broker now: {found})"),
        provide: "name it in rampup.toml as in RedisHuey(\"NAME\"): [site] queue = \"NAME\"".to_owned(),
    })
}

/// The name in one of Huey's keys; what belongs to one task stands behind another dot.
fn name_in(key: &str) -> Option<&str> {
    let (kind, name) = key.strip_prefix("huey.")?.split_once('.')?;
    match kind {
        "redis" | "schedule" | "results" | "counters" => Some(name),
        "r" | "c" | "notify" => name.split('.').next(),
        _ => None,
    }
}

impl Broker {
    pub fn new(redis: Redis, queue: &str) -> Self {
        Self { redis, queue: queue.to_owned() }
    }

    fn key(&self) -> String {
        format!("huey.redis.{}", self.queue)
    }

    pub async fn waiting(&self) -> Result<Waiting, ProbeError> {
        let queued = self.lengths(&[self.key()]).await?.first().map_or(0, |(_, length)| *length);
        Ok(Waiting { queued, ..Waiting::default() })
    }

    /// How these keys keep their tasks, and how many; an empty queue has no key, and is of no kind.
    async fn lengths(&self, keys: &[String]) -> Result<Vec<(Option<Keeps>, u64)>, ProbeError> {
        if keys.is_empty() {
            return Ok(vec![]);
        }
        let mut kinds = redis::pipe();
        for key in keys {
            kinds.cmd("TYPE").arg(key);
        }
        let kinds: Vec<String> = self.redis.ask_all(&kinds).await?;
        let mut lengths = redis::pipe();
        for (key, kind) in keys.iter().zip(&kinds) {
            lengths.cmd(if kind == "zset" { "ZCARD" } else { "LLEN" }).arg(key);
        }
        // What is neither, by now or by mistake, has no length.
        let lengths: Vec<redis::Value> = self.redis.ask_all(lengths.ignore_errors()).await?;
        let of = |(kind, length): (&String, redis::Value)| {
            let keeps = match kind.as_str() {
                "zset" => Some(Keeps::Set),
                "list" => Some(Keeps::List),
                _ => None,
            };
            (keeps, if let redis::Value::Int(length) = length { u64::try_from(length).unwrap_or(0) } else { 0 })
        };
        Ok(kinds.iter().zip(lengths).map(of).collect())
    }

    pub async fn queues(&self) -> Result<BTreeMap<String, u64>, ProbeError> {
        let mut keys = self.redis.keys("huey.redis.*", MOST).await?;
        keys.push(self.key());
        let lengths = self.lengths(&keys).await?;
        let name = |key: &String| tame(key.trim_start_matches("huey.redis."), 120);
        Ok(keys.iter().map(name).zip(lengths.into_iter().map(|(_, length)| length)).collect())
    }

    /// The next task of these queues.
    pub async fn heads(&self, queues: &[&str]) -> Result<Heads, ProbeError> {
        let keys: Vec<String> = queues.iter().map(|queue| format!("huey.redis.{queue}")).collect();
        let kinds = self.lengths(&keys).await?;
        let of = |((queue, key), (keeps, _)): ((&&str, String), (Option<Keeps>, u64))| {
            let end = if keeps? == Keeps::Set { End::Lowest } else { End::Right };
            Some(((*queue).to_owned(), key, end))
        };
        heads::look(&self.redis, queues.iter().zip(keys).zip(kinds).filter_map(of).collect()).await
    }

    /// Clients that wait for a task on our database, looked for until one does or the time is over. On which queue, Redis
    /// does not say. One whose workers are all busy waits for nothing; its scheduler is seen all the same.
    pub async fn workers(&self, listen: Duration) -> Result<Workers, ProbeError> {
        let until = tokio::time::Instant::now() + listen;
        loop {
            let all = clients::here(&self.redis).await?;
            let workers = seen(&all);
            if !workers.heard.is_empty() || tokio::time::Instant::now() + LOOK > until {
                return Ok(workers);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// How the queue keeps its tasks: its key says so, else the command by which a consumer waits for them. None while
    /// neither is there.
    async fn keeps(&self) -> Result<Option<Keeps>, ProbeError> {
        if let Some((Some(keeps), _)) = self.lengths(&[self.key()]).await?.first() {
            return Ok(Some(*keeps));
        }
        // A right that is missing leaves it open.
        Ok(clients::here(&self.redis).await.ok().as_deref().and_then(waited_for))
    }

    pub async fn counter(&self) -> Result<Counter, ProbeError> {
        Counter::begin(self).await
    }
}

fn seen(all: &[Client]) -> Workers {
    let awake = || all.iter().filter(|client| client.idle <= SILENCE);
    let waits = |client: &&Client| [LISTS, SETS].concat().contains(&client.command.as_str());
    let scheduler = |client: &&Client| SCHEDULER.contains(&client.command.as_str());
    Workers {
        heard: awake().filter(waits).take(MOST).map(|client| format!("client {}", client.id)).collect(),
        consumed: BTreeMap::new(),
        silent: awake().filter(scheduler).count() as u64,
    }
}

/// How the queue that somebody waits on keeps its tasks; none when nobody waits, or both kinds are waited on.
fn waited_for(all: &[Client]) -> Option<Keeps> {
    let any = |commands: [&str; 2]| {
        all.iter().any(|client| client.idle <= SILENCE && commands.contains(&client.command.as_str()))
    };
    match (any(LISTS), any(SETS)) {
        (true, false) => Some(Keeps::List),
        (false, true) => Some(Keeps::Set),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(command: &str, idle: u64) -> Client {
        Client { id: "3".to_owned(), command: command.to_owned(), idle }
    }

    #[test]
    fn whoever_waits_is_a_worker_and_a_busy_consumer_is_not_nobody() {
        for (clients, heard, silent) in [
            (vec![client("brpop", 0), client("lpush", 0)], 1, 0),
            (vec![client("bzpopmin", 1)], 1, 0),
            (vec![client("rpop", 90)], 0, 0),
            // All workers are at a task; the scheduler still looks for what is due.
            (vec![client("evalsha", 1), client("lpush", 40)], 0, 1),
            (vec![client("evalsha", 90)], 0, 0),
        ] {
            let workers = seen(&clients);
            assert_eq!((workers.heard.len(), workers.silent), (heard, silent), "{clients:?}");
        }
    }

    #[test]
    fn an_empty_queue_s_kind_is_told_by_the_command_that_waits_for_it() {
        for (clients, keeps) in [
            (vec![client("bzpopmin", 0), client("evalsha", 0)], Some(Keeps::Set)),
            (vec![client("brpop", 0)], Some(Keeps::List)),
            (vec![client("brpop", 0), client("bzpopmin", 0)], None),
            (vec![client("bzpopmin", 90)], None),
            (vec![], None),
        ] {
            assert_eq!(waited_for(&clients), keeps, "{clients:?}");
        }
    }

    #[test]
    fn a_name_is_read_out_of_every_kind_of_key() {
        for (key, name) in [
            ("huey.redis.shop", Some("shop")),
            ("huey.schedule.shop", Some("shop")),
            ("huey.r.shop.6d1f", Some("shop")),
            ("huey.notify.shop.6d1f", Some("shop")),
            ("huey.q.0a1b", None),
            ("celery", None),
        ] {
            assert_eq!(name_in(key), name, "{key}");
        }
    }

    #[test]
    fn punctuation_is_no_part_of_a_name() {
        assert_eq!(clean("my-app"), "myapp");
    }
}
