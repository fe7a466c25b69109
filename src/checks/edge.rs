//! The edge: does it serve static files from its cache, keep private pages out of it, and stop a flood?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::ProbeError;
use crate::probes::http::answer::Trail;

use super::assets::static_files;
use super::{Check, Context, Entry};

/// The checks of this group.
pub const CHECKS: &[Entry] =
    &[Entry::of::<StaticHit>(), Entry::of::<PrivateNeverCached>(), Entry::of::<RateLimitFires>()];

/// `edge.static-hit`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct StaticHit {
    /// Files asked for, at most.
    files: usize,
}

impl Default for StaticHit {
    fn default() -> Self {
        Self { files: 12 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct HitFacts {
    /// Three answers for each file.
    files: Vec<Vec<Trail>>,
}

impl Check for StaticHit {
    const ID: &'static str = "edge.static-hit";
    const TITLE: &'static str = "the edge serves static files from its cache";
    const ABOUT: &'static str = "Asks for each static file three times: by the third the edge must serve it from its cache, and the \
        answer must have passed through the edge (cf-ray). Traps: pages that link to the bucket directly (a bucket, no edge), a \
        proxied app with an unproxied file host, one warmed file among many cold ones (every kind of file is asked for).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/cache/concepts/cache-responses/",
        "https://developers.cloudflare.com/cache/concepts/default-cache-behavior/",
    ];
    type Facts = HitFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<HitFacts, Missing> {
        let mut files = Vec::new();
        for asset in static_files(ctx, self.files).await? {
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(ctx.probes.http.ask(reqwest::Method::GET, Ok(asset.url.clone())).send().await?.trail());
            }
            files.push(answers);
        }
        Ok(HitFacts { files })
    }

    fn judge(&self, facts: &HitFacts) -> CheckOutcome {
        if facts.files.is_empty() || facts.files.iter().any(|answers| answers.len() < 3) {
            return CheckOutcome::Unknown(Missing::new(
                "no static file was asked for three times",
                "name public pages in rampup.toml: [site] public_pages",
            ));
        }
        let mut findings = Vec::new();
        for last in facts.files.iter().filter_map(|answers| answers.last()) {
            let path = &last.path;
            let (seen, todo) = if last.status != 200 {
                (format!("{path} answers {}", last.status), "run collectstatic, so that the pages' files exist")
            } else if !last.edge && last.platform_cache.is_none() {
                (
                    format!("{path} did not pass through the edge (no cf-ray)"),
                    "switch the proxy on (orange cloud) for the host that serves static files, and let STATIC_URL lead to that host instead of the bucket's own address",
                )
            } else if !last.from_cache() {
                let todo = match last.cache_word() {
                    "BYPASS" => {
                        "let static files answer without Set-Cookie and with Cache-Control: public, max-age=31536000, immutable"
                    }
                    "MISS" | "EXPIRED" => {
                        "look for Set-Cookie or a short Cache-Control on the file: the edge fetches it anew each time"
                    }
                    _ => {
                        "make the path eligible for cache by a Cache Rule (static files by path), or give the files an extension that the edge caches by itself"
                    }
                };
                (format!("the third request for {path} was no hit: {}", last.cache_word()), todo)
            } else {
                continue;
            };
            findings.push(Finding { seen, todo: todo.to_owned() });
        }
        findings.truncate(4);
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

/// `edge.private-never-cached`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PrivateNeverCached {}

#[derive(Debug, Serialize, Deserialize)]
struct PrivateFacts {
    pages: Vec<PrivatePage>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PrivatePage {
    path: String,
    /// Twice with the test user's session, then twice without.
    signed_in: Vec<Trail>,
    anonymous: Vec<Trail>,
    /// The test user's name is on the page for the test user.
    marked: bool,
    /// The test user's name is on the page for a stranger.
    leaked: bool,
}

impl Check for PrivateNeverCached {
    const ID: &'static str = "edge.private-never-cached";
    const TITLE: &'static str = "private pages never come out of a shared cache";
    const ABOUT: &'static str = "Asks for every private page twice as the test user and then twice as a stranger. No answer may come out of \
        a cache, and none may be eligible for one: MISS and EXPIRED mean that the next visitor gets it. The stranger must not see the \
        test user's name. Traps: testing without a session only, taking MISS for safe, users that look alike.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/cache/how-to/cache-rules/",
        "https://developers.cloudflare.com/cache/concepts/cache-responses/",
    ];
    type Facts = PrivateFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<PrivateFacts, Missing> {
        let probes = ctx.probes;
        if probes.site.private_pages.is_empty() {
            return Err(Missing::new(
                "no private page is named",
                "name account pages, admin and API paths in rampup.toml: [site] private_pages = [\"/account/\", \"/admin/\"]",
            ));
        }
        let session = probes.sign_in().await?;
        let name = probes.site.account.as_ref().map(|a| a.username.clone()).unwrap_or_default();
        let mut pages = Vec::new();
        for path in &probes.site.private_pages {
            let mut page =
                PrivatePage { path: path.clone(), signed_in: vec![], anonymous: vec![], marked: false, leaked: false };
            for _ in 0..2 {
                let answer = probes.http.get(path).session(Some(&session)).send().await?;
                page.marked |= shows(&answer.text(), &name);
                page.signed_in.push(answer.trail());
            }
            for _ in 0..2 {
                let answer = probes.http.get(path).send().await?;
                page.leaked |= shows(&answer.text(), &name);
                page.anonymous.push(answer.trail());
            }
            pages.push(page);
        }
        Ok(PrivateFacts { pages })
    }

    fn judge(&self, facts: &PrivateFacts) -> CheckOutcome {
        let (mut findings, mut gone) = (Vec::new(), Vec::new());
        for page in &facts.pages {
            let path = &page.path;
            let answers = || page.signed_in.iter().chain(&page.anonymous);
            if page.leaked && page.marked {
                findings.push(Finding {
                    seen: format!("{path} shows the test user's name to a stranger"),
                    todo: format!("purge the edge's cache now, bypass it for {path}, and send Cache-Control: private, no-store there"),
                });
            } else if let Some(kept) = answers().find(|t| t.may_be_kept()) {
                findings.push(Finding {
                    seen: format!("{path} is in the edge's cache or may be kept there ({})", kept.cache_word()),
                    todo: format!("add a Cache Rule that bypasses the cache for {path}, put it after any rule that caches more, and send Cache-Control: private, no-store"),
                });
            } else if page.signed_in.len() < 2
                || page.anonymous.len() < 2
                || answers().any(|t| t.status == 404 || t.status >= 500)
            {
                gone.push(path.clone());
            } else if !answers().all(|t| t.edge || t.platform_cache.is_some()) {
                findings.push(Finding {
                    seen: format!("{path} did not pass through the edge (no cf-ray)"),
                    todo:
                        "switch the proxy on (orange cloud) for the app's host: without it there are no rules to verify"
                            .to_owned(),
                });
            }
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if facts.pages.is_empty() || !gone.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                format!("private pages that do not exist or fail prove nothing: {}", gone.join(", ")),
                "name pages that answer to the test user in rampup.toml: [site] private_pages",
            ));
        }
        CheckOutcome::Pass
    }
}

/// The name as a word of its own: "ann" is not in "planning".
pub(super) fn shows(text: &str, name: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !name.is_empty()
        && text
            .match_indices(name)
            .any(|(at, _)| !inside(text[..at].chars().next_back()) && !inside(text[at + name.len()..].chars().next()))
}

/// `edge.rate-limit-fires`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RateLimitFires {
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
struct LimitFacts {
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

    fn trail(status: u16, edge: bool, cache: Option<&str>) -> Trail {
        Trail { path: "/x".to_owned(), status, edge, cache: cache.map(str::to_owned), ..Trail::default() }
    }

    #[test]
    fn hit_traps() {
        let check = StaticHit::default();
        let three = |last: Trail| vec![trail(200, true, Some("MISS")), trail(200, true, Some("HIT")), last];
        let platform = Trail { platform_cache: Some("HIT".to_owned()), ..trail(200, false, None) };
        for (word, files) in [
            ("pass", vec![three(trail(200, true, Some("HIT")))]),
            ("pass", vec![three(trail(200, true, Some("UPDATING")))]),
            ("pass", vec![three(platform)]),
            ("unknown", vec![]),
            ("unknown", vec![vec![trail(200, true, Some("HIT"))]]),
            // The bucket's own address.
            ("fail", vec![three(trail(200, false, None))]),
            ("fail", vec![three(trail(200, true, Some("DYNAMIC")))]),
            ("fail", vec![three(trail(200, true, Some("MISS")))]),
            ("fail", vec![three(trail(404, true, Some("HIT")))]),
            // One warmed file.
            ("fail", vec![three(trail(200, true, Some("HIT"))), three(trail(200, true, Some("BYPASS")))]),
        ] {
            assert_eq!(check.judge(&HitFacts { files }).word(), word);
        }
    }

    #[test]
    fn private_traps() {
        let check = PrivateNeverCached::default();
        let page = |signed_in: &str, anonymous: &str| PrivatePage {
            path: "/account/".to_owned(),
            signed_in: vec![trail(200, true, Some(signed_in)), trail(200, true, Some("BYPASS"))],
            anonymous: vec![trail(302, true, Some("DYNAMIC")), trail(302, true, Some(anonymous))],
            marked: true,
            leaked: false,
        };
        let judge = |pages| check.judge(&PrivateFacts { pages }).word();
        assert_eq!(judge(vec![page("BYPASS", "DYNAMIC")]), "pass");
        assert_eq!(judge(vec![page("BYPASS", "DYNAMIC"), page("DYNAMIC", "BYPASS")]), "pass");
        assert_eq!(judge(vec![]), "unknown");
        for state in ["HIT", "MISS", "EXPIRED", "STALE", "UPDATING"] {
            assert_eq!(judge(vec![page(state, "DYNAMIC")]), "fail", "{state} with a session");
            assert_eq!(judge(vec![page("BYPASS", state)]), "fail", "{state} without");
            assert_eq!(judge(vec![page("BYPASS", "BYPASS"), page("BYPASS", state)]), "fail", "{state} on one of two");
        }
        assert_eq!(judge(vec![PrivatePage { leaked: true, ..page("BYPASS", "BYPASS") }]), "fail");
        assert_eq!(
            judge(vec![PrivatePage { signed_in: vec![trail(404, true, None); 2], ..page("BYPASS", "BYPASS") }]),
            "unknown"
        );
        assert_eq!(judge(vec![PrivatePage { anonymous: vec![], ..page("BYPASS", "BYPASS") }]), "unknown");
        assert_eq!(
            judge(vec![PrivatePage { anonymous: vec![trail(302, false, None); 2], ..page("BYPASS", "BYPASS") }]),
            "fail"
        );
        assert!(shows("Hello, ann!", "ann") && !shows("planning", "ann") && !shows("x", ""));
    }

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
