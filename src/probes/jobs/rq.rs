//! RQ on Redis, read from its own keys. A worker's hash outlives a killed worker by minutes; that it listens on its own
//! channel is a sign of life now.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::text::tame;
use crate::probes::redis::Redis;
use crate::probes::{ProbeError, unix_now};

use super::{Canary, Done, MOST, Waiting, Workers, millis};

/// Python's `("operator.add", None, (2, 3), {})`, pickled in the oldest protocol. RQ takes it uncompressed too.
const SUM: &[u8] = b"(Voperator.add\nN(I2\nI3\nt(dt.";

/// The queue that matters, and its broker.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    redis: Redis,
    queue: String,
}

impl Broker {
    pub fn new(redis: Redis, queue: &str) -> Self {
        Self { redis, queue: queue.to_owned() }
    }

    /// The queue's list and what is being worked on.
    pub async fn waiting(&self) -> Result<Waiting, ProbeError> {
        let list = format!("rq:queue:{}", self.queue);
        let queued: u64 = self.redis.ask(redis::cmd("LLEN").arg(&list)).await?;
        let taken: u64 = self.redis.ask(redis::cmd("ZCARD").arg(format!("rq:wip:{}", self.queue))).await?;
        let next: Option<String> = self.redis.ask(redis::cmd("LINDEX").arg(&list).arg(0)).await?;
        let mut oldest_s = None;
        if let Some(job) = next {
            let since: Option<String> =
                self.redis.ask(redis::cmd("HGET").arg(format!("rq:job:{job}")).arg("enqueued_at")).await?;
            let since = since.and_then(|text| text.parse::<jiff::Timestamp>().ok());
            oldest_s = since.map(|at| (unix_now() - at.as_duration().as_secs_f64()).max(0.0));
        }
        Ok(Waiting { queued, taken, oldest_s })
    }

    pub async fn queues(&self) -> Result<BTreeMap<String, u64>, ProbeError> {
        let mut names: Vec<String> = self.redis.ask(redis::cmd("SMEMBERS").arg("rq:queues")).await?;
        names.push(format!("rq:queue:{}", self.queue));
        let mut found = BTreeMap::new();
        for key in names.iter().take(MOST) {
            let depth: u64 = self.redis.ask(redis::cmd("LLEN").arg(key)).await?;
            found.insert(tame(key.trim_start_matches("rq:queue:"), 120), depth);
        }
        Ok(found)
    }

    /// Workers that are registered and listen.
    pub async fn workers(&self) -> Result<Workers, ProbeError> {
        let mut workers = Workers::default();
        for (name, fields) in self.listening().await? {
            let queues = fields.get("queues").map(|names| names.split(',').map(|name| tame(name, 120)).collect());
            workers.consumed.insert(name.clone(), queues.unwrap_or_default());
            workers.heard.push(name);
        }
        Ok(workers)
    }

    /// What each has done, well or not.
    pub async fn done(&self) -> Result<Vec<Done>, ProbeError> {
        let count = |fields: &BTreeMap<String, String>, name: &str| -> u64 {
            fields.get(name).and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let all = self.listening().await?.into_iter();
        Ok(all
            .map(|(worker, f)| Done {
                worker,
                tasks: count(&f, "successful_job_count") + count(&f, "failed_job_count"),
            })
            .collect())
    }

    async fn listening(&self) -> Result<Vec<(String, BTreeMap<String, String>)>, ProbeError> {
        let keys: Vec<String> = self.redis.ask(redis::cmd("SMEMBERS").arg("rq:workers")).await?;
        let mut found = Vec::new();
        for key in keys.iter().take(MOST) {
            let Some(name) = key.strip_prefix("rq:worker:") else { continue };
            let channel = format!("rq:pubsub:{name}");
            let listens: Vec<(String, u64)> = self.redis.ask(redis::cmd("PUBSUB").arg("NUMSUB").arg(channel)).await?;
            if listens.iter().all(|(_, clients)| *clients == 0) {
                continue;
            }
            let mut fields = BTreeMap::new();
            for field in ["queues", "successful_job_count", "failed_job_count"] {
                let value: Option<String> = self.redis.ask(redis::cmd("HGET").arg(key).arg(field)).await?;
                fields.extend(value.map(|value| (field.to_owned(), value)));
            }
            found.push((tame(name, 120), fields));
        }
        Ok(found)
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
