//! Does the edge stop a flood?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::ProbeError;

/// `edge.rate-limit-fires`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RateLimitFires {
    /// Requests of the burst; never more than 80.
    burst: usize,
    /// The status the edge answers with when it has enough.
    status: u16,
    /// Longest wait for it to let us in again, seconds.
    recovers_within_seconds: u64,
}

impl Default for RateLimitFires {
    fn default() -> Self {
        Self { burst: 80, status: 429, recovers_within_seconds: 60 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LimitFacts {
    path: String,
    statuses: BTreeMap<u16, u64>,
    /// Answers with the limit's status; of these, with a mark of the edge, and with a sign that the app made them.
    limited: u64,
    limited_by_edge: u64,
    limited_by_app: u64,
    challenged: u64,
    /// How long after the burst the path answered again; none when it did not in time.
    recovered_seconds: Option<f64>,
}

impl Check for RateLimitFires {
    const ID: &'static str = "edge.rate-limit-fires";
    const TITLE: &'static str = "the edge stops a flood from one address before it reaches the app";
    const ABOUT: &'static str = "Sends a burst of at most 80 requests from one address at the harmless path you named: the edge must answer 429 \
        itself (cf-ray, and nothing that only the app sends), and let us in again afterwards. Traps: a rule that only logs or never \
        matches, the app's own throttle (its 429 means that the flood did reach it), a challenge instead of a limit.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &["https://developers.cloudflare.com/waf/rate-limiting-rules/"];
    type Facts = LimitFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<LimitFacts, Missing> {
        let probes = ctx.probes;
        let path = probes.site.rate_limited.clone().ok_or_else(|| {
            Missing::new(
                "no path under the edge's rate limit is named",
                "name a harmless one in rampup.toml: [site] rate_limited = \"/api/search?q=x\"; a burst of at most 80 requests goes there",
            )
        })?;
        // An address nobody else uses, where the practice edge believes the header: the limit must not hit other probes.
        let address = format!("198.18.{}.{}", rand::random::<u8>(), rand::random::<u8>().clamp(2, 254));
        let ask = || async { probes.http.get(&path).from_address(&address).send_raw().await };
        let answers: Vec<Result<_, ProbeError>> =
            stream::iter(0..self.burst.min(80)).map(|_| ask()).buffer_unordered(8).collect().await;
        let mut facts = LimitFacts {
            path: path.clone(),
            statuses: BTreeMap::new(),
            limited: 0,
            limited_by_edge: 0,
            limited_by_app: 0,
            challenged: 0,
            recovered_seconds: None,
        };
        for answer in answers {
            let answer = answer?;
            let trail = answer.trail();
            *facts.statuses.entry(trail.status).or_default() += 1;
            facts.challenged += u64::from(answer.challenged());
            if trail.status == self.status && !answer.challenged() {
                facts.limited += 1;
                facts.limited_by_edge += u64::from(trail.edge);
                // Django REST framework answers 429 with {"detail": …}.
                let throttle =
                    serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok_and(|v| v["detail"].is_string());
                let reached = trail.platform.is_some() || !trail.origin_signs.is_empty() || throttle;
                facts.limited_by_app += u64::from(reached);
            }
        }
        let began = Instant::now();
        while facts.limited > 0
            && facts.recovered_seconds.is_none()
            && began.elapsed().as_secs() < self.recovers_within_seconds
        {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let answer = ask().await?;
            if answer.status != self.status && !answer.challenged() {
                facts.recovered_seconds = Some(began.elapsed().as_secs_f64());
            }
        }
        Ok(facts)
    }

    fn judge(&self, facts: &LimitFacts) -> CheckOutcome {
        let path = &facts.path;
        let sent: u64 = facts.statuses.values().sum();
        if facts.challenged > 0 {
            return CheckOutcome::Unknown(ProbeError::Challenged.into());
        }
        if sent < 40 {
            return CheckOutcome::Unknown(Missing::new(
                format!("only {sent} requests were sent to {path}"),
                "use a burst of 40 to 80",
            ));
        }
        if facts.limited == 0 {
            let seen: Vec<String> = facts.statuses.iter().map(|(status, n)| format!("{n} × {status}")).collect();
            return CheckOutcome::fail(
                format!("{sent} requests to {path} at once were all let through ({})", seen.join(", ")),
                format!(
                    "add a rate limiting rule at the edge for {path} with action block (not log), per client address, well under {sent} requests in 10 s"
                ),
            );
        }
        if facts.limited_by_app > 0 || facts.limited_by_edge < facts.limited {
            return CheckOutcome::fail(
                format!(
                    "{} of {} refusals came from the app or its platform: the flood got that far",
                    (facts.limited - facts.limited_by_edge).max(facts.limited_by_app),
                    facts.limited
                ),
                format!(
                    "keep the app's own throttle as a second line, and add a rate limiting rule at the edge for {path} that fires before it"
                ),
            );
        }
        if facts.recovered_seconds.is_none() {
            return CheckOutcome::fail(
                format!("{path} was still refused {} s after the burst", self.recovers_within_seconds),
                "shorten the rule's time-out: visitors behind one office address would stay locked out",
            );
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_traps() {
        let check = RateLimitFires::default();
        let facts = |limited, by_edge, by_app, recovered| LimitFacts {
            path: "/api/search".to_owned(),
            statuses: BTreeMap::from([(200, 80 - limited), (429, limited)]),
            limited,
            limited_by_edge: by_edge,
            limited_by_app: by_app,
            challenged: 0,
            recovered_seconds: recovered,
        };
        for (word, facts) in [
            ("pass", facts(55, 55, 0, Some(4.0))),
            // A rule that only logs.
            ("fail", facts(0, 0, 0, None)),
            // The app's own throttle.
            ("fail", facts(55, 55, 55, Some(4.0))),
            ("fail", facts(55, 0, 0, Some(4.0))),
            ("fail", facts(55, 55, 0, None)),
            ("unknown", LimitFacts { challenged: 3, ..facts(55, 55, 0, Some(4.0)) }),
            ("unknown", LimitFacts { statuses: BTreeMap::new(), ..facts(0, 0, 0, None) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
