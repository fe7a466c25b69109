//! Huey on Redis. Its workers say nothing of themselves: they are seen where they wait for a task, and what they do is
//! what was put into the queue and is no longer there.

use std::collections::BTreeMap;

use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::redis::{Info, Redis};

use super::{Done, MOST, Waiting, Workers};

/// Commands by which a consumer waits for a task, in lists and in priority queues.
const WAITS: [&str; 4] = ["cmd=brpop", "cmd=bzpopmin", "cmd=rpop", "cmd=zpopmin"];
/// A consumer asks about once a second.
const SILENCE: u64 = 15;

/// The queue that matters, and its broker.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    redis: Redis,
    queue: String,
}

/// What was taken out of the queue since it was first looked at.
#[derive(Debug)]
pub(super) struct Counter {
    broker: Broker,
    /// Tasks put in before the first look, less those that waited then.
    before: u64,
    /// The most that was seen: two questions are never of the same instant.
    most: u64,
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

    pub async fn waiting(&self) -> Result<Waiting, ProbeError> {
        Ok(Waiting { queued: self.length(&format!("huey.redis.{}", self.queue)).await?, taken: 0, oldest_s: None })
    }

    async fn length(&self, key: &str) -> Result<u64, ProbeError> {
        let kind: String = self.redis.ask(redis::cmd("TYPE").arg(key)).await?;
        match kind.as_str() {
            "zset" => self.redis.ask(redis::cmd("ZCARD").arg(key)).await,
            "list" => self.redis.ask(redis::cmd("LLEN").arg(key)).await,
            "stream" => self.redis.ask(redis::cmd("XLEN").arg(key)).await,
            _ => Ok(0),
        }
    }

    pub async fn queues(&self) -> Result<BTreeMap<String, u64>, ProbeError> {
        let own = format!("huey.redis.{}", self.queue);
        let mut found = BTreeMap::from([(self.queue.clone(), self.length(&own).await?)]);
        for key in self.redis.keys("huey.redis.*", MOST).await? {
            found.insert(tame(key.trim_start_matches("huey.redis."), 120), self.length(&key).await?);
        }
        Ok(found)
    }

    /// Clients that wait for a task on our database. On which queue, Redis does not say.
    pub async fn workers(&self) -> Result<Workers, ProbeError> {
        let list: String = self.redis.ask(redis::cmd("CLIENT").arg("LIST")).await?;
        Ok(Workers { heard: waiting_clients(&list, self.redis.database()), consumed: BTreeMap::new() })
    }

    pub async fn counter(&self) -> Result<Counter, ProbeError> {
        let taken = self.taken().await?;
        Ok(Counter { broker: self.clone(), before: taken, most: 0 })
    }

    /// Tasks put in since the server started, less those that wait.
    async fn taken(&self) -> Result<u64, ProbeError> {
        let depth = self.waiting().await?.queued;
        let text: String = self.redis.ask(redis::cmd("INFO").arg("commandstats")).await?;
        let info = Info::parse(&text);
        let zset =
            self.redis.ask::<String>(redis::cmd("TYPE").arg(format!("huey.redis.{}", self.queue))).await? == "zset";
        let command = if zset { "cmdstat_zadd" } else { "cmdstat_lpush" };
        let pushed = info.text(command).and_then(|text| text.split(',').next()?.strip_prefix("calls=")?.parse().ok());
        if pushed.is_none() && !text.contains("cmdstat_") {
            return Err(ProbeError::odd(
                "the job broker's Redis",
                "no statistics of commands, by which Huey's tasks are counted",
            ));
        }
        Ok(u64::saturating_sub(pushed.unwrap_or(0), depth))
    }
}

impl Counter {
    pub async fn done(&mut self) -> Result<Vec<Done>, ProbeError> {
        let taken = self.broker.taken().await?;
        self.most = self.most.max(taken.saturating_sub(self.before));
        Ok(vec![Done { worker: "huey".to_owned(), tasks: self.most }])
    }
}

fn waiting_clients(list: &str, database: i64) -> Vec<String> {
    let database = format!("db={database}");
    let field = |line: &str, name: &str| {
        line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    };
    list.lines()
        .filter(|line| line.split(' ').any(|word| word == database))
        .filter(|line| line.split(' ').any(|word| WAITS.contains(&word)))
        .filter(|line| field(line, "idle").and_then(|idle| idle.parse().ok()).is_some_and(|idle: u64| idle <= SILENCE))
        .take(MOST)
        .map(|line| format!("client {}", tame(&field(line, "id").unwrap_or_default(), 20)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_wait_on_our_database_are_workers() {
        let list = "id=3 addr=127.0.0.1:5 name= age=9 idle=0 flags=b db=0 sub=0 cmd=brpop user=default\n\
                    id=4 addr=127.0.0.1:6 name= age=9 idle=0 flags=b db=1 sub=0 cmd=brpop user=default\n\
                    id=5 addr=127.0.0.1:7 name= age=9 idle=0 flags=N db=0 sub=0 cmd=client|list user=default\n\
                    id=6 addr=127.0.0.1:8 name= age=99 idle=90 flags=N db=0 sub=0 cmd=rpop user=default";
        assert_eq!(waiting_clients(list, 0), ["client 3"]);
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
