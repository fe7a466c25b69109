//! Celery on Redis hands a task out again that is not acknowledged in time: is that time longer than tasks take?

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::site::QueueKind;

/// What kombu takes when nothing is set, seconds.
const USUAL: f64 = 3600.0;

/// `jobs.acks-late-consistent`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AcksLateConsistent {
    /// The shortest visibility timeout that is believed where tasks have no time limit, seconds.
    least_s: f64,
}

impl Default for AcksLateConsistent {
    fn default() -> Self {
        Self { least_s: 300.0 }
    }
}

/// What one worker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Says {
    acks_late: bool,
    visibility_s: Option<f64>,
    time_limit_s: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AcksFacts {
    kind: QueueKind,
    workers: BTreeMap<String, Says>,
    /// Age of the oldest task that is handed out, seconds.
    oldest_s: Option<f64>,
    /// Seconds until the last of those is due that workers hold for later (countdown, eta).
    #[serde(default)]
    later_s: Option<f64>,
}

impl Check for AcksLateConsistent {
    const ID: &'static str = "jobs.acks-late-consistent";
    const TITLE: &'static str = "no task is handed out twice because it takes long";
    const ABOUT: &'static str = "Asks every Celery worker for the configuration it runs with (acks_late, the visibility timeout, the time \
        limit of a task), and looks at how long the oldest task has been out, and how long the last one waits that is held for later. \
        On Redis, what is not acknowledged within the visibility timeout is given to a second worker: a customer gets two mails. Traps: \
        the timeout was made short so that tasks of dead workers come back soon; a countdown of a day under a timeout of an hour.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#visibility-timeout",
        "https://docs.celeryq.dev/en/stable/userguide/configuration.html#task-acks-late",
    ];
    type Facts = AcksFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<AcksFacts, Missing> {
        let broker = ctx.probes.broker().await?;
        let said = broker.conf(Duration::from_secs(3)).await?.unwrap_or_default();
        let waiting = broker.waiting().await?;
        Ok(AcksFacts {
            kind: broker.kind(),
            workers: said.into_iter().map(|(worker, conf)| (worker, says(&conf))).collect(),
            oldest_s: waiting.oldest_s,
            later_s: waiting.later_s,
        })
    }

    fn judge(&self, facts: &AcksFacts) -> CheckOutcome {
        if facts.kind != QueueKind::Celery {
            return CheckOutcome::NotApplicable(format!(
                "{}, not Celery: it knows no visibility timeout",
                facts.kind.name()
            ));
        }
        if facts.workers.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "no worker told its configuration",
                "start a worker, and leave worker_enable_remote_control on (it is by default); see it: celery -A yourproject inspect conf",
            ));
        }
        let mut findings = Vec::new();
        for (worker, said) in &facts.workers {
            let visible = said.visibility_s.unwrap_or(USUAL);
            let out = facts.oldest_s.filter(|age| *age > visible);
            let needed = said.time_limit_s.unwrap_or(self.least_s);
            let short = said.acks_late && visible <= needed;
            let later = facts.later_s.filter(|wait| *wait > visible);
            if !short && out.is_none() && later.is_none() {
                continue;
            }
            let why = match (out, later, said.time_limit_s) {
                (Some(age), ..) => format!("a task has been out for {age:.0} s"),
                (None, Some(wait), _) => format!("a task that it holds is to be done in {wait:.0} s (countdown, eta)"),
                (None, None, Some(limit)) => format!("a task may take {limit:.0} s (task_time_limit)"),
                (None, None, None) => "nothing limits how long a task takes".to_owned(),
            };
            findings.push(Finding {
                seen: format!("{worker} gets tasks again that are not acknowledged after {visible:.0} s (visibility_timeout), and {why}"),
                todo: "set CELERY_BROKER_TRANSPORT_OPTIONS = {\"visibility_timeout\": 3600} and CELERY_TASK_TIME_LIMIT well below it, in the \
                       app and in the worker; what is to be done later than that belongs into a table that a job looks at; \
                       each task must bear being run twice all the same. See it: celery -A yourproject inspect conf"
                    .to_owned(),
            });
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

fn says(conf: &serde_json::Value) -> Says {
    // Workers tell what differs from the defaults, under the names it was set by: CELERY_TASK_ACKS_LATE and the like.
    let set = |name: &str| conf.as_object()?.iter().find(|(key, _)| key.to_lowercase().ends_with(name)).map(|(_, v)| v);
    let of = |name: &str| set(name).filter(|value| !value.is_null());
    Says {
        acks_late: of("task_acks_late").and_then(serde_json::Value::as_bool).unwrap_or(false),
        visibility_s: of("broker_transport_options").and_then(|options| options["visibility_timeout"].as_f64()),
        time_limit_s: of("task_time_limit").and_then(serde_json::Value::as_f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_must_be_longer_than_a_task() {
        let facts = |acks_late, visibility_s, time_limit_s, oldest_s| AcksFacts {
            kind: QueueKind::Celery,
            workers: BTreeMap::from([("celery@vm".to_owned(), Says { acks_late, visibility_s, time_limit_s })]),
            oldest_s,
            later_s: None,
        };
        for (word, facts) in [
            ("pass", facts(true, None, None, None)),
            ("pass", facts(true, Some(3600.0), Some(300.0), Some(2.0))),
            ("fail", facts(true, Some(5.0), None, None)),
            ("fail", facts(true, Some(60.0), Some(120.0), None)),
            // Acknowledged when taken: only what is held back by its worker may come again.
            ("pass", facts(false, Some(5.0), None, None)),
            ("fail", facts(false, Some(5.0), None, Some(20.0))),
            // Held for a quarter of an hour, and for a day.
            ("pass", AcksFacts { later_s: Some(900.0), ..facts(true, None, None, Some(60.0)) }),
            ("fail", AcksFacts { later_s: Some(86_400.0), ..facts(false, None, None, Some(60.0)) }),
            ("unknown", AcksFacts { workers: BTreeMap::new(), ..facts(true, None, None, None) }),
            ("n/a", AcksFacts { kind: QueueKind::Rq, ..facts(true, Some(5.0), None, None) }),
        ] {
            assert_eq!(AcksLateConsistent::default().judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn a_worker_s_configuration_is_read_whatever_its_owner_s_prefix() {
        let conf =
            serde_json::json!({ "task_acks_late": true, "broker_transport_options": { "visibility_timeout": 5 } });
        assert_eq!(says(&conf), Says { acks_late: true, visibility_s: Some(5.0), time_limit_s: None });
        assert_eq!(says(&serde_json::json!({ "CELERY_TASK_TIME_LIMIT": 30, "CELERY_X": 1 })).time_limit_s, Some(30.0));
        assert_eq!(says(&serde_json::json!({ "task_time_limit": null })).time_limit_s, None);
        assert_eq!(says(&serde_json::json!(null)), Says::default());
    }
}
