//! Tasks that a worker holds until they are due (countdown, eta): they stand among the unacknowledged and are no backlog.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use crate::probes::ProbeError;
use crate::probes::redis::Redis;

/// So many unacknowledged tasks are told apart; of more, all count as handed out.
const MOST: u64 = 20_000;
/// Messages read in one go. What is not read yet counts as due.
const AT_ONCE: usize = 1000;

/// When the tasks are due that were handed out, as far as they were looked at: each message is read once.
#[derive(Debug, Default)]
pub(in crate::probes::jobs) struct Reserved {
    by_tag: HashMap<String, Option<Due>>,
    retried: u64,
}

/// When a task is to be done.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Due {
    /// None: at once.
    at: Option<f64>,
    /// It was tried before.
    again: bool,
}

impl Reserved {
    /// How many of the tasks that are handed out (the hash `unacked`) are not due yet, and in how many seconds the last of
    /// them is.
    ///
    /// # Errors
    /// No answer in time.
    pub(super) async fn look(
        &mut self,
        redis: &Redis,
        unacked: &str,
        handed: u64,
        now: f64,
    ) -> Result<(u64, Option<f64>), ProbeError> {
        if handed == 0 {
            self.by_tag.clear();
        }
        if handed == 0 || handed > MOST {
            return Ok((0, None));
        }
        let tags: HashSet<String> = redis.ask(redis::cmd("HKEYS").arg(unacked)).await?;
        self.by_tag.retain(|tag, _| tags.contains(tag));
        let new: Vec<&String> = tags.iter().filter(|tag| !self.by_tag.contains_key(*tag)).take(AT_ONCE).collect();
        if !new.is_empty() {
            let messages: Vec<Option<Vec<u8>>> = redis.ask(redis::cmd("HMGET").arg(unacked).arg(&new)).await?;
            for (tag, message) in new.into_iter().zip(&messages) {
                self.add(tag.clone(), message.as_deref().and_then(due));
            }
        }
        Ok(self.later(now))
    }

    /// Tasks that were seen waiting to be tried again, since the first look; one that fails twice counts twice.
    pub fn retried(&self) -> u64 {
        self.retried
    }

    fn add(&mut self, tag: String, due: Option<Due>) {
        self.retried += u64::from(due.is_some_and(|due| due.again));
        self.by_tag.insert(tag, due);
    }

    fn later(&self, now: f64) -> (u64, Option<f64>) {
        let dates = self.by_tag.values().flatten().filter_map(|due| due.at);
        let waits = dates.filter(|at| *at > now).map(|at| at - now);
        waits.fold((0, None), |(count, last), wait| (count + 1, Some(wait.max(last.unwrap_or(0.0)))))
    }
}

/// What a message says that kombu keeps with its exchange and its routing key; none for one that is no task.
fn due(kept: &[u8]) -> Option<Due> {
    let kept: Value = serde_json::from_slice(kept).ok()?;
    let headers = kept[0]["headers"].as_object()?;
    let eta = headers.get("eta").and_then(Value::as_str);
    let utc = |eta: &str| eta.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let at = eta.and_then(|eta| eta.parse::<jiff::Timestamp>().ok().or_else(|| utc(eta).map(|at| at.timestamp())));
    let again = headers.get("retries").and_then(Value::as_u64).unwrap_or(0) > 0;
    Some(Due { at: at.map(|at| at.as_duration().as_secs_f64()), again })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(eta: &str, retries: u64) -> Vec<u8> {
        let headers = format!(r#"{{"task": "shop.remind", "eta": {eta}, "retries": {retries}}}"#);
        format!(r#"[{{"body": "W10=", "headers": {headers}}}, "", "celery"]"#).into_bytes()
    }

    #[test]
    fn a_task_with_a_future_eta_is_told_from_one_that_is_due() {
        let now = "2026-11-26T12:00:00Z".parse::<jiff::Timestamp>().unwrap().as_duration().as_secs_f64();
        for (eta, later) in [
            (r#""2026-11-26T12:10:00.250000+00:00""#, Some(600.25)),
            (r#""2026-11-26T13:10:00+01:00""#, Some(600.0)),
            // Written without a zone: UTC, as Celery takes it.
            (r#""2026-11-26T12:10:00""#, Some(600.0)),
            (r#""2026-11-26T11:59:59+00:00""#, None),
            ("null", None),
            (r#""soon""#, None),
        ] {
            let mut seen = Reserved::default();
            seen.add("tag".to_owned(), due(&kept(eta, 0)));
            let (count, last) = seen.later(now);
            assert_eq!((count, seen.retried()), (u64::from(later.is_some()), 0), "{eta}");
            assert!((last.unwrap_or(0.0) - later.unwrap_or(0.0)).abs() < 1e-3, "{eta}: {seen:?}");
            // Begun again by now, or at once, or not: it failed before.
            seen.add("another".to_owned(), due(&kept(eta, 2)));
            assert_eq!(seen.retried(), 1, "{eta}");
        }
        assert_eq!(due(b"not json"), None);
    }
}
