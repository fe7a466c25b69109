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
pub(in crate::probes::jobs) struct Reserved(HashMap<String, Option<f64>>);

impl Reserved {
    /// How many of the tasks that are handed out are not due yet, and in how many seconds the last of them is.
    ///
    /// # Errors
    /// No answer in time.
    pub(super) async fn look(
        &mut self,
        redis: &Redis,
        handed: u64,
        now: f64,
    ) -> Result<(u64, Option<f64>), ProbeError> {
        if handed == 0 || handed > MOST {
            self.0.clear();
            return Ok((0, None));
        }
        let tags: HashSet<String> = redis.ask(redis::cmd("HKEYS").arg("unacked")).await?;
        self.0.retain(|tag, _| tags.contains(tag));
        let new: Vec<&String> = tags.iter().filter(|tag| !self.0.contains_key(*tag)).take(AT_ONCE).collect();
        if !new.is_empty() {
            let messages: Vec<Option<Vec<u8>>> = redis.ask(redis::cmd("HMGET").arg("unacked").arg(&new)).await?;
            let due = messages.iter().map(|message| message.as_deref().and_then(due));
            self.0.extend(new.into_iter().cloned().zip(due).collect::<Vec<_>>());
        }
        Ok(self.later(now))
    }

    fn later(&self, now: f64) -> (u64, Option<f64>) {
        let waits = self.0.values().flatten().filter(|due| **due > now).map(|due| due - now);
        waits.fold((0, None), |(count, last), wait| (count + 1, Some(wait.max(last.unwrap_or(0.0)))))
    }
}

/// The instant in a message that kombu keeps with its exchange and its routing key; none for a task to be done at once.
fn due(kept: &[u8]) -> Option<f64> {
    let kept: Value = serde_json::from_slice(kept).ok()?;
    let eta = kept[0]["headers"]["eta"].as_str()?;
    let utc = || eta.parse::<jiff::civil::DateTime>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok();
    let at = eta.parse::<jiff::Timestamp>().ok().or_else(|| utc().map(|at| at.timestamp()))?;
    Some(at.as_duration().as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(eta: &str) -> Vec<u8> {
        format!(r#"[{{"body": "W10=", "headers": {{"task": "shop.remind", "eta": {eta}}}}}, "", "celery"]"#)
            .into_bytes()
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
            let seen = Reserved(HashMap::from([("tag".to_owned(), due(&kept(eta)))])).later(now);
            assert_eq!(seen.0, u64::from(later.is_some()), "{eta}");
            assert!((seen.1.unwrap_or(0.0) - later.unwrap_or(0.0)).abs() < 1e-3, "{eta}: {seen:?}");
        }
        assert_eq!(due(b"not json"), None);
    }
}
