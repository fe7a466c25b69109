//! Celery on Redis hands a task out again that is not acknowledged in time: is that time longer than tasks take?

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::site::QueueKind;
use crate::domain::text::tame;
use crate::probes::jobs::Conf;

/// Tasks of one worker looked at, at most.
const MOST: usize = 2000;
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Says {
    acks_late: bool,
    visibility_s: Option<f64>,
    time_limit_s: Option<f64>,
    /// What its tasks say; none when it did not tell.
    #[serde(default)]
    tasks: Option<BTreeMap<String, Task>>,
}

/// What a task says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Task {
    /// None: as its worker is configured.
    late: Option<bool>,
    /// The time limit of its own, seconds.
    time_limit_s: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AcksFacts {
    kind: QueueKind,
    workers: BTreeMap<String, Says>,
    /// Workers that were listening when they were asked.
    #[serde(default)]
    asked: u64,
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
        let Conf { asked, by_worker, tasks } = broker.conf(Duration::from_secs(3)).await?.unwrap_or_default();
        let waiting = broker.waiting().await?;
        Ok(AcksFacts {
            kind: broker.kind(),
            // One whose command raised says so in place of an answer, and told nothing.
            workers: by_worker
                .into_iter()
                .filter(|(_, conf)| conf.get("error").is_none())
                .map(|(worker, conf)| {
                    let tasks = tasks.get(&worker).and_then(told);
                    (worker, Says { tasks, ..says(&conf) })
                })
                .collect(),
            asked,
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
            let slowest = said.slowest(self.least_s);
            let short = slowest.as_ref().is_some_and(|(_, needed)| visible <= *needed);
            let later = facts.later_s.filter(|wait| *wait > visible);
            if !short && out.is_none() && later.is_none() {
                continue;
            }
            let (task, _) = slowest.unwrap_or_default();
            let own = said.tasks.as_ref().and_then(|tasks| tasks.get(&task)?.time_limit_s);
            let limit = own.or(said.time_limit_s);
            let why = match (out, later, limit) {
                (Some(age), ..) => format!("a task has been out for {age:.0} s"),
                (None, Some(wait), _) => format!("a task that it holds is to be done in {wait:.0} s (countdown, eta)"),
                (None, None, Some(limit)) => format!("{} may take {limit:.0} s (time_limit)", named(&task)),
                (None, None, None) => format!("nothing limits how long {} takes (acks_late)", named(&task)),
            };
            findings.push(Finding {
                seen: format!("{worker} gets tasks again that are not acknowledged after {visible:.0} s (visibility_timeout), and {why}"),
                todo: "set CELERY_BROKER_TRANSPORT_OPTIONS = {\"visibility_timeout\": 3600} and CELERY_TASK_TIME_LIMIT well below it, in the \
                       app and in the worker; what is to be done later than that belongs into a table that a job looks at; \
                       each task must bear being run twice all the same. See it: celery -A yourproject inspect conf"
                    .to_owned(),
            });
        }
        // One that did not tell its tasks may have a late one.
        let silent = |said: &Says| {
            let needed = said.time_limit_s.unwrap_or(self.least_s);
            said.tasks.is_none() && !said.acks_late && said.visibility_s.unwrap_or(USUAL) <= needed
        };
        if findings.is_empty()
            && let Some((worker, _)) = facts.workers.iter().find(|(_, said)| silent(said))
        {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "{worker} did not tell whether one of its tasks is acknowledged late, and its visibility timeout is short"
                ),
                "run the step again when the workers are less busy; see it: celery -A yourproject inspect registered acks_late",
            ));
        }
        let told = facts.workers.len() as u64;
        if findings.is_empty() && told < facts.asked {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "{told} of {} workers told their configuration; the others may run with another one",
                    facts.asked
                ),
                "run the step again when the workers are less busy; see it: celery -A yourproject inspect conf -t 10, which \
                 must show every worker",
            ));
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

impl Says {
    /// The late task that may take longest, and for how long, seconds; `least` where nothing limits it.
    fn slowest(&self, least: f64) -> Option<(String, f64)> {
        let limit = |own: Option<f64>| own.or(self.time_limit_s).unwrap_or(least);
        let tasks = self.tasks.iter().flatten();
        let late = tasks.filter(|(_, task)| task.late.unwrap_or(self.acks_late));
        let each = late.map(|(name, task)| (name.clone(), limit(task.time_limit_s)));
        // Of one that told no task only its configuration is known.
        let unnamed = self.tasks.as_ref().is_none_or(BTreeMap::is_empty);
        let of_all = (self.acks_late && unnamed).then(|| (String::new(), limit(None)));
        each.chain(of_all).max_by(|(_, one), (_, other)| one.total_cmp(other))
    }
}

fn named(task: &str) -> String {
    if task.is_empty() { "a task".to_owned() } else { format!("task {task}") }
}

/// The tasks in an answer to `registered`: `shop.tasks.pay [acks_late=True time_limit=30]`; none for what is no list of them.
fn told(said: &serde_json::Value) -> Option<BTreeMap<String, Task>> {
    let texts = said.as_array()?.iter().take(MOST).filter_map(serde_json::Value::as_str);
    let one = |text: &str| {
        let (name, about) = text.trim_end_matches(']').split_once(" [").unwrap_or((text, ""));
        let of = |key: &str| about.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        let time_limit_s = of("time_limit").and_then(|limit| limit.parse().ok());
        (tame(name, 120), Task { late: of("acks_late").map(|late| late == "True"), time_limit_s })
    };
    Some(texts.map(one).collect())
}

fn says(conf: &serde_json::Value) -> Says {
    // Workers tell what differs from the defaults, under the names it was set by: CELERY_TASK_ACKS_LATE and the like.
    let set = |name: &str| conf.as_object()?.iter().find(|(key, _)| key.to_lowercase().ends_with(name)).map(|(_, v)| v);
    let of = |name: &str| set(name).filter(|value| !value.is_null());
    Says {
        // CELERY_ACKS_LATE is its name of old.
        acks_late: of("acks_late").and_then(serde_json::Value::as_bool).unwrap_or(false),
        visibility_s: of("broker_transport_options").and_then(|options| options["visibility_timeout"].as_f64()),
        time_limit_s: of("task_time_limit").and_then(serde_json::Value::as_f64),
        tasks: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_must_be_longer_than_a_task() {
        let facts = |acks_late, visibility_s, time_limit_s, oldest_s| AcksFacts {
            kind: QueueKind::Celery,
            workers: BTreeMap::from([(
                "celery@vm".to_owned(),
                Says { acks_late, visibility_s, time_limit_s, tasks: Some(BTreeMap::new()) },
            )]),
            asked: 1,
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
            // One of two did not answer: what it runs with is not known, and what the other said stands.
            ("unknown", AcksFacts { asked: 2, ..facts(true, None, None, None) }),
            ("fail", AcksFacts { asked: 2, ..facts(true, Some(5.0), None, None) }),
            ("n/a", AcksFacts { kind: QueueKind::Rq, ..facts(true, Some(5.0), None, None) }),
        ] {
            assert_eq!(AcksLateConsistent::default().judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn one_task_that_is_late_is_enough() {
        let said =
            serde_json::json!(["shop.mail [acks_late=False]", "shop.pay [acks_late=True time_limit=90]", "shop.odd"]);
        let tasks = told(&said).unwrap();
        assert_eq!(told(&serde_json::json!({ "error": "KeyError()" })), None);
        let pay = Task { late: Some(true), time_limit_s: Some(90.0) };
        assert_eq!((tasks.len(), tasks["shop.pay"], tasks["shop.odd"]), (3, pay, Task::default()));
        let only = |late| Some(BTreeMap::from([("shop.pay".to_owned(), Task { late, time_limit_s: None })]));
        for (word, visibility_s, acks_late, tasks) in [
            ("fail", 60.0, false, Some(tasks.clone())),
            ("pass", 120.0, false, Some(tasks.clone())),
            // The one that says nothing is as its worker is configured.
            ("fail", 120.0, true, Some(tasks)),
            ("pass", 60.0, false, Some(BTreeMap::new())),
            ("fail", 60.0, false, only(Some(true))),
            ("pass", 60.0, false, only(Some(false))),
            // All are late by configuration, and each says that it is not.
            ("pass", 60.0, true, only(Some(false))),
            // It told its configuration and not its tasks: a short timeout may be too short for one of them.
            ("unknown", 60.0, false, None),
            ("pass", 3600.0, false, None),
            ("fail", 60.0, true, None),
        ] {
            let says = Says { visibility_s: Some(visibility_s), acks_late, tasks, ..Says::default() };
            let workers = BTreeMap::from([("celery@vm".to_owned(), says)]);
            let facts = AcksFacts { kind: QueueKind::Celery, workers, asked: 1, oldest_s: None, later_s: None };
            assert_eq!(AcksLateConsistent::default().judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn a_worker_s_configuration_is_read_whatever_its_owner_s_prefix() {
        let conf =
            serde_json::json!({ "task_acks_late": true, "broker_transport_options": { "visibility_timeout": 5 } });
        assert_eq!(says(&conf), Says { acks_late: true, visibility_s: Some(5.0), ..Says::default() });
        assert!(says(&serde_json::json!({ "CELERY_ACKS_LATE": true })).acks_late);
        assert_eq!(says(&serde_json::json!({ "CELERY_TASK_TIME_LIMIT": 30, "CELERY_X": 1 })).time_limit_s, Some(30.0));
        assert_eq!(says(&serde_json::json!({ "task_time_limit": null })).time_limit_s, None);
        assert_eq!(says(&serde_json::json!(null)), Says::default());
    }
}
