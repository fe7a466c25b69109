//! Celery on Redis, spoken to in its own words: queue depth, heartbeats, and questions by broadcast. No Python needed.
//!
//! Publish and subscribe cross Redis databases, so every channel carries the broker's own database number: a worker on
//! another one is not ours.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use serde_json::{Value, json};

use crate::domain::text::tame;

use crate::probes::base64;
use crate::probes::error::within;
use crate::probes::redis::{LIMIT, Redis, failed};
use crate::probes::{ProbeError, unix_now};

use super::{Done, SYSTEM, Waiting};

/// Between a queue's name and a priority.
const SEPARATOR: &str = "\u{6}\u{16}";
/// Priorities that kombu keeps in lists of their own; 0 is the plain list.
const PRIORITIES: [u8; 3] = [3, 6, 9];
/// Long enough to hear every worker once.
const HEARD: Duration = Duration::from_millis(2300);
/// How long answers to a broadcast are gathered after the first.
const GATHER: Duration = Duration::from_millis(300);

/// The broker, and the queue that matters.
#[derive(Debug, Clone)]
pub struct Broker {
    redis: Redis,
    database: i64,
    queue: String,
    variable: String,
}

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// `celery@host`.
    pub worker: String,
    /// Tasks it is running.
    pub active: u64,
    /// Tasks it has processed since it started.
    pub processed: u64,
}

impl Broker {
    /// A queue of this broker.
    #[must_use]
    pub(super) fn new(redis: Redis, queue: &str, variable: &str) -> Self {
        let database = redis.database();
        Self { redis, database, queue: queue.to_owned(), variable: variable.to_owned() }
    }

    /// What waits: the queue's list, its priorities' lists, and those handed out but not acknowledged. A queue without
    /// tasks has no key at all, which counts 0.
    ///
    /// # Errors
    /// No answer in time.
    pub(super) async fn waiting(&self) -> Result<Waiting, ProbeError> {
        let queued = self.listed(&self.queue).await?;
        let taken: u64 = self.redis.ask(redis::cmd("HLEN").arg("unacked")).await?;
        // The score is when it was handed out.
        let oldest: Vec<(String, f64)> =
            self.redis.ask(redis::cmd("ZRANGE").arg("unacked_index").arg(0).arg(0).arg("WITHSCORES")).await?;
        let oldest_s = oldest.first().map(|(_, at)| (unix_now() - at).max(0.0));
        Ok(Waiting { queued, taken, oldest_s })
    }

    /// Tasks in one queue's lists, of all priorities.
    async fn listed(&self, queue: &str) -> Result<u64, ProbeError> {
        let mut pipe = redis::pipe();
        pipe.llen(queue);
        for priority in PRIORITIES {
            pipe.llen(format!("{queue}{SEPARATOR}{priority}"));
        }
        let mut connection = self.redis.connection();
        let counts: Vec<u64> = within(SYSTEM, LIMIT, async {
            pipe.query_async(&mut connection).await.map_err(|e| failed(&e, SYSTEM, &self.variable))
        })
        .await?;
        Ok(counts.iter().sum())
    }

    /// Every queue that somebody declared here, and what waits in its lists. Kombu keeps them in sets named after the
    /// exchange.
    ///
    /// # Errors
    /// No answer in time.
    pub(super) async fn queues(&self) -> Result<BTreeMap<String, u64>, ProbeError> {
        let mut found = BTreeMap::from([(self.queue.clone(), self.listed(&self.queue).await?)]);
        for key in self.redis.keys("_kombu.binding.*", super::MOST).await? {
            let members: Vec<String> = self.redis.ask(redis::cmd("SMEMBERS").arg(&key)).await?;
            for member in members.iter().take(super::MOST) {
                let Some(queue) = declared(member) else { continue };
                found.insert(tame(queue, 120), self.listed(queue).await?);
            }
        }
        Ok(found)
    }

    /// Puts a task that Celery itself brings (it adds two numbers) into the queue, and waits for what comes of it.
    ///
    /// # Errors
    /// The broker does not answer.
    pub(super) async fn canary(&self, limit: Duration) -> Result<super::Canary, ProbeError> {
        let id = uuid();
        let embed = json!({ "callbacks": null, "errbacks": null, "chain": null, "chord": null });
        let body = json!([[2, 3], {}, embed]).to_string();
        let message = json!({
            "body": body, "content-encoding": "utf-8", "content-type": "application/json",
            "headers": {
                "lang": "py", "task": "celery.accumulate", "id": id, "root_id": id, "parent_id": null, "group": null,
                "shadow": null, "eta": null, "expires": null, "retries": 0, "timelimit": [null, null],
                "argsrepr": "(2, 3)", "kwargsrepr": "{}", "origin": "rampup", "ignore_result": false,
            },
            "properties": {
                "correlation_id": id, "reply_to": id, "delivery_mode": 2, "priority": 0, "delivery_tag": uuid(),
                "delivery_info": { "exchange": "", "routing_key": self.queue },
            },
        })
        .to_string();
        let result = format!("celery-task-meta-{id}");
        let mut heartbeats = self.heartbeats().await?;
        let before: u64 = heartbeats.gather(HEARD).await.iter().map(|beat| beat.processed).sum();
        let began = tokio::time::Instant::now();
        let _: u64 = self.redis.ask(redis::cmd("LPUSH").arg(&self.queue).arg(&message)).await?;
        let mut seen = super::Canary { id: id.clone(), ..super::Canary::default() };
        while began.elapsed() < limit {
            let answer: Option<String> = self.redis.ask(redis::cmd("GET").arg(&result)).await?;
            if let Some(answer) = answer {
                let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
                seen.result = Some(tame(&format!("{} {}", answer["status"], answer["result"]), 80));
                seen.done_ms = Some(super::millis(began));
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            seen.taken |=
                self.redis.ask::<Option<i64>>(redis::cmd("LPOS").arg(&self.queue).arg(&message)).await?.is_none();
            if seen.taken && began.elapsed() > limit / 2 {
                // Without a place for results, the workers' own count tells that something was done.
                let after: u64 = heartbeats.gather(HEARD).await.iter().map(|beat| beat.processed).sum();
                seen.counted = after > before;
                if seen.counted {
                    seen.done_ms = Some(super::millis(began));
                    break;
                }
            }
        }
        seen.taken |= seen.done_ms.is_some();
        let _: u64 = self.redis.ask(redis::cmd("LREM").arg(&self.queue).arg(0).arg(&message)).await?;
        let _: u64 = self.redis.ask(redis::cmd("DEL").arg(&result)).await?;
        Ok(seen)
    }

    /// Listens to the workers' heartbeats, one every two seconds and worker unless switched off.
    ///
    /// # Errors
    /// No connection.
    pub async fn heartbeats(&self) -> Result<Heartbeats, ProbeError> {
        let pattern = format!("/{}.celeryev/worker.heartbeat", self.database);
        let subscribing = async {
            let failed = |e| failed(&e, SYSTEM, &self.variable);
            let mut listener = self.redis.client().get_async_pubsub().await.map_err(failed)?;
            listener.psubscribe(pattern).await.map_err(failed)?;
            Ok(Heartbeats(listener))
        };
        within(SYSTEM, LIMIT, subscribing).await
    }

    /// Asks every worker something (`ping`, `active_queues`, `stats`): the answers by worker, gathered until `limit`.
    /// Empty when nobody listens.
    ///
    /// # Errors
    /// The broker does not answer. Workers that do not are no error.
    pub async fn ask(&self, method: &str, limit: Duration) -> Result<BTreeMap<String, Value>, ProbeError> {
        let id = uuid();
        let reply = format!("{id}.reply.celery.pidbox");
        let binding = "_kombu.binding.reply.celery.pidbox";
        let member = format!("{id}{SEPARATOR}{SEPARATOR}{reply}");
        let question = json!({
            "method": method, "arguments": {}, "destination": null, "pattern": null, "matcher": null, "ticket": uuid(),
            "reply_to": { "exchange": "reply.celery.pidbox", "routing_key": id },
        });
        // A plain body: `body_encoding` may be left out, then kombu takes it as it is.
        let message = json!({
            "body": question.to_string(), "content-encoding": "utf-8", "content-type": "application/json",
            "headers": { "clock": 1 },
            "properties": {
                "delivery_mode": 2, "delivery_info": { "exchange": "celery.pidbox", "routing_key": "" },
                "priority": 0, "delivery_tag": uuid(),
            },
        });
        let _: () = self.redis.ask(redis::cmd("SADD").arg(binding).arg(&member)).await?;
        let asked = self.publish_and_gather(&message.to_string(), &reply, limit).await;
        // Both keys are ours and go, whatever came of the question.
        let _: () = self.redis.ask(redis::cmd("SREM").arg(binding).arg(&member)).await?;
        let _: () = self.redis.ask(redis::cmd("DEL").arg(&reply)).await?;
        asked
    }

    async fn publish_and_gather(
        &self,
        message: &str,
        reply: &str,
        limit: Duration,
    ) -> Result<BTreeMap<String, Value>, ProbeError> {
        let channel = format!("/{}.celery.pidbox", self.database);
        let mut answers = BTreeMap::new();
        let listeners: u64 = self.redis.ask(redis::cmd("PUBLISH").arg(channel).arg(message)).await?;
        let deadline = tokio::time::Instant::now() + limit;
        let mut until = deadline;
        // Popped by polling: a blocking pop would hold up every other question on this connection.
        while (answers.len() as u64) < listeners && tokio::time::Instant::now() < until {
            let popped: Option<String> = self.redis.ask(redis::cmd("RPOP").arg(reply)).await?;
            match popped.as_deref().and_then(body) {
                Some(Value::Object(by_worker)) => {
                    answers.extend(by_worker.into_iter().map(|(worker, said)| (tame(&worker, 120), said)));
                    until = deadline.min(tokio::time::Instant::now() + GATHER);
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
        Ok(answers)
    }

    /// Names of the queues each worker consumes, by worker. Empty when workers take no questions.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn consumed(&self, limit: Duration) -> Result<BTreeMap<String, Vec<String>>, ProbeError> {
        let answers = self.ask("active_queues", limit).await?;
        let names = |said: Value| {
            let queues = said.as_array().cloned().unwrap_or_default();
            queues.iter().filter_map(|q| q["name"].as_str().map(|n| tame(n, 120))).collect()
        };
        Ok(answers.into_iter().map(|(worker, said)| (worker, names(said))).collect())
    }
}

/// The queue in a member of a binding's set; none for those that workers talk over.
fn declared(member: &str) -> Option<&str> {
    let queue = member.rsplit(SEPARATOR).next().filter(|queue| !queue.is_empty())?;
    (!queue.ends_with(".pidbox") && !queue.starts_with("celeryev")).then_some(queue)
}

/// The workers' heartbeats as they come.
pub struct Heartbeats(PubSub);

impl std::fmt::Debug for Heartbeats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heartbeats")
    }
}

impl Heartbeats {
    /// The next one; none when the connection ended.
    pub async fn next(&mut self) -> Option<Beat> {
        loop {
            let message = self.0.on_message().next().await?;
            let payload: Option<String> = message.get_payload().ok();
            if let Some(beat) = payload.as_deref().and_then(body).as_ref().and_then(beat) {
                return Some(beat);
            }
        }
    }

    /// What each worker heard within some time has done. What comes later waits in the channel.
    ///
    /// # Errors
    /// The connection ended.
    pub(super) async fn done(&mut self, time: Duration) -> Result<Vec<Done>, ProbeError> {
        let until = tokio::time::Instant::now() + time;
        let mut heard = Vec::new();
        loop {
            match tokio::time::timeout_at(until, self.next()).await {
                Ok(Some(beat)) => heard.push(Done { worker: beat.worker, tasks: beat.processed }),
                Ok(None) => return Err(ProbeError::unreachable(SYSTEM, "the subscription ended")),
                Err(_) => return Ok(heard),
            }
        }
    }

    /// All workers heard within some time, newest beat of each.
    pub async fn gather(&mut self, time: Duration) -> Vec<Beat> {
        let deadline = tokio::time::Instant::now() + time;
        let mut heard = BTreeMap::new();
        while let Ok(Some(beat)) = tokio::time::timeout_at(deadline, self.next()).await {
            heard.insert(beat.worker.clone(), beat);
        }
        heard.into_values().collect()
    }
}

/// The JSON inside a kombu message.
fn body(message: &str) -> Option<Value> {
    let message: Value = serde_json::from_str(message).ok()?;
    let body = message["body"].as_str()?;
    match message["properties"]["body_encoding"].as_str() {
        Some("base64") => serde_json::from_slice(&base64::decode(body)?).ok(),
        _ => serde_json::from_str(body).ok(),
    }
}

fn beat(body: &Value) -> Option<Beat> {
    Some(Beat {
        worker: tame(body["hostname"].as_str()?, 120),
        active: body["active"].as_u64()?,
        processed: body["processed"].as_u64()?,
    })
}

/// A random id in the form kombu uses.
fn uuid() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    // Captured from Celery 5.7.0.
    const HEARTBEAT: &str = r#"{"body": "eyJob3N0bmFtZSI6ICJjZWxlcnlAdm0iLCAidXRjb2Zmc2V0IjogMC4wLCAicGlkIjogODgxNSwgImNsb2NrIjogMiwgImZyZXEiOiAyLjAsICJhY3RpdmUiOiAwLCAicHJvY2Vzc2VkIjogMCwgImxvYWRhdmciOiBbNDguNTUsIDI4Ljc4LCAxNC40OF0sICJzd19pZGVudCI6ICJweS1jZWxlcnkiLCAic3dfdmVyIjogIjUuNy4wIiwgInN3X3N5cyI6ICJMaW51eCIsICJ0aW1lc3RhbXAiOiAxNzk1MzkwODA3Ljc5MjY3LCAidHlwZSI6ICJ3b3JrZXItaGVhcnRiZWF0In0=", "properties": {"body_encoding": "base64"}}"#;

    #[test]
    fn a_heartbeat_is_read() {
        let beat = beat(&body(HEARTBEAT).unwrap()).unwrap();
        assert_eq!(beat, Beat { worker: "celery@vm".to_owned(), active: 0, processed: 0 });
    }

    #[test]
    fn queues_are_found_in_bindings_and_what_workers_talk_over_is_none() {
        assert_eq!(declared("mail\u{6}\u{16}\u{6}\u{16}mail"), Some("mail"));
        assert_eq!(declared("\u{6}\u{16}\u{6}\u{16}celery@vm.celery.pidbox"), None);
        assert_eq!(declared("worker.#\u{6}\u{16}\u{6}\u{16}celeryev.0f2a"), None);
    }

    #[test]
    fn an_answer_to_a_ping_is_read() {
        let reply =
            r#"{"body": "eyJjZWxlcnlAdm0iOiB7Im9rIjogInBvbmcifX0=", "properties": {"body_encoding": "base64"}}"#;
        assert_eq!(body(reply).unwrap()["celery@vm"]["ok"], "pong");
        assert_eq!(body("not json"), None);
    }
}
