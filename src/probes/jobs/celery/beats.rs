//! Heartbeats: what Celery's workers say by themselves, every two seconds unless it was switched off.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::PubSub;
use serde_json::Value;

use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::error::within;
use crate::probes::redis::{LIMIT, failed};

use super::super::{Done, SYSTEM};
use super::{Broker, body};

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Beat {
    /// `celery@host`.
    pub worker: String,
    /// Its process: two containers may have one host name, and one name then counts twice.
    pub pid: u64,
    /// Tasks it is running.
    pub active: u64,
    /// Tasks it has begun since it started.
    pub processed: u64,
}

impl Broker {
    /// Listens to the workers' heartbeats, one every two seconds and worker unless switched off.
    ///
    /// # Errors
    /// No connection.
    pub async fn heartbeats(&self) -> Result<Heartbeats, ProbeError> {
        let pattern = self.layout.pattern(&format!("/{}.celeryev/worker.heartbeat", self.database));
        let subscribing = async {
            let failed = |e| failed(&e, SYSTEM, &self.variable);
            let mut listener = self.redis.listener().await?;
            listener.psubscribe(pattern).await.map_err(failed)?;
            Ok(Heartbeats(listener))
        };
        within(SYSTEM, LIMIT, subscribing).await
    }
}

/// The workers' heartbeats as they come.
pub(in crate::probes::jobs) struct Heartbeats(PubSub);

impl std::fmt::Debug for Heartbeats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Heartbeats")
    }
}

impl Heartbeats {
    /// The next one; none when the connection ended.
    async fn next(&mut self) -> Option<Beat> {
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
    pub async fn done(&mut self, time: Duration) -> Result<Vec<Done>, ProbeError> {
        let until = tokio::time::Instant::now() + time;
        let mut heard = Vec::new();
        loop {
            match tokio::time::timeout_at(until, self.next()).await {
                Ok(Some(beat)) => heard.push(Done {
                    worker: beat.key(),
                    tasks: beat.processed,
                    failed: None,
                    active: Some(beat.active),
                }),
                Ok(None) => return Err(ProbeError::unreachable(SYSTEM, "the subscription ended")),
                Err(_) => return Ok(heard),
            }
        }
    }

    /// All workers heard within some time, newest beat of each.
    pub(super) async fn gather(&mut self, time: Duration) -> Vec<Beat> {
        let deadline = tokio::time::Instant::now() + time;
        let mut heard = BTreeMap::new();
        while let Ok(Some(beat)) = tokio::time::timeout_at(deadline, self.next()).await {
            heard.insert(beat.key(), beat);
        }
        heard.into_values().collect()
    }
}

impl Beat {
    /// What tells it from every other worker.
    fn key(&self) -> String {
        format!("{} (process {})", self.worker, self.pid)
    }
}

fn beat(body: &Value) -> Option<Beat> {
    Some(Beat {
        worker: tame(body["hostname"].as_str()?, 120),
        pid: body["pid"].as_u64().unwrap_or(0),
        active: body["active"].as_u64()?,
        processed: body["processed"].as_u64()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Captured from Celery 5.7.0.
    const HEARTBEAT: &str = r#"{"body": "eyJob3N0bmFtZSI6ICJjZWxlcnlAdm0iLCAidXRjb2Zmc2V0IjogMC4wLCAicGlkIjogODgxNSwgImNsb2NrIjogMiwgImZyZXEiOiAyLjAsICJhY3RpdmUiOiAwLCAicHJvY2Vzc2VkIjogMCwgImxvYWRhdmciOiBbNDguNTUsIDI4Ljc4LCAxNC40OF0sICJzd19pZGVudCI6ICJweS1jZWxlcnkiLCAic3dfdmVyIjogIjUuNy4wIiwgInN3X3N5cyI6ICJMaW51eCIsICJ0aW1lc3RhbXAiOiAxNzk1MzkwODA3Ljc5MjY3LCAidHlwZSI6ICJ3b3JrZXItaGVhcnRiZWF0In0=", "properties": {"body_encoding": "base64"}}"#;

    #[test]
    fn a_heartbeat_is_read() {
        let beat = beat(&body(HEARTBEAT).unwrap()).unwrap();
        assert_eq!(beat, Beat { worker: "celery@vm".to_owned(), pid: 8815, active: 0, processed: 0 });
    }

    #[test]
    fn two_processes_of_one_node_name_are_two_workers() {
        let of = |pid: u64| {
            beat(&serde_json::json!({ "hostname": "celery@web", "pid": pid, "active": 0, "processed": 5 })).unwrap()
        };
        assert_ne!(of(7).key(), of(8).key());
        assert_eq!(of(7).key(), of(7).key());
    }
}
