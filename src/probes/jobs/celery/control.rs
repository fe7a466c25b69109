//! Questions by broadcast, and how many there were to hear them: a worker that is busy is told from none at all.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::text::tame;
use crate::probes::ProbeError;

use super::layout::REPLIES;
use super::{Broker, body, uuid};

/// How often it is looked whether another worker answered.
const LOOK: Duration = Duration::from_millis(50);

/// What came back.
#[derive(Debug, Clone, PartialEq, Default)]
pub(in crate::probes::jobs) struct Answers {
    /// Processes that were listening when the question was sent; 0 with `worker_enable_remote_control` off.
    pub asked: u64,
    /// What they said, by worker; a second process of one name has a number behind it.
    pub by_worker: BTreeMap<String, Value>,
}

impl Answers {
    /// Adds one process's answer, beside that of another one that bears the same name.
    fn add(&mut self, worker: &str, said: Value) {
        let same = self.by_worker.keys().filter(|name| name.split(" (").next() == Some(worker)).count();
        let name = if same == 0 { worker.to_owned() } else { format!("{worker} ({})", same + 1) };
        self.by_worker.insert(name, said);
    }
}

impl Broker {
    /// Asks every worker something (`ping`, `active_queues`, `conf`), and waits until all that listen have answered, or
    /// until `limit`: a worker that is busy answers late, and may be the one that matters.
    ///
    /// # Errors
    /// The broker does not answer. Workers that do not are no error.
    pub async fn ask(&self, method: &str, limit: Duration) -> Result<Answers, ProbeError> {
        self.ask_for(method, json!({}), limit).await
    }

    /// The same, with what the question is about.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_for(&self, method: &str, about: Value, limit: Duration) -> Result<Answers, ProbeError> {
        let id = uuid();
        let reply = format!("{id}.{REPLIES}");
        let (binding, member) = (self.layout.replies(), self.layout.bound(&id, &reply));
        let reply = self.layout.key(&reply);
        let question = json!({
            "method": method, "arguments": about, "destination": null, "pattern": null, "matcher": null, "ticket": uuid(),
            "reply_to": { "exchange": REPLIES, "routing_key": id },
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
        let _: () = self.redis.ask(redis::cmd("SADD").arg(&binding).arg(&member)).await?;
        let asked = self.publish_and_gather(&message.to_string(), &reply, limit).await;
        // Both keys are ours and go, whatever came of the question.
        let _: () = self.redis.ask(redis::cmd("SREM").arg(binding).arg(&member)).await?;
        let _: () = self.redis.ask(redis::cmd("DEL").arg(&reply)).await?;
        asked
    }

    /// True when every worker says that it acknowledges a task when it is done, not when it begins. False is the default,
    /// and what is not known.
    ///
    /// # Errors
    /// The broker does not answer.
    pub async fn acks_late(&self, limit: Duration) -> Result<bool, ProbeError> {
        let answers = self.ask("conf", limit).await?;
        let all = answers.asked > 0 && answers.by_worker.len() as u64 == answers.asked;
        Ok(all && answers.by_worker.values().all(late))
    }

    async fn publish_and_gather(&self, message: &str, reply: &str, limit: Duration) -> Result<Answers, ProbeError> {
        let channel = self.layout.key(&format!("/{}.celery.pidbox", self.database));
        let mut answers = Answers {
            asked: self.redis.ask(redis::cmd("PUBLISH").arg(channel).arg(message)).await?,
            ..Answers::default()
        };
        let deadline = tokio::time::Instant::now() + limit;
        // Popped by polling: a blocking pop would hold up every other question on this connection.
        while (answers.by_worker.len() as u64) < answers.asked && tokio::time::Instant::now() < deadline {
            let popped: Option<String> = self.redis.ask(redis::cmd("RPOP").arg(reply)).await?;
            match popped.as_deref().and_then(body) {
                Some(Value::Object(by_worker)) => {
                    by_worker.into_iter().for_each(|(worker, said)| answers.add(&tame(&worker, 120), said));
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
        Ok(answers)
    }
}

/// Workers tell what differs from the defaults, under the name it was set by.
fn late(conf: &Value) -> bool {
    let all = || conf.as_object().into_iter().flatten();
    all().any(|(name, value)| name.to_lowercase().ends_with("acks_late") && value.as_bool() == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_of_one_name_answer_twice() {
        let mut answers = Answers { asked: 3, ..Answers::default() };
        for worker in ["celery@web", "celery@web", "celery@mail"] {
            answers.add(worker, json!({ "ok": "pong" }));
        }
        let names: Vec<&str> = answers.by_worker.keys().map(String::as_str).collect();
        assert_eq!(names, ["celery@mail", "celery@web", "celery@web (2)"]);
    }

    #[test]
    fn acknowledging_late_is_read_under_each_of_its_names() {
        for (conf, expected) in [
            (json!({ "task_acks_late": true }), true),
            (json!({ "CELERY_TASK_ACKS_LATE": true }), true),
            (json!({ "CELERY_ACKS_LATE": true }), true),
            (json!({ "task_acks_late": false }), false),
            (json!({ "task_acks_on_failure_or_timeout": true }), false),
            (json!({}), false),
            (json!(null), false),
        ] {
            assert_eq!(late(&conf), expected, "{conf}");
        }
    }
}
