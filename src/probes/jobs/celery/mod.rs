//! Celery on Redis, spoken to in its own words: what waits in its lists, and which queues were declared. No Python needed.
//!
//! Publish and subscribe cross Redis databases, so every channel carries the broker's own database number: a worker on
//! another one is not ours.

mod beats;
mod canary;
mod control;
mod layout;
mod reserved;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::domain::text::tame;
use crate::probes::base64;
use crate::probes::redis::Redis;
use crate::probes::{ProbeError, unix_now};

use super::clients;
use super::heads::{self, End, Heads};
use super::{MOST, Waiting, Workers};
use layout::LISTS;

pub(super) use beats::Heartbeats;
pub(super) use layout::{Layout, listens};
pub(super) use reserved::Reserved;

/// Where tasks stand that were handed out and not acknowledged.
const UNACKED: &str = "unacked";
/// A consumer asks about once a second.
const SILENCE: u64 = 15;

/// The broker, and the queue that matters.
#[derive(Debug, Clone)]
pub(super) struct Broker {
    redis: Redis,
    layout: Layout,
    database: i64,
    queue: String,
    variable: String,
}

impl Broker {
    /// A queue of this broker.
    #[must_use]
    pub fn new(redis: Redis, layout: Layout, queue: &str, variable: &str) -> Self {
        let database = redis.database();
        Self { redis, layout, database, queue: queue.to_owned(), variable: variable.to_owned() }
    }

    /// What waits: the lists of these queues and of their priorities, and those handed out but not acknowledged, of which
    /// those that are not due yet are told apart. A queue without tasks has no key at all, which counts 0.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn waiting(&self, queues: &[String], reserved: &mut Reserved) -> Result<Waiting, ProbeError> {
        let (mut lists, mut handed) = (redis::pipe(), redis::pipe());
        for list in queues.iter().flat_map(|queue| self.layout.lists(queue)) {
            lists.llen(list);
        }
        // The score is when it was handed out.
        handed.hlen(self.layout.key(UNACKED)).cmd("ZRANGE").arg(self.layout.key("unacked_index"));
        handed.arg(0).arg(0).arg("WITHSCORES");
        let (queued, handed) = tokio::join!(self.redis.ask_all(&lists), self.redis.ask_all(&handed));
        let queued: Vec<u64> = queued?;
        let (handed, oldest): (u64, Vec<(String, f64)>) = handed?;
        let now = unix_now();
        let (later, later_s) = reserved.look(&self.redis, &self.layout.key(UNACKED), handed, now).await?;
        let oldest_s = oldest.first().map(|(_, at)| (now - at).max(0.0));
        let taken = handed.saturating_sub(later);
        Ok(Waiting { queued: queued.iter().sum(), taken, later, later_s, oldest_s })
    }

    /// Every queue that somebody declared here, and what waits in its lists. Kombu keeps them in sets named after the
    /// exchange.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn queues(&self) -> Result<BTreeMap<String, u64>, ProbeError> {
        let bindings = self.redis.keys(&self.layout.bindings(), MOST).await?;
        let mut pipe = redis::pipe();
        for key in &bindings {
            pipe.smembers(key);
        }
        let members: Vec<Vec<String>> = if bindings.is_empty() { vec![] } else { self.redis.ask_all(&pipe).await? };
        let mut names: Vec<&str> =
            members.iter().flat_map(|all| all.iter().take(MOST)).filter_map(|m| self.layout.declared(m)).collect();
        names.push(&self.queue);
        names.sort_unstable();
        names.dedup();
        let mut pipe = redis::pipe();
        for list in names.iter().flat_map(|name| self.layout.lists(name)) {
            pipe.llen(list);
        }
        let counts: Vec<u64> = self.redis.ask_all(&pipe).await?;
        let sums = counts.chunks(LISTS).map(|of| of.iter().sum());
        Ok(names.iter().map(|name| tame(name, 120)).zip(sums).collect())
    }

    /// The next task of these queues.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn heads(&self, queues: &[&str]) -> Result<Heads, ProbeError> {
        let keys = queues
            .iter()
            .flat_map(|queue| self.layout.lists(queue).map(|list| ((*queue).to_owned(), list, End::Right)));
        heads::look(&self.redis, keys.collect()).await
    }

    /// Who works, listening for so long.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn workers(&self, listen: Duration) -> Result<Workers, ProbeError> {
        let mut heartbeats = self.heartbeats().await?;
        let (heard, answers) = tokio::join!(heartbeats.gather(listen), self.ask("active_queues", listen));
        let (heard, answers) = (heard.into_iter().map(|beat| beat.worker).collect::<Vec<_>>(), answers?);
        let mut silent = answers.asked.saturating_sub(answers.by_worker.len() as u64);
        let consumed: BTreeMap<_, _> = answers.by_worker.into_iter().map(|(name, said)| (name, names(&said))).collect();
        if answers.asked == 0 && heard.is_empty() {
            // Neither questions nor heartbeats: what is left is a client that waits for tasks, where we may see it.
            let waits = |client: &clients::Client| client.command == "brpop" && client.idle <= SILENCE;
            silent = clients::here(&self.redis).await.map_or(0, |all| all.iter().filter(|c| waits(c)).count() as u64);
        }
        Ok(Workers { heard, consumed, silent })
    }
}

/// Names of the queues in an answer to `active_queues`.
fn names(said: &Value) -> Vec<String> {
    let queues = said.as_array().map(Vec::as_slice).unwrap_or_default();
    queues.iter().filter_map(|queue| queue["name"].as_str().map(|name| tame(name, 120))).collect()
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

/// A random id in the form kombu uses.
fn uuid() -> String {
    let hex = format!("{:032x}", rand::random::<u128>());
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests;
