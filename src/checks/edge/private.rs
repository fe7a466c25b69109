//! Do private pages stay out of the edge's cache?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::http::answer::Trail;

/// `edge.private-never-cached`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PrivateNeverCached {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PrivateFacts {
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
            } else if !answers().all(|t| t.carrier().is_some() || t.platform_cache.is_some()) {
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
pub(in crate::checks) fn shows(text: &str, name: &str) -> bool {
    let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    !name.is_empty()
        && text
            .match_indices(name)
            .any(|(at, _)| !inside(text[..at].chars().next_back()) && !inside(text[at + name.len()..].chars().next()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(status: u16, edge: bool, cache: Option<&str>) -> Trail {
        Trail { path: "/x".to_owned(), status, edge, cache: cache.map(str::to_owned), ..Trail::default() }
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
}
