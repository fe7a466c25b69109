//! Does a page that everybody gets from a cache show something of one person?

use serde::{Deserialize, Serialize};

use crate::checks::edge::alike::shows;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::http::session::{Session, hidden_token};
use crate::probes::{ProbeError, Probes};

/// Pages looked at, at most.
const PAGES: usize = 5;
/// How often a page must turn out to be handed on: banners drawn by lot look like it once or twice.
const CONFIRMED: usize = 4;

/// `cache.no-leak`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoLeak {}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct LeakFacts {
    pages: Vec<Page>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Page {
    path: String,
    /// Statuses of the test user's answers and of the stranger's.
    statuses: Vec<u16>,
    /// The test user's name is on the page for the test user.
    named: bool,
    /// It is on the page that a stranger got afterwards under the same address.
    leaked: bool,
    /// It is on that page for a stranger whom nobody preceded: then it is part of the page.
    always_there: bool,
    /// Two strangers got the same cookie value, by name: one person's session or token for all.
    shared_cookie: Option<String>,
    /// Two strangers got the same form token: only the first can send the form.
    shared_token: bool,
    /// A stranger got the signed-in user's page byte by byte, and strangers whom nobody preceded all get another one.
    #[serde(default)]
    handed_on: bool,
}

impl Check for NoLeak {
    const ID: &'static str = "cache.no-leak";
    const TITLE: &'static str = "cached pages show nobody's data to somebody else";
    const ABOUT: &'static str = "Lets the test user be the first to open each public page under an address of its own, at the app and \
        through the edge, and then two strangers: they must not see the test user's name, nor get the same cookie or the same form \
        token, nor the very page that was made for the test user where strangers else always get another one. Traps: cache_page on a page with a form, which Django stores with the first visitor's token, users that look alike (the name must be on the page to prove anything else), a name that is part of the page.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://docs.djangoproject.com/en/5.2/topics/cache/#using-vary-headers",
        "https://docs.djangoproject.com/en/5.2/howto/csrf/#using-csrf-protection-with-caching",
    ];
    type Facts = LeakFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<LeakFacts, Missing> {
        let probes = ctx.probes;
        let session = probes.sign_in().await?;
        let name = probes.site.account.as_ref().map(|a| a.username.clone()).unwrap_or_default();
        let mut facts = LeakFacts::default();
        for path in probes.site.public_pages.iter().take(PAGES) {
            let mut page = Page { path: path.clone(), ..Page::default() };
            for at_app in [true, false] {
                let ask = |nonce: &str| {
                    let ask = if at_app { probes.http.get_origin(path) } else { probes.http.get(path) };
                    ask.nonce(nonce).fresh()
                };
                let nonce = probes.nonce();
                let own = ask(&nonce).session(Some(&session)).send().await?;
                page.named |= shows(&own.text(), &name);
                let (one, other) = (ask(&nonce).send().await?, ask(&nonce).send().await?);
                page.leaked |= shows(&one.text(), &name) || shows(&other.text(), &name);
                let token = hidden_token(&one.text());
                page.shared_token |= token.is_some() && token == hidden_token(&other.text());
                let cold = ask(&probes.nonce()).send().await?;
                let jars = [&one, &other, &cold].map(|answer| answer.cookies().collect::<Vec<_>>());
                page.shared_cookie = page.shared_cookie.or(handed_on(&jars[0], &jars[1], &jars[2]));
                page.always_there |= shows(&cold.text(), &name);
                page.handed_on |= page_handed_on(probes, path, at_app, &session).await?;
                page.statuses.extend([own.status, one.status, other.status, cold.status]);
            }
            facts.pages.push(page);
        }
        if name.is_empty() {
            return Err(ProbeError::NotGiven {
                what: "the test user has no name to look for".to_owned(),
                provide: "name one in rampup.toml: [site.account] username".to_owned(),
            }
            .into());
        }
        Ok(facts)
    }

    fn judge(&self, facts: &LeakFacts) -> CheckOutcome {
        let (mut findings, mut gone) = (Vec::new(), Vec::new());
        for page in &facts.pages {
            let path = &page.path;
            if page.statuses.iter().any(|status| *status != 200) || page.statuses.is_empty() {
                gone.push(path.clone());
            } else if page.leaked && !page.always_there {
                findings.push(Finding {
                    seen: format!("a stranger was shown the test user's name on {path}, out of a cache"),
                    todo: format!(
                        "clear the cache now; then render no user's data into {path} (fetch it by a small script), or do not cache it: \
                         cache_page stores what the first visitor saw"
                    ),
                });
            } else if page.handed_on {
                findings.push(Finding {
                    seen: format!(
                        "a stranger got {path} as it was made for the signed-in test user, byte by byte; strangers who come first get another page"
                    ),
                    todo: format!(
                        "clear the cache now; then let {path} say Vary: Cookie (reading the session or the user does so; something between \
                         takes it away), or do not cache it for users who are signed in; see it: ask for {path}?x=1 with your session, \
                         then without, and compare with {path}?x=2"
                    ),
                });
            } else if let Some(cookie) = &page.shared_cookie {
                findings.push(Finding {
                    seen: format!(
                        "two strangers got the same {cookie} cookie from {path}: a stored answer sets it for everybody"
                    ),
                    todo: format!(
                        "let {path} set no cookie before it is cached, and let the edge keep no answer that sets one"
                    ),
                });
            } else if page.shared_token {
                findings.push(Finding {
                    seen: format!("two strangers got the same form token on {path}: the stored page holds the first visitor's"),
                    todo: format!(
                        "take {{% csrf_token %}} out of {path} and let a small script fetch it from a view that calls get_token, or put \
                         csrf_protect below cache_page: everybody but the first visitor is refused when they send the form"
                    ),
                });
            }
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if facts.pages.is_empty() || !gone.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                format!("public pages that do not answer 200 to everyone prove nothing: {}", gone.join(", ")),
                "name pages that anyone may see in rampup.toml: [site] public_pages",
            ));
        }
        CheckOutcome::Pass
    }
}

/// Whether a cache hands the user's page on. A page may change by itself, so strangers must get the same one every time
/// and the user another one every time; a page with a token of each request's own cannot be told so.
async fn page_handed_on(probes: &Probes, path: &str, at_app: bool, session: &Session) -> Result<bool, ProbeError> {
    let mut usual = None;
    for _ in 0..CONFIRMED {
        let mut pages = Vec::new();
        let shared = probes.nonce();
        for (nonce, signed_in) in
            [(probes.nonce(), false), (shared.clone(), true), (shared, false), (probes.nonce(), false)]
        {
            let ask = if at_app { probes.http.get_origin(path) } else { probes.http.get(path) };
            let answer = ask.nonce(&nonce).fresh().session(signed_in.then_some(session)).send().await?;
            pages.push((answer.status, answer.text().replace(&nonce, "")));
        }
        let [before, own, stranger, after] = &pages[..] else { return Ok(false) };
        let steady = *usual.get_or_insert_with(|| before.clone()) == *before;
        if !steady || !is_the_users(before, own, stranger, after) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// True when the stranger after the user has the user's page, and strangers before and afterwards have one of their own.
fn is_the_users<T: PartialEq>(before: &T, own: &T, stranger: &T, after: &T) -> bool {
    own == stranger && before == after && own != before
}

/// Length of a value that may tell one visitor from another.
const OWN: usize = 16;

/// The cookie that two strangers got alike out of one stored answer. What an answer that no cache had says too is the same
/// for everybody and nobody's own: a language, the pages last seen.
fn handed_on(one: &[(String, String)], other: &[(String, String)], fresh: &[(String, String)]) -> Option<String> {
    // A cache whose key leaves out the query hands the fresh one the same: what may be somebody's own is never excused.
    let common = |cookie: &(String, String)| {
        let name = cookie.0.to_ascii_lowercase();
        let own = ["sess", "csrf", "token", "auth"].iter().any(|word| name.contains(word));
        fresh.contains(cookie) && !own && cookie.1.len() < OWN
    };
    let alike = one.iter().find(|cookie| !cookie.1.is_empty() && other.contains(cookie) && !common(cookie));
    alike.map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_handed_on_only_when_strangers_else_get_another() {
        for (handed_on, [before, own, stranger, after]) in [
            (true, ["plain", "with a user bar", "with a user bar", "plain"]),
            // Vary: Cookie at work; one page for everybody; a page that changes by itself.
            (false, ["plain", "with a user bar", "plain", "plain"]),
            (false, ["plain", "plain", "plain", "plain"]),
            (false, ["12:00:01", "12:00:02", "12:00:02", "12:00:03"]),
        ] {
            assert_eq!(is_the_users(&before, &own, &stranger, &after), handed_on, "{own} {stranger}");
        }
    }

    #[test]
    fn a_cookie_that_says_the_same_to_everybody_is_nobody_s() {
        let jar =
            |cookies: &[(&str, &str)]| cookies.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect::<Vec<_>>();
        let stored = jar(&[("seen", "[12]"), ("csrftoken", "abc")]);
        let fresh = jar(&[("seen", "[12]"), ("csrftoken", "xyz")]);
        assert_eq!(handed_on(&stored, &stored, &fresh).as_deref(), Some("csrftoken"));
        assert_eq!(handed_on(&stored, &fresh, &fresh), None);
        assert_eq!(handed_on(&stored, &stored, &[]).as_deref(), Some("seen"), "a fresh answer sets none at all");
        let constant = jar(&[("sessionid", "abc")]);
        assert_eq!(
            handed_on(&constant, &constant, &constant).as_deref(),
            Some("sessionid"),
            "whatever a fresh one says"
        );
        let long = jar(&[("visitor", "k3v9x0q2m5r8t1w4")]);
        assert_eq!(handed_on(&long, &long, &long).as_deref(), Some("visitor"));
        assert_eq!(handed_on(&jar(&[("gone", "")]), &jar(&[("gone", "")]), &[]), None);
    }

    #[test]
    fn only_what_a_stranger_should_not_see_is_a_leak() {
        let page = Page { path: "/".into(), statuses: vec![200; 8], ..Page::default() };
        let facts = |page: Page| LeakFacts { pages: vec![page] };
        for (word, facts) in [
            ("pass", facts(page.clone())),
            ("pass", facts(Page { named: true, ..page.clone() })),
            ("fail", facts(Page { named: true, leaked: true, ..page.clone() })),
            // The edge may show it although the app's own copy was right.
            ("fail", facts(Page { leaked: true, ..page.clone() })),
            ("pass", facts(Page { named: true, leaked: true, always_there: true, ..page.clone() })),
            ("fail", facts(Page { shared_token: true, ..page.clone() })),
            ("fail", facts(Page { handed_on: true, ..page.clone() })),
            ("fail", facts(Page { shared_cookie: Some("csrftoken".into()), ..page.clone() })),
            ("unknown", facts(Page { statuses: vec![200, 302], ..page.clone() })),
            ("unknown", LeakFacts::default()),
        ] {
            assert_eq!(NoLeak {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
