//! Does the edge stop a flood?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};

use super::rules::{self, RuleFacts, Sent};
use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::http::answer::{Answer, RAILWAY};
use crate::probes::{ProbeError, cloudflare};

/// Pairs of requests, with and without a made-up address, after a limit that fired late.
const LATE_PAIRS: usize = 4;

/// `edge.rate-limit-fires`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RateLimitFires {
    /// Requests of the burst; never more than 80.
    burst: usize,
    /// How long to go on asking once a second when the burst itself was let through, seconds; never more than 30.
    late_by_seconds: u64,
    /// Longest wait for it to let us in again, seconds.
    recovers_within_seconds: u64,
}

impl Default for RateLimitFires {
    fn default() -> Self {
        Self { burst: 80, late_by_seconds: 30, recovers_within_seconds: 60 }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LimitFacts {
    path: String,
    /// The edge that it passed through before the burst.
    edge: Option<String>,
    /// The status before the burst.
    usual: u16,
    statuses: BTreeMap<u16, u64>,
    /// Answers that the burst brought about: refusals (4xx other than the usual) and challenges.
    limited: u64,
    /// Of these, made by the edge: its mark, and nothing that only an answer from behind it has.
    limited_by_edge: u64,
    /// Of these, with a sign that the app made them.
    limited_by_app: u64,
    challenged: u64,
    /// Sent with a made-up X-Forwarded-For, and of these limited.
    made_up: u64,
    made_up_limited: u64,
    /// Seconds for which it was asked on after a burst that the edge let through, and when the edge refused after all.
    asked_on_seconds: u64,
    fired_after_seconds: Option<f64>,
    /// How long after its refusals the edge let us in again; none when it did not in time.
    recovered_seconds: Option<f64>,
    /// The rate limits at Cloudflare; facts from before anybody asked have none.
    api: Api<Vec<RuleFacts>>,
}

impl Check for RateLimitFires {
    const ID: &'static str = "edge.rate-limit-fires";
    const TITLE: &'static str = "the edge stops a flood from one address before it reaches the app";
    const ABOUT: &'static str = "Sends a burst of at most 80 requests from one address at the harmless path you named, every other one with a \
        made-up X-Forwarded-For: the edge must refuse or challenge itself (its mark, and nothing that only an answer from the app \
        has), and let us in again afterwards. Edges count with a delay, so it asks once a second for up to 30 s more. Traps: a \
        rule that only logs or never matches, the app's own throttle in its place (its 429 is a second line; where no other refuses, \
        the whole flood did reach the app), a limit that counts by a header which the caller writes, an edge that challenges \
        everybody. A limit that exists and does not fire is none; where your zone is named, Cloudflare's API explains why it did not.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/waf/rate-limiting-rules/",
        "https://docs.aws.amazon.com/waf/latest/developerguide/waf-rule-statement-type-rate-based-caveats.html",
    ];
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
        let ask = |made_up: Option<String>| {
            let ask = probes.http.get(&path).from_address(&address);
            made_up.into_iter().fold(ask, |ask, from| ask.header("x-forwarded-for", from)).send_raw()
        };
        let usual = ask(None).await?;
        let mut facts = LimitFacts { path: path.clone(), usual: usual.status, ..LimitFacts::default() };
        if usual.challenged() {
            return Err(ProbeError::Challenged.into());
        }
        facts.edge = usual.trail().carrier().map(str::to_owned);
        let router = facts.edge.as_deref() == Some(RAILWAY);
        let made_up = |number: usize| (number % 2 == 1).then(|| format!("203.0.113.{}", number % 250 + 1));
        let answers: Vec<(usize, Result<_, ProbeError>)> = stream::iter(0..self.burst.min(80))
            .map(|number| {
                let asked = ask(made_up(number));
                async move { (number, asked.await) }
            })
            .buffer_unordered(8)
            .collect()
            .await;
        for (number, answer) in answers {
            facts.count(router, made_up(number).is_some(), &answer?);
        }
        // Edges count beside the traffic and act some seconds later.
        let burst_over = Instant::now();
        while facts.limited_by_edge == 0 && facts.asked_on_seconds < self.late_by_seconds.min(30) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            facts.count(router, false, &ask(None).await?);
            facts.asked_on_seconds = burst_over.elapsed().as_secs();
        }
        if facts.asked_on_seconds > 0 && facts.limited_by_edge > 0 {
            facts.fired_after_seconds = Some(burst_over.elapsed().as_secs_f64());
            // Those of the burst were too early to tell whether it counts by what the caller writes.
            (facts.made_up, facts.made_up_limited) = (0, 0);
            for number in 0..LATE_PAIRS * 2 {
                facts.count(router, number % 2 == 1, &ask(made_up(number)).await?);
            }
        }
        let began = Instant::now();
        while facts.limited > 0
            && facts.recovered_seconds.is_none()
            && began.elapsed().as_secs() < self.recovers_within_seconds
        {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let answer = ask(None).await?;
            // The app's own limit may hold on for longer: that is no door of the edge's.
            // Nor is a failure one.
            if !facts.edge_refuses(&answer) && answer.status < 500 {
                facts.recovered_seconds = Some(began.elapsed().as_secs_f64());
            }
        }
        facts.api = rules::of(probes, cloudflare::Phase::RateLimit).await;
        Ok(facts)
    }

    fn judge(&self, facts: &LimitFacts) -> CheckOutcome {
        let effect = self.effect(facts);
        if facts.edge.as_deref() != Some("Cloudflare") {
            // Its rules do not explain what another edge does, or none.
            return effect;
        }
        let sent = Sent { at_once: self.burst.min(80) as u64, all: facts.statuses.values().sum() };
        let let_through = (facts.limited_by_edge == 0).then_some(sent);
        rules::explain(effect, &facts.api, |rules| rules::limits_say(rules, &facts.path, let_through))
    }
}

impl RateLimitFires {
    /// What the burst shows, whatever the rules are.
    fn effect(&self, facts: &LimitFacts) -> CheckOutcome {
        let path = &facts.path;
        let sent: u64 = facts.statuses.values().sum();
        if sent < 40 {
            return CheckOutcome::Unknown(Missing::new(
                format!("only {sent} requests were sent to {path}"),
                "use a burst of 40 to 80",
            ));
        }
        if (400..500).contains(&facts.usual) && matches!(facts.usual, 403 | 429) {
            return CheckOutcome::Unknown(Missing::new(
                format!("{path} was refused ({}) before the burst", facts.usual),
                "wait a minute and verify again; name a path that answers to strangers: [site] rate_limited",
            ));
        }
        // AWS WAF is late by some 30 s as a rule, and by minutes now and then.
        if facts.limited_by_edge == 0 && facts.edge.as_deref() == Some("CloudFront") {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "CloudFront let {sent} requests to {path} through within {} s of the burst, and AWS WAF may take longer to notice \
                     (as a rule under 30 s, at times minutes)",
                    facts.asked_on_seconds
                ),
                format!(
                    "a rate-based rule with action Block, scope {path} and a limit well under 80 requests a minute; look whether it \
                     caught this address: aws wafv2 get-rate-based-statement-managed-keys --scope CLOUDFRONT --region us-east-1 \
                     --web-acl-name ACL --web-acl-id ID --rule-name RULE; then verify again"
                ),
            ));
        }
        if facts.limited == 0 {
            let seen: Vec<String> = facts.statuses.iter().map(|(status, n)| format!("{n} × {status}")).collect();
            return CheckOutcome::fail(
                format!(
                    "{sent} requests to {path}, nearly all at once and the rest over {} s, were all let through ({})",
                    facts.asked_on_seconds,
                    seen.join(", ")
                ),
                format!(
                    "add a rate limiting rule at the edge for {path} with action block (not log), per client address, well under {sent} requests in 10 s"
                ),
            );
        }
        // Beside refusals of the edge's own, those of the app are its second line: what came through before the edge acted.
        if facts.limited_by_app > 0 && facts.limited_by_edge == 0 {
            return CheckOutcome::fail(
                format!(
                    "{} of {} refusals came from the app or its platform and none from the edge: the flood got that far",
                    facts.limited_by_app, facts.limited
                ),
                format!(
                    "keep the app's own throttle as a second line, and add a rate limiting rule at the edge for {path} that fires before it"
                ),
            );
        }
        if facts.limited_by_edge + facts.limited_by_app < facts.limited {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "who refused {} of {} requests to {path} cannot be told: the answers bear no mark of the edge, or one that the \
                     platform writes on all answers",
                    facts.limited - facts.limited_by_edge - facts.limited_by_app,
                    facts.limited
                ),
                "put an edge before the platform whose own refusals can be known (Cloudflare: cf-ray), and its limit before the app's",
            ));
        }
        let plain_limited = facts.limited_by_edge.saturating_sub(facts.made_up_limited);
        if facts.made_up >= LATE_PAIRS as u64 && facts.made_up_limited * 4 < plain_limited {
            return CheckOutcome::fail(
                format!(
                    "of {} requests to {path} with a made-up X-Forwarded-For {} were refused, of the others {}",
                    facts.made_up, facts.made_up_limited, plain_limited
                ),
                "let the rate limiting rule count by the client's address (ip.src), not by a header that the caller writes",
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

impl LimitFacts {
    /// Counts one answer of the burst. Railway's `router` is its CDN as well, and marks what it makes and what it passes
    /// on alike.
    fn count(&mut self, router: bool, made_up: bool, answer: &Answer) {
        let trail = answer.trail();
        *self.statuses.entry(trail.status).or_default() += 1;
        self.made_up += u64::from(made_up);
        let refused = (400..500).contains(&trail.status) && trail.status != self.usual;
        if !refused && !answer.challenged() {
            return;
        }
        let edges_own = self.edge_refuses(answer);
        self.limited += 1;
        // Whether the edge counts by what the caller writes, only its own refusals tell.
        self.made_up_limited += u64::from(made_up && edges_own);
        self.challenged += u64::from(answer.challenged());
        self.limited_by_edge += u64::from(edges_own);
        let reached = throttled(answer) || !router || trail.platform_cache.is_some();
        self.limited_by_app += u64::from(!edges_own && reached);
    }

    /// True for a refusal or challenge that the edge made itself.
    fn edge_refuses(&self, answer: &Answer) -> bool {
        let refused = (400..500).contains(&answer.status) && answer.status != self.usual;
        answer.challenged() || (refused && answer.trail().by_edge() && !throttled(answer))
    }
}

/// Django REST framework answers 429 with {"detail": …}.
fn throttled(answer: &Answer) -> bool {
    serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok_and(|v| v["detail"].is_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whose_refusal_it_is() {
        use crate::probes::http::tests::{answer, server};
        let drf = r#"{"detail": "Request was throttled."}"#;
        for (limited, by_edge, by_app, router, status, headers, body) in [
            (1, 1, 0, false, "429 Too Many", "cf-ray: 1\r\n", "error code: 1015"),
            (1, 1, 0, false, "403 Forbidden", "cf-ray: 1\r\ncf-mitigated: challenge\r\n", "wait"),
            (
                1,
                1,
                0,
                false,
                "418 Teapot",
                "server: CloudFront\r\nx-amz-cf-id: 1\r\nx-cache: Error from cloudfront\r\n",
                "",
            ),
            (1, 1, 0, false, "429 Too Many", "server: Varnish\r\nx-served-by: cache-fra-1\r\nx-cache: MISS\r\n", ""),
            // The app's own, with and without words that DRF writes, through the edge and without one.
            (1, 0, 1, false, "429 Too Many", "cf-ray: 1\r\ncf-cache-status: DYNAMIC\r\n", "slow down"),
            (1, 0, 1, false, "429 Too Many", "cf-ray: 1\r\n", drf),
            (1, 0, 1, false, "429 Too Many", "cf-ray: 1\r\nx-railway-request-id: 1\r\n", ""),
            (1, 0, 1, false, "429 Too Many", "", ""),
            (
                1,
                0,
                1,
                false,
                "429 Too Many",
                "server: nginx\r\nx-amz-cf-id: 1\r\nx-cache: Error from cloudfront\r\n",
                "",
            ),
            (1, 0, 1, false, "429 Too Many", "server: nginx\r\nx-served-by: cache-fra-1\r\nx-cache: MISS\r\n", ""),
            // A router that marks all alike.
            (1, 0, 0, true, "429 Too Many", "x-railway-edge: e\r\nx-railway-request-id: 1\r\n", ""),
            (1, 0, 1, true, "429 Too Many", "x-railway-edge: e\r\nx-cache: DYNAMIC\r\n", ""),
            (0, 0, 0, false, "200 OK", "cf-ray: 1\r\ncf-cache-status: DYNAMIC\r\n", "fine"),
            (0, 0, 0, false, "500 Oops", "cf-ray: 1\r\n", ""),
        ] {
            let (http, _) = server(&[answer(status, headers, body)]).await;
            let answer = http.get("/").send_raw().await.unwrap();
            let mut facts = LimitFacts { usual: 200, ..LimitFacts::default() };
            facts.count(router, false, &answer);
            let counted = (facts.limited, facts.limited_by_edge, facts.limited_by_app);
            assert_eq!(counted, (limited, by_edge, by_app), "{status} {headers}");
        }
    }

    #[test]
    fn limit_traps() {
        let check = RateLimitFires::default();
        let facts = |limited: u64, by_edge, by_app, recovered| LimitFacts {
            path: "/api/search".to_owned(),
            usual: 200,
            statuses: BTreeMap::from([(200, 80 - limited), (429, limited)]),
            limited,
            limited_by_edge: by_edge,
            limited_by_app: by_app,
            challenged: 0,
            made_up: 40,
            made_up_limited: limited / 2,
            recovered_seconds: recovered,
            edge: Some("Cloudflare".to_owned()),
            asked_on_seconds: 0,
            fired_after_seconds: None,
            api: Api::NotNamed,
        };
        let late = || LimitFacts {
            made_up: 4,
            made_up_limited: 4,
            asked_on_seconds: 5,
            fired_after_seconds: Some(5.2),
            ..facts(9, 9, 0, Some(4.0))
        };
        let none = || LimitFacts { asked_on_seconds: 30, made_up_limited: 0, ..facts(0, 0, 0, None) };
        let cloudfront = |facts| LimitFacts { edge: Some("CloudFront".to_owned()), ..facts };
        let good = || facts(55, 55, 0, Some(4.0));
        for (word, facts) in [
            ("pass", good()),
            // The limit's action is a challenge.
            ("pass", LimitFacts { challenged: 55, ..good() }),
            // An edge that counts beside the traffic; and with an app that refused before it did.
            ("pass", late()),
            ("pass", LimitFacts { limited: 49, limited_by_app: 40, ..late() }),
            ("fail", LimitFacts { made_up_limited: 0, limited: 5, limited_by_edge: 5, ..late() }),
            ("fail", LimitFacts { recovered_seconds: None, ..late() }),
            ("pass", cloudfront(late())),
            // AWS WAF may be later than we wait.
            ("unknown", cloudfront(none())),
            ("unknown", cloudfront(LimitFacts { limited: 40, limited_by_app: 40, ..none() })),
            ("fail", none()),
            // A rule that only logs.
            ("fail", facts(0, 0, 0, None)),
            // The app's own throttle, and nothing before it, however late it would be.
            ("fail", LimitFacts { made_up_limited: 0, ..facts(55, 0, 55, Some(4.0)) }),
            ("fail", LimitFacts { limited: 40, limited_by_app: 40, ..none() }),
            // As a second line it may well fire in the same burst: the edge counts with a delay and lets some through first.
            ("pass", LimitFacts { made_up_limited: 10, ..facts(55, 20, 35, Some(4.0)) }),
            ("fail", facts(55, 55, 0, None)),
            ("fail", LimitFacts { made_up_limited: 10, ..facts(55, 20, 35, None) }),
            // A limit that counts by a header which the caller writes; the app's own behind it does not make up for it.
            ("fail", LimitFacts { made_up_limited: 0, ..facts(25, 25, 0, Some(4.0)) }),
            ("fail", LimitFacts { made_up_limited: 0, ..facts(55, 20, 35, Some(4.0)) }),
            // A router that marks what it makes and what it passes on alike.
            ("unknown", facts(55, 0, 0, Some(4.0))),
            ("unknown", facts(55, 20, 5, Some(4.0))),
            ("unknown", LimitFacts { usual: 429, ..good() }),
            ("unknown", LimitFacts { statuses: BTreeMap::new(), ..good() }),
            ("unknown", LimitFacts::default()),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn the_api_explains_a_limit_that_did_not_fire() {
        use crate::checks::edge::rules::tests::rule;
        let check = RateLimitFires::default();
        let limit = |requests| RuleFacts {
            limit: Some(rules::Limit {
                by: vec!["ip.src".to_owned()],
                requests: Some(requests),
                seconds: 10,
                refuses: Some(10),
            }),
            ..rule("block", "path eq \"/api/search\"")
        };
        let through = |api| LimitFacts {
            path: "/api/search?q=x".to_owned(),
            edge: Some("Cloudflare".to_owned()),
            usual: 200,
            statuses: BTreeMap::from([(200, 110)]),
            asked_on_seconds: 30,
            made_up: 40,
            api,
            ..LimitFacts::default()
        };
        let fired = |api| LimitFacts {
            statuses: BTreeMap::from([(200, 25), (429, 55)]),
            limited: 55,
            limited_by_edge: 55,
            made_up_limited: 27,
            recovered_seconds: Some(4.0),
            asked_on_seconds: 0,
            ..through(api)
        };
        let elsewhere = |api| LimitFacts { edge: None, ..through(api) };
        let silent = || Api::Silent(Missing::new("the API refused", "add a right"));
        for (word, part, facts) in [
            ("fail", "shows no rate limiting rule", through(Api::Said(vec![]))),
            ("fail", "no more than 90 were sent", through(Api::Said(vec![limit(100)]))),
            ("fail", "does not seem to fit", through(Api::Said(vec![limit(20)]))),
            ("fail", "switched off", through(Api::Said(vec![RuleFacts { enabled: false, ..limit(20) }]))),
            (
                "fail",
                "has the action log",
                through(Api::Said(vec![RuleFacts { action: "log".to_owned(), ..limit(20) }])),
            ),
            ("fail", "add a right", through(silent())),
            ("fail", "\"add a rate limiting rule", through(Api::NotNamed)),
            ("fail", "\"add a rate limiting rule", elsewhere(Api::Said(vec![limit(20)]))),
            ("fail", "in 10 s, for 10 s", LimitFacts { recovered_seconds: None, ..fired(Api::Said(vec![limit(20)])) }),
            // The effect is the stronger half.
            ("pass", "", fired(Api::Said(vec![limit(20)]))),
            ("pass", "", fired(Api::Said(vec![]))),
            ("pass", "", fired(silent())),
        ] {
            let outcome = check.judge(&facts);
            let said = format!("{:?}", outcome.said());
            assert!(outcome.word() == word && said.contains(part), "{word}, {part}: {said}");
        }
    }
}
