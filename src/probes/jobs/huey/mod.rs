//! Huey on Redis. Its workers say nothing of themselves: they are seen where they wait for a task, and what they do is
//! what was put into the queue and is no longer there.

mod count;

use std::collections::{BTreeMap, BTreeSet};
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
    let names = names(redis).await?;
    match Vec::from_iter(&names).as_slice() {
        [name] => Ok((*name).clone()),
        _ => Err(unknown("it is not known which queue of Huey is the app's", &names)),
    }
}

/// The name that Huey made of the one which the settings give: it keeps letters, digits and underscores of it; older
/// versions kept small letters and digits alone, and `clean_name=False` keeps everything.
///
/// # Errors
/// When the broker has keys of Huey and none is of that name: that queue would look empty for ever.
pub(super) async fn named(redis: &Redis, name: &str) -> Result<String, ProbeError> {
    let names = names(redis).await?;
    let small: String = name.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit()).collect();
    let known = [name.to_owned(), clean(name), small].into_iter().find(|one| names.contains(one));
    match known {
        Some(known) => Ok(known),
        // An idle Huey leaves no key that tells.
        None if names.is_empty() => Ok(clean(name)),
        None => {
            Err(unknown(&format!("no key of Huey is of the queue {:?} that rampup.toml names", tame(name, 60)), &names))
        }
    }
}

/// The names that Huey's keys on this broker carry.
async fn names(redis: &Redis) -> Result<BTreeSet<String>, ProbeError> {
    let keys = redis.keys("huey.*", usize::MAX).await?;
    Ok(keys.iter().filter_map(|key| name_in(key)).map(str::to_owned).collect())
}

fn unknown(what: &str, names: &BTreeSet<String>) -> ProbeError {
    let found = Vec::from_iter(names.iter().map(String::as_str)).join(", ");
    let found = if found.is_empty() { "none".to_owned() } else { tame(&found, 120) };
    ProbeError::NotGiven {
        what: format!("{what} (names on the broker now: {found})"),
        provide: "name it in rampup.toml as in RedisHuey(\"NAME\"): [site] queue = \"NAME\"".to_owned(),
    }
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

/// Where a queue keeps its tasks.
fn key(queue: &str) -> String {
    format!("huey.redis.{queue}")
}

impl Broker {
    pub fn new(redis: Redis, queue: &str) -> Self {
        Self { redis, queue: queue.to_owned() }
    }

    pub async fn waiting(&self, queues: &[String]) -> Result<Waiting, ProbeError> {
        let keys: Vec<String> = queues.iter().map(|queue| key(queue)).collect();
        let queued = self.lengths(&keys).await?.iter().map(|(_, length)| length).sum();
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
        keys.push(key(&self.queue));
        let lengths = self.lengths(&keys).await?;
        let name = |key: &String| tame(key.trim_start_matches("huey.redis."), 120);
        Ok(keys.iter().map(name).zip(lengths.into_iter().map(|(_, length)| length)).collect())
    }

    /// The next task of these queues.
    pub async fn heads(&self, queues: &[&str]) -> Result<Heads, ProbeError> {
        let keys: Vec<String> = queues.iter().map(|queue| key(queue)).collect();
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
        if let Some((Some(keeps), _)) = self.lengths(&[key(&self.queue)]).await?.first() {
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

    #[tokio::test]
    async fn a_name_that_no_key_carries_is_no_empty_queue() {
        use crate::probes::jobs::wire;
        for (keys, name, expected) in [
            (&[][..], "my-shop", Some("myshop")),
            (&["huey.redis.my_shop"], "my_shop", Some("my_shop")),
            (&["huey.r.myshop.6d1f"], "my_shop", Some("myshop")),
            (&["huey.schedule.my-shop"], "my-shop", Some("my-shop")),
            (&["huey.redis.other", "huey.redis.shop"], "shop", Some("shop")),
            (&["huey.redis.other"], "shop", None),
        ] {
            let found: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            let answer = move |words: &[String]| match words[0].as_str() {
                "SCAN" => wire::list([wire::text("0"), wire::list(found.iter().map(|key| wire::text(key)))]),
                _ => wire::ok(),
            };
            let server = wire::serve(Duration::ZERO, answer).await;
            let said = named(&server.redis().await, name).await;
            assert_eq!(said.as_deref().ok(), expected, "{keys:?} {name}: {said:?}");
        }
    }

    #[tokio::test]
    async fn a_search_that_gave_up_is_not_one_that_found_everything() {
        use crate::probes::jobs::wire;
        for (cursor, most, whole) in [("0", usize::MAX, true), ("7", 1, true), ("7", usize::MAX, false)] {
            let answer = move |words: &[String]| match words[0].as_str() {
                "SCAN" => wire::list([wire::text(cursor), wire::list([wire::text("huey.redis.shop")])]),
                _ => wire::ok(),
            };
            let server = wire::serve(Duration::ZERO, answer).await;
            let said = server.redis().await.keys("huey.*", most).await;
            assert_eq!(said.is_ok(), whole, "{cursor} {most}: {said:?}");
            assert!(whole || said.unwrap_err().to_string().contains("more than 200000 keys"), "{cursor} {most}");
        }
    }

    #[test]
    fn punctuation_is_no_part_of_a_name() {
        assert_eq!(clean("my-app"), "myapp");
    }
}
