//! Can somebody be led to an address that the edge takes for a file and the app for their account page?

use serde::{Deserialize, Serialize};

use super::alike::{alike, shows};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::text::tame;
use crate::probes::Probes;
use crate::probes::http::answer::Trail;
use crate::probes::http::session::Session;

/// Private pages that are tried, at most.
const PAGES: usize = 3;

/// `edge.cache-deception-safe`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeceptionSafe {}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct DeceptionFacts {
    site: String,
    /// Private pages that show the test user something of their own.
    personal: Vec<String>,
    tried: Vec<Tried>,
}

/// One crafted address.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Tried {
    path: String,
    /// The private page it was made from.
    page: String,
    user: Trail,
    stranger: Trail,
    /// The test user got the private page there.
    private: bool,
    /// … and the stranger after them got it too.
    leaked: bool,
}

impl Check for DeceptionSafe {
    const ID: &'static str = "edge.cache-deception-safe";
    const TITLE: &'static str = "no crafted address puts a private page into the edge's cache";
    const ABOUT: &'static str = "As the signed-in test user, asks for addresses that end like files below each private page (/account/x.css, \
        ;x.js, %2Fx.css, %0Ax.css, %23, %3F, a static folder and ..%2F), then for the same as a stranger. A private page must not come \
        with a status that an edge may keep. A 404 is the right answer, kept or not. Traps: testing without signing in (nothing private \
        can come), routes without an end (re_path(r\"^account/\")), an edge that decides by the ending before the rules of the path.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/cache/cache-security/cache-deception-armor/",
        "https://developers.cloudflare.com/cache/concepts/default-cache-behavior/",
    ];
    type Facts = DeceptionFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<DeceptionFacts, Missing> {
        let probes = ctx.probes;
        if probes.site.private_pages.is_empty() {
            return Err(Missing::new(
                "no private page is named",
                "name account pages in rampup.toml: [site] private_pages = [\"/account/\"]",
            ));
        }
        // Without a signed-in user nothing private can come, so nothing would be tried.
        let session = probes.sign_in().await?;
        let name = probes.site.account.as_ref().map(|a| a.username.clone()).unwrap_or_default();
        let mut facts =
            DeceptionFacts { site: super::authority(probes.http.base()), personal: Vec::new(), tried: Vec::new() };
        for page in &probes.site.private_pages {
            if facts.personal.len() == PAGES {
                break;
            }
            let own = probes.http.get(page).session(Some(&session)).send().await?;
            let theirs = probes.http.get(page).send().await?;
            let (body, other) = (own.text(), theirs.text());
            let named = shows(&body, &name);
            // A shell that everybody gets is nobody's page.
            if own.status != 200 || !(named || (theirs.status != 200 || !alike(&body, &other))) {
                continue;
            }
            facts.personal.push(page.clone());
            // A 404 with their name in its head is theirs too.
            let private = |status: u16, text: &str| {
                if named { shows(text, &name) } else { status == 200 && alike(text, &body) && !alike(text, &other) }
            };
            for path in crafted(page, &probes.nonce()) {
                facts.tried.push(attempt(probes, &session, page, path, &private).await?);
            }
        }
        Ok(facts)
    }

    fn judge(&self, facts: &DeceptionFacts) -> CheckOutcome {
        let caught = |tried: &&Tried| tried.private && (tried.user.may_be_kept() || tried.leaked);
        let mut findings: Vec<Finding> = Vec::new();
        for page in &facts.personal {
            let of_page = facts.tried.iter().filter(|tried| &tried.page == page);
            let bad: Vec<&Tried> = of_page.filter(caught).collect();
            let Some(worst) = bad.iter().find(|tried| tried.leaked).or(bad.first()) else { continue };
            let outcome = if worst.leaked { ", and a stranger after them got it too" } else { "" };
            findings.push(Finding {
                seen: format!(
                    "{} gives the test user {page} and the edge keeps it ({}){outcome}; {} of the crafted addresses do so",
                    worst.path,
                    worst.user.cache_word(),
                    bad.len()
                ),
                todo: format!(
                    "give the route of {page} an end (path(\"…/\", …) or re_path(r\"^…/$\")), so that what lies below is a 404; let the \
                     rule that bypasses {page} come after those that cache by file ending; switch on Cache Deception Armor; purge the \
                     cache; see it: curl -so /dev/null -D - -H 'Cookie: sessionid=…' '{}{}' | grep -i cache",
                    facts.site, worst.path
                ),
            });
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if facts.personal.is_empty() || facts.tried.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "none of the private pages shows the test user anything of their own, so nothing could be seen to leak",
                "name a page that shows [site.account] username, such as the account page, in rampup.toml: [site] private_pages",
            ));
        }
        let past =
            |t: &Tried| [&t.user, &t.stranger].iter().all(|t| t.carrier().is_none() && t.platform_cache.is_none());
        if facts.tried.iter().all(past) {
            return CheckOutcome::Unknown(Missing::new(
                "none of the answers passed through an edge that could keep them",
                "switch the proxy on first (orange cloud): edge.proxied of step 2 says for which host",
            ));
        }
        // Of one page all may be refused while another's are answered.
        facts.personal.iter().find_map(|page| unseen(page, facts)).map_or(CheckOutcome::Pass, CheckOutcome::Unknown)
    }
}

/// Why it was not seen what the app gives below this page, where that is so of most addresses that were tried.
fn unseen(page: &str, facts: &DeceptionFacts) -> Option<Missing> {
    // What the edge answers itself, such as a challenge, says nothing of the app.
    let by_app = |trail: &Trail| trail.status != 429 && trail.status < 500 && !trail.by_edge();
    let of_page: Vec<&Tried> = facts.tried.iter().filter(|tried| tried.page == page).collect();
    let spoilt = of_page.iter().filter(|tried| !by_app(&tried.user) || !by_app(&tried.stranger)).count();
    (spoilt * 2 > of_page.len()).then(|| {
        Missing::new(
            format!(
                "{spoilt} of {} addresses crafted from {page} were answered by a failure, a limit or the edge itself",
                of_page.len()
            ),
            format!(
                "look into the app's log for {}/….css and the like; allow the User-Agent rampup/ in the limit or the rule that refuses \
                 it at the edge, and verify again",
                page.trim_end_matches('/')
            ),
        )
    })
}

async fn attempt(
    probes: &Probes,
    session: &Session,
    page: &str,
    path: String,
    private: &impl Fn(u16, &str) -> bool,
) -> Result<Tried, Missing> {
    let own = probes.http.get(&path).session(Some(session)).send_raw().await?;
    let theirs = probes.http.get(&path).send_raw().await?;
    Ok(Tried {
        path: tame(&path, 160),
        page: page.to_owned(),
        user: own.trail(),
        stranger: theirs.trail(),
        private: private(own.status, &own.text()),
        leaked: private(theirs.status, &theirs.text()),
    })
}

/// Addresses that an edge may take for a file, and an app for this page. New each time: what an earlier try left in a
/// cache must not answer.
fn crafted(page: &str, nonce: &str) -> Vec<String> {
    let path = page.split(['?', '#']).next().unwrap_or(page);
    let (bare, name) = (path.trim_end_matches('/'), &nonce[..nonce.len().min(12)]);
    [
        ("/", ".css"),
        (";", ".js"),
        ("%2F", ".css"),
        ("%0A", ".css"),
        ("%3B", ".js"),
        ("%23", ".png"),
        ("%3F", ".css"),
        ("%20", ".ico"),
    ]
    .iter()
    .map(|(between, ending)| format!("{bare}{between}{name}{ending}"))
    // Below the page as it is written, with its slash at the end.
    .chain([format!("{bare}/%0A{name}.css"), format!("/static/{name}/..%2F..{}", bare.replace('/', "%2F"))])
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_crafted_from_pages_with_and_without_a_slash_or_a_query() {
        let made = crafted("/account/?tab=1", "0123456789abcdef");
        for wanted in ["/account/0123456789ab.css", "/account;0123456789ab.js", "/account%2F0123456789ab.css"] {
            assert!(made.iter().any(|path| path == wanted), "{wanted} in {made:?}");
        }
        assert!(made.contains(&"/static/0123456789ab/..%2F..%2Faccount".to_owned()), "{made:?}");
        assert!(crafted("/api/me", "0123456789abcdef").contains(&"/api/me%0A0123456789ab.css".to_owned()));
    }

    #[test]
    fn only_a_private_body_that_may_be_kept_fails() {
        let trail =
            |status, cache: &str| Trail { status, edge: true, cache: Some(cache.to_owned()), ..Trail::default() };
        let tried = |user, stranger, private, leaked| Tried {
            path: "/account/x.css".into(),
            page: "/account/".into(),
            user,
            stranger,
            private,
            leaked,
        };
        let safe = || tried(trail(404, "MISS"), trail(404, "HIT"), false, false);
        let refused = || {
            let challenge = || Trail { status: 403, edge: true, ..Trail::default() };
            tried(challenge(), challenge(), false, false)
        };
        let below = |tried: Tried| Tried { page: "/api/me".into(), ..tried };
        let facts = |tried| DeceptionFacts { site: String::new(), personal: vec!["/account/".into()], tried };
        let two =
            |tried: Vec<Tried>| DeceptionFacts { personal: vec!["/account/".into(), "/api/me".into()], ..facts(tried) };
        for (word, facts) in [
            // Django's 404, kept or not.
            ("pass", facts(vec![safe()])),
            ("pass", facts(vec![tried(trail(404, "BYPASS"), trail(404, "BYPASS"), false, false)])),
            // A lax route that no cache keeps.
            ("pass", facts(vec![safe(), tried(trail(200, "BYPASS"), trail(302, "BYPASS"), true, false)])),
            ("pass", facts(vec![safe(), tried(trail(200, "DYNAMIC"), trail(302, "DYNAMIC"), true, false)])),
            // Another page under the address, such as a script's shell.
            ("pass", facts(vec![tried(trail(200, "MISS"), trail(200, "HIT"), false, false)])),
            ("fail", facts(vec![safe(), tried(trail(200, "MISS"), trail(302, "MISS"), true, false)])),
            ("fail", facts(vec![safe(), tried(trail(200, "MISS"), trail(200, "HIT"), true, true)])),
            // An edge that does not say what it keeps.
            (
                "fail",
                facts(vec![tried(Trail { edge: false, cache: None, ..trail(200, "") }, trail(200, ""), true, true)]),
            ),
            // Nobody was there to keep anything.
            (
                "unknown",
                facts(vec![tried(
                    Trail { status: 404, ..Trail::default() },
                    Trail { status: 404, ..Trail::default() },
                    false,
                    false,
                )]),
            ),
            ("unknown", facts(vec![])),
            ("unknown", DeceptionFacts { personal: vec![], ..facts(vec![]) }),
            ("unknown", facts(vec![tried(trail(429, ""), trail(429, ""), false, false)])),
            ("unknown", facts(vec![tried(trail(502, "DYNAMIC"), trail(502, "DYNAMIC"), false, false)])),
            // The edge's own refusal or challenge; of one in two, the other one tells.
            ("unknown", facts(vec![refused()])),
            ("unknown", facts(vec![safe(), refused(), refused()])),
            ("pass", facts(vec![safe(), refused()])),
            // The app's own refusal.
            ("pass", facts(vec![tried(trail(403, "DYNAMIC"), trail(403, "DYNAMIC"), false, false)])),
            // All below one page was refused; what was seen below another does not make up for it.
            ("unknown", two(vec![safe(), safe(), safe(), below(refused())])),
            ("pass", two(vec![safe(), below(safe()), below(refused())])),
            ("fail", two(vec![tried(trail(200, "MISS"), trail(302, "MISS"), true, false), below(refused())])),
        ] {
            assert_eq!(DeceptionSafe {}.judge(&facts).word(), word, "{facts:?}");
        }
        let told = DeceptionSafe {}.judge(&two(vec![safe(), below(refused())]));
        assert!(told.said()[0].0.contains("1 of 1 addresses crafted from /api/me"), "{told:?}");
    }
}
