//! RQ on Redis, read from its own keys. A worker's hash outlives a killed worker by minutes; that it listens on its own
//! channel is a sign of life now.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::text::tame;
use crate::probes::redis::Redis;
use crate::probes::{ProbeError, unix_now};

use super::heads::{self, End, Heads};
use super::{Canary, Done, MOST, Waiting, Workers, millis};

/// Python's `("operator.add", None, (2, 3), {})`, pickled in the oldest protocol. RQ takes it uncompressed too.
const SUM: &[u8] = b"(Voperator.add\nN(I2\nI3\nt(dt.";

/// The queue that matters, and its broker.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    redis: Redis,
    queue: String,
}

/// A worker that is registered, and listens on its own channel.
struct Listening {
    name: String,
    /// With commas between them.
    queues: String,
    /// Jobs done, well or not.
    done: u64,
    /// Of these, the ones that raised.
    failed: u64,
}

fn listening(name: &str, subscribers: &redis::Value, fields: &redis::Value) -> Option<Listening> {
    let listens: Vec<(String, u64)> = redis::from_redis_value_ref(subscribers).ok()?;
    listens.iter().any(|(_, clients)| *clients > 0).then_some(())?;
    let (queues, well, badly): (Option<String>, Option<u64>, Option<u64>) = redis::from_redis_value_ref(fields).ok()?;
    let failed = badly.unwrap_or(0);
    let done = well.unwrap_or(0) + failed;
    Some(Listening { name: tame(name, 120), queues: queues.unwrap_or_default(), done, failed })
}

/// Says no when RQ's keys begin otherwise than they are read (`RQ_KEY_PREFIX`, RQ 3): none of its workers would be seen.
///
/// # Errors
/// No answer in time; keys under another prefix.
pub(super) async fn named_as_usual(redis: &Redis) -> Result<(), ProbeError> {
    let known: u64 = redis.ask(redis::cmd("EXISTS").arg("rq:workers").arg("rq:queues")).await?;
    let other = if known == 0 { redis.find("*:workers").await? } else { None };
    let Some(prefix) = other.as_deref().and_then(|key| key.strip_suffix(":workers")) else { return Ok(()) };
    if !redis.ask::<bool>(redis::cmd("EXISTS").arg(format!("{prefix}:queues"))).await? {
        return Ok(());
    }
    Err(ProbeError::NotGiven {
        what: format!("RQ's keys on the broker begin with {:?} (RQ_KEY_PREFIX), which rampup does not read", tame(prefix, 60)),
        provide: "leave RQ_KEY_PREFIX alone and give each app a Redis database of its own; or see it yourself (rq info), and waive the \
                  check with what you saw"
            .to_owned(),
    })
}

impl Broker {
    pub fn new(redis: Redis, queue: &str) -> Self {
        Self { redis, queue: queue.to_owned() }
    }

    /// What waits in these queues, and what is being worked on; the oldest is that of the queue that matters.
    pub async fn waiting(&self, queues: &[String]) -> Result<Waiting, ProbeError> {
        let mut pipe = redis::pipe();
        for queue in queues {
            pipe.llen(format!("rq:queue:{queue}")).zcard(format!("rq:wip:{queue}"));
        }
        let mut first = redis::cmd("LINDEX");
        first.arg(format!("rq:queue:{}", self.queue)).arg(0);
        let (counts, next) = tokio::join!(self.redis.ask_all(&pipe), self.redis.ask(&first));
        let (counts, next): (Vec<u64>, Option<String>) = (counts?, next?);
        let pairs = counts.chunks_exact(2);
        let (queued, taken) = pairs.fold((0, 0), |(queued, taken), pair| (queued + pair[0], taken + pair[1]));
        let mut oldest_s = None;
        if let Some(job) = next {
            let since: Option<String> =
                self.redis.ask(redis::cmd("HGET").arg(format!("rq:job:{job}")).arg("enqueued_at")).await?;
            let since = since.and_then(|text| text.parse::<jiff::Timestamp>().ok());
            oldest_s = since.map(|at| (unix_now() - at.as_duration().as_secs_f64()).max(0.0));
        }
        Ok(Waiting { queued, taken, oldest_s, ..Waiting::default() })
    }

    pub async fn queues(&self) -> Result<BTreeMap<String, u64>, ProbeError> {
        let mut keys: Vec<String> = self.redis.ask(redis::cmd("SMEMBERS").arg("rq:queues")).await?;
        keys.truncate(MOST);
        keys.push(format!("rq:queue:{}", self.queue));
        let mut pipe = redis::pipe();
        for key in &keys {
            pipe.llen(key);
        }
        let depths: Vec<u64> = self.redis.ask_all(&pipe).await?;
        Ok(keys.iter().map(|key| tame(key.trim_start_matches("rq:queue:"), 120)).zip(depths).collect())
    }

    /// The next job of these queues.
    pub async fn heads(&self, queues: &[&str]) -> Result<Heads, ProbeError> {
        let key = |queue: &&str| ((*queue).to_owned(), format!("rq:queue:{queue}"), End::Left);
        heads::look(&self.redis, queues.iter().map(key).collect()).await
    }

    /// Workers that are registered and listen.
    pub async fn workers(&self) -> Result<Workers, ProbeError> {
        let mut workers = Workers::default();
        for Listening { name, queues, .. } in self.listening().await? {
            workers.consumed.insert(name.clone(), queues.split(',').map(|queue| tame(queue, 120)).collect());
            workers.heard.push(name);
        }
        Ok(workers)
    }

    /// What each has done, well or not.
    pub async fn done(&self) -> Result<Vec<Done>, ProbeError> {
        let all = self.listening().await?.into_iter();
        Ok(all.map(|one| Done { worker: one.name, tasks: one.done, failed: Some(one.failed), active: None }).collect())
    }

    /// Two round trips, however many workers there are: one after the other, twenty of them take longer than a second
    /// over a network.
    async fn listening(&self) -> Result<Vec<Listening>, ProbeError> {
        let keys: Vec<String> = self.redis.ask(redis::cmd("SMEMBERS").arg("rq:workers")).await?;
        let names: Vec<&str> = keys.iter().filter_map(|key| key.strip_prefix("rq:worker:")).take(MOST).collect();
        if names.is_empty() {
            return Ok(vec![]);
        }
        let mut pipe = redis::pipe();
        for name in &names {
            pipe.cmd("PUBSUB").arg("NUMSUB").arg(format!("rq:pubsub:{name}"));
            pipe.cmd("HMGET").arg(format!("rq:worker:{name}"));
            pipe.arg("queues").arg("successful_job_count").arg("failed_job_count");
        }
        let answers: Vec<redis::Value> = self.redis.ask_all(&pipe).await?;
        let pairs = names.iter().zip(answers.chunks_exact(2));
        Ok(pairs.filter_map(|(name, pair)| listening(name, &pair[0], &pair[1])).collect())
    }

    /// Adds two numbers by way of the queue.
    pub async fn canary(&self, limit: Duration) -> Result<Canary, ProbeError> {
        let id = format!("rampup-{:032x}", rand::random::<u128>());
        let (job, list) = (format!("rq:job:{id}"), format!("rq:queue:{}", self.queue));
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        let mut made = redis::cmd("HSET");
        made.arg(&job).arg("data").arg(SUM).arg("created_at").arg(&now).arg("enqueued_at").arg(&now);
        made.arg("origin").arg(&self.queue).arg("status").arg("queued").arg("description").arg("rampup's canary");
        // All of it goes by itself, too, should this machine stop here.
        made.arg("timeout").arg(60).arg("result_ttl").arg(60).arg("failure_ttl").arg(60);
        let _: u64 = self.redis.ask(&made).await?;
        let _: u64 = self.redis.ask(redis::cmd("EXPIRE").arg(&job).arg(300)).await?;
        let began = tokio::time::Instant::now();
        let _: u64 = self.redis.ask(redis::cmd("RPUSH").arg(&list).arg(&id)).await?;
        let mut seen = Canary { id: id.clone(), ..Canary::default() };
        while began.elapsed() < limit {
            let status: Option<String> = self.redis.ask(redis::cmd("HGET").arg(&job).arg("status")).await?;
            let status = status.unwrap_or_default();
            seen.taken |= !status.is_empty() && status != "queued";
            if ["finished", "failed"].contains(&status.as_str()) {
                seen.result = Some(status);
                seen.done_ms = Some(millis(began));
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let _: u64 = self.redis.ask(redis::cmd("LREM").arg(&list).arg(0).arg(&id)).await?;
        for registry in ["finished", "failed"] {
            let _: u64 =
                self.redis.ask(redis::cmd("ZREM").arg(format!("rq:{registry}:{}", self.queue)).arg(&id)).await?;
        }
        let _: u64 = self.redis.ask(redis::cmd("DEL").arg(&job).arg(format!("rq:results:{id}"))).await?;
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::wire;
    use super::*;

    /// What one reading of the sampler may take.
    const READING: Duration = Duration::from_millis(900);

    #[tokio::test]
    async fn keys_under_another_prefix_are_no_rq_without_workers() {
        for (usual, workers, queues, refused) in [
            (1, None, 0, false),
            (0, None, 0, false),
            (0, Some("shop:workers"), 1, true),
            (0, Some("a:workers"), 0, false),
        ] {
            let answer = move |words: &[String]| match (words[0].as_str(), words[1].as_str()) {
                ("EXISTS", "rq:workers") => wire::number(usual),
                ("EXISTS", _) => wire::number(queues),
                ("SCAN", _) => wire::list([wire::text("0"), wire::list(workers.map(wire::text))]),
                _ => wire::ok(),
            };
            let server = wire::serve(Duration::ZERO, answer).await;
            let said = named_as_usual(&server.redis().await).await;
            assert_eq!(said.is_err(), refused, "{workers:?}: {said:?}");
        }
    }

    #[tokio::test]
    async fn thirty_workers_are_read_within_a_second_over_a_slow_network() {
        let answer = |words: &[String]| match words[0].as_str() {
            "SMEMBERS" => wire::list((0..30).map(|i| wire::text(&format!("rq:worker:w{i}")))),
            "PUBSUB" => wire::list([wire::text(&words[2]), wire::number(u64::from(words[2] != "rq:pubsub:w7"))]),
            "HMGET" => wire::list(["default,mail", "3", "1"].map(wire::text)),
            _ => wire::ok(),
        };
        let server = wire::serve(Duration::from_millis(30), answer).await;
        let broker = Broker::new(server.redis().await, "default");
        let began = Instant::now();
        let done = broker.done().await.unwrap();
        assert!(began.elapsed() < READING, "{:?}", began.elapsed());
        // The one whose channel nobody listens on was killed.
        assert_eq!(done.len(), 29);
        assert!(done.iter().all(|one| one.tasks == 4 && one.failed == Some(1)), "{done:?}");
        assert!(broker.workers().await.unwrap().serve("mail"));
    }
}
