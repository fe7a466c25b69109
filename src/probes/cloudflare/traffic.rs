//! What the edge's cache did with visitors' requests, by Cloudflare's analytics.
//!
//! They are sampled, some minutes late, and kept for as long as the plan says: all three are respected and told.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use serde::Deserialize;
use serde_json::json;

use super::ask::Fault;
use super::{Cloudflare, Right, SYSTEM};
use crate::domain::text::tame;
use crate::probes::ProbeError;

/// How late the figures may be: the last minutes are left out.
const LAG: Duration = Duration::from_secs(5 * 60);

/// Requests of visitors to one host, by what the cache did.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// From this instant on,
    pub from: Timestamp,
    /// up to this one.
    pub to: Timestamp,
    /// Requests by `cacheStatus`: `hit`, `miss`, `dynamic`, … Extrapolated where sampled.
    pub requests: BTreeMap<String, u64>,
    /// Most requests that one sample stands for; 1 when every request was counted.
    pub sample_interval: f64,
}

impl Traffic {
    /// Requests that the cache answered.
    #[must_use]
    pub fn cached(&self) -> u64 {
        self.of(&["hit", "stale", "updating", "revalidated"])
    }

    /// Requests that it could have answered. Dynamic ones are not for it, and what has no status never met it.
    #[must_use]
    pub fn cacheable(&self) -> u64 {
        self.cached() + self.of(&["miss", "expired", "bypass"])
    }

    fn of(&self, statuses: &[&str]) -> u64 {
        statuses.iter().filter_map(|status| self.requests.get(*status)).sum()
    }
}

/// What the plan lets us ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// The figures exist at all.
    pub enabled: bool,
    /// Longest time that one question may span, seconds.
    pub max_duration: u64,
    /// How far back they reach, seconds.
    pub not_older_than: u64,
}

impl Limits {
    /// The same, when the plan has figures at all.
    ///
    /// # Errors
    /// It has none.
    pub fn granted(self) -> Result<Self, ProbeError> {
        match self.enabled {
            true => Ok(self),
            false => Err(ProbeError::Refused {
                system: SYSTEM,
                why: "the zone's plan has no figures about its traffic".to_owned(),
                provide: "choose a plan that has httpRequestsAdaptiveGroups".to_owned(),
            }),
        }
    }
}

#[derive(Debug, Deserialize)]
struct Data<T> {
    viewer: Viewer<T>,
}

#[derive(Debug, Deserialize)]
struct Viewer<T> {
    zones: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct OfLimits {
    settings: Datasets,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Datasets {
    http_requests_adaptive_groups: Limits,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfTraffic {
    http_requests_adaptive_groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    count: u64,
    avg: Average,
    dimensions: Dimensions,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Average {
    sample_interval: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dimensions {
    cache_status: String,
}

impl Cloudflare<'_> {
    /// What the plan lets us ask of the zone's traffic.
    ///
    /// # Errors
    /// No answer, no right.
    pub async fn traffic_limits(&self) -> Result<Limits, ProbeError> {
        let zone: OfLimits = self.figures(include_str!("limits.graphql"), json!({ "zone": self.zone.id })).await?;
        Ok(zone.settings.http_requests_adaptive_groups)
    }

    /// What the cache did for visitors of a host, over so long a time as the plan allows, up to `window`.
    ///
    /// # Errors
    /// No answer, no right; figures that the plan does not have.
    pub async fn traffic(&self, host: &str, window: Duration) -> Result<Traffic, ProbeError> {
        let limits = self.traffic_limits().await?.granted()?;
        let (from, to) = span(Timestamp::now(), window, limits);
        let variables = json!({ "zone": self.zone.id, "host": host, "from": from, "to": to });
        let zone: OfTraffic = self.figures(include_str!("traffic.graphql"), variables).await?;
        let mut traffic = Traffic { from, to, requests: BTreeMap::new(), sample_interval: 1.0 };
        for group in zone.http_requests_adaptive_groups {
            let status = tame(&group.dimensions.cache_status.to_ascii_lowercase(), 30);
            *traffic.requests.entry(status).or_default() += group.count;
            traffic.sample_interval = traffic.sample_interval.max(group.avg.sample_interval);
        }
        Ok(traffic)
    }

    async fn figures<T: serde::de::DeserializeOwned>(
        &self,
        question: &str,
        variables: serde_json::Value,
    ) -> Result<T, ProbeError> {
        let body = json!({ "query": question, "variables": variables });
        let asked = self.line.analytics::<Data<T>>(&body).await;
        let zone = asked.and_then(|data| {
            // A zone that the token may not ask about is left out without a word.
            data.viewer.zones.into_iter().next().ok_or_else(|| Fault::NotAllowed("no figures of this zone".to_owned()))
        });
        zone.map_err(|fault| self.line.told(fault, Right::Analytics))
    }
}

/// The time to ask about: whole minutes, past the lag, no longer and no older than is allowed.
fn span(now: Timestamp, window: Duration, limits: Limits) -> (Timestamp, Timestamp) {
    let minute = TimestampRound::new().smallest(Unit::Minute).mode(RoundMode::Floor);
    let to = (now - LAG).round(minute).unwrap_or(now);
    let kept = Duration::from_secs(limits.not_older_than).saturating_sub(LAG + Duration::from_secs(60));
    let length = window.min(Duration::from_secs(limits.max_duration)).min(kept);
    (to - length, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_asked_about_is_past_the_lag_and_within_the_plan() {
        let now: Timestamp = "2026-11-27T12:07:30Z".parse().unwrap();
        let day = Duration::from_secs(86_400);
        for (max_duration, not_older_than, from) in [
            (86_400, 2_678_400, "2026-11-26T12:02:00Z"),
            (3_600, 2_678_400, "2026-11-27T11:02:00Z"),
            (86_400, 7_200, "2026-11-27T10:08:00Z"),
            (86_400, 60, "2026-11-27T12:02:00Z"),
        ] {
            let limits = Limits { enabled: true, max_duration, not_older_than };
            let (begin, end) = span(now, day, limits);
            assert_eq!((begin.to_string().as_str(), end.to_string().as_str()), (from, "2026-11-27T12:02:00Z"));
        }
    }

    #[test]
    fn only_what_the_cache_could_have_answered_is_counted() {
        let counts = [("hit", 80), ("stale", 5), ("miss", 10), ("bypass", 5), ("dynamic", 900), ("none", 50)];
        let requests = counts.map(|(status, count)| (status.to_owned(), count)).into();
        let now = Timestamp::UNIX_EPOCH;
        let traffic = Traffic { from: now, to: now, requests, sample_interval: 1.0 };
        assert_eq!((traffic.cached(), traffic.cacheable()), (85, 100));
    }
}
