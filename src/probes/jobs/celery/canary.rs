//! A task of our own on its way through Celery. What is written is removed again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::text::tame;
use crate::probes::ProbeError;

use super::super::{Canary, millis};
use super::{Broker, uuid};

/// Long enough to hear every worker once.
const HEARD: Duration = Duration::from_millis(2300);

impl Broker {
    /// Puts a task that Celery itself brings (it adds two numbers) into the queue, and waits for what comes of it.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn canary(&self, limit: Duration) -> Result<Canary, ProbeError> {
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
        let list = self.layout.key(&self.queue);
        let mut heartbeats = self.heartbeats().await?;
        let before: u64 = heartbeats.gather(HEARD).await.iter().map(|beat| beat.processed).sum();
        let began = tokio::time::Instant::now();
        let _: u64 = self.redis.ask(redis::cmd("LPUSH").arg(&list).arg(&message)).await?;
        let mut seen = Canary { id: id.clone(), ..Canary::default() };
        while began.elapsed() < limit {
            let answer: Option<String> = self.redis.ask(redis::cmd("GET").arg(&result)).await?;
            if let Some(answer) = answer {
                let answer: Value = serde_json::from_str(&answer).unwrap_or_default();
                seen.result = Some(tame(&format!("{} {}", answer["status"], answer["result"]), 80));
                seen.done_ms = Some(millis(began));
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            seen.taken |= self.redis.ask::<Option<i64>>(redis::cmd("LPOS").arg(&list).arg(&message)).await?.is_none();
            if seen.taken && began.elapsed() > limit / 2 {
                // Without a place for results, the workers' own count tells that something was done.
                let after: u64 = heartbeats.gather(HEARD).await.iter().map(|beat| beat.processed).sum();
                seen.counted = after > before;
                if seen.counted {
                    seen.done_ms = Some(millis(began));
                    break;
                }
            }
        }
        seen.taken |= seen.done_ms.is_some();
        let _: u64 = self.redis.ask(redis::cmd("LREM").arg(&list).arg(0).arg(&message)).await?;
        let _: u64 = self.redis.ask(redis::cmd("DEL").arg(&result)).await?;
        Ok(seen)
    }
}
