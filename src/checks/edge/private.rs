//! Do private pages stay out of the edge's cache, however they are asked for?

use serde::{Deserialize, Serialize};

use super::alike::shows;
use super::keepers::{self, Keepers};
use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::Probes;
use crate::probes::http::Ask;
use crate::probes::http::answer::Trail;

/// `edge.private-never-cached`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PrivateNeverCached {}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PrivateFacts {
    site: String,
    pages: Vec<PrivatePage>,
    /// What may keep them, where one is kept; facts from before anybody asked do not say.
    #[serde(default)]
    keepers: Api<Keepers>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct PrivatePage {
    path: String,
    /// Each in the order asked.
    asked: Vec<Asked>,
    /// The test user's name is on the page for the test user.
    marked: bool,
    /// Who saw the test user's name without being the test user.
    leaked_to: Option<Who>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Asked {
    who: Who,
    /// Under an address with a query that nobody used before.
    new_query: bool,
    trail: Trail,
}

/// In whose name a page is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Who {
    /// The test user, signed in.
    User,
    /// Nobody: no cookie, no credentials.
    Stranger,
    /// Somebody with a session cookie that is not the test user's.
    OtherSession,
    /// Somebody with an Authorization header.
    Credentials,
}

impl Who {
    fn words(self) -> &'static str {
        match self {
            Self::User => "with the test user's session",
            Self::Stranger => "without cookies",
            Self::OtherSession => "with another session's cookie",
            Self::Credentials => "with an Authorization header",
        }
    }
}

impl Check for PrivateNeverCached {
    const ID: &'static str = "edge.private-never-cached";
    const TITLE: &'static str = "private pages never come out of a shared cache";
    const ABOUT: &'static str = "Asks for every private page twice as the test user, as a stranger and with an Authorization header, then \
        under a new query as the test user, as a stranger and with another session's cookie. No answer may come out of a cache, and \
        none may be eligible for one: MISS and EXPIRED mean that the next visitor gets it. Nobody else may see the test user's name. \
        Traps: testing without a session only, a rule that looks at the cookie alone, a query that escapes the rule, trust in Vary \
        (Cloudflare ignores it), taking MISS for safe, users that look alike. Where a page is kept and your zone is named, Cloudflare's \
        API says which rules may do it.";
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
            let mut page = PrivatePage { path: path.clone(), asked: vec![], marked: false, leaked_to: None };
            let query = probes.nonce();
            for (who, new_query) in ORDER {
                let ask = probes.http.get(path);
                let ask = if new_query { ask.nonce(&query) } else { ask };
                let ask = if who == Who::User { ask.session(Some(&session)) } else { dressed(ask, who, probes) };
                let answer = ask.send().await?;
                if shows(&answer.text(), &name) {
                    page.marked |= who == Who::User;
                    page.leaked_to = page.leaked_to.or((who != Who::User).then_some(who));
                }
                page.asked.push(Asked { who, new_query, trail: answer.trail() });
            }
            pages.push(page);
        }
        let keepers = if pages.iter().any(kept_by_cloudflare) { keepers::ask(probes).await } else { Api::NotNamed };
        Ok(PrivateFacts { site: super::authority(probes.http.base()), pages, keepers })
    }

    fn judge(&self, facts: &PrivateFacts) -> CheckOutcome {
        let (mut findings, mut gone) = (Vec::new(), Vec::new());
        for page in &facts.pages {
            match problem(page, &facts.site) {
                Some(found) => findings.push(explained(found, page, &facts.keepers)),
                None if whole(page) => {}
                None => gone.push(page.path.clone()),
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
        let opens = |page: &PrivatePage| {
            page.asked.iter().any(|asked| asked.who == Who::User && (200..300).contains(&asked.trail.status))
        };
        if !facts.pages.iter().any(opens) {
            return CheckOutcome::Unknown(Missing::new(
                "no private page opens for the test user, so only refusals and redirects were seen",
                "name a page that the test user may see in rampup.toml: [site] private_pages",
            ));
        }
        let speaks = |asked: &Asked| asked.trail.edge || asked.trail.platform_cache.is_some();
        if let Some(page) = facts.pages.iter().find(|page| !page.marked && !page.asked.iter().all(speaks)) {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "the edge does not say whether it keeps {}, and the page does not show the test user's name",
                    page.path
                ),
                "name pages in rampup.toml that show [site.account] username to the test user: [site] private_pages",
            ));
        }
        CheckOutcome::Pass
    }
}

/// Who asks, and under a new query or not. The test user comes first each time: what is kept then is kept from them.
const ORDER: [(Who, bool); 9] = [
    (Who::User, false),
    (Who::User, false),
    (Who::Stranger, false),
    (Who::Stranger, false),
    (Who::Credentials, false),
    (Who::Credentials, false),
    (Who::User, true),
    (Who::Stranger, true),
    (Who::OtherSession, true),
];

/// Somebody who is not the test user.
fn dressed<'a>(ask: Ask<'a>, who: Who, probes: &Probes) -> Ask<'a> {
    match who {
        Who::OtherSession => ask.header("cookie", format!("sessionid={}", probes.nonce())),
        Who::Credentials => ask.header("authorization", format!("Bearer {}", probes.nonce())),
        Who::User | Who::Stranger => ask,
    }
}

/// True when every way of asking got an answer that says something.
fn whole(page: &PrivatePage) -> bool {
    page.asked.len() == ORDER.len()
        // To others it may well not exist; to the test user it must.
        && page.asked.iter().all(|asked| {
            let gone = asked.trail.status == 404 && asked.who == Who::User;
            !gone && asked.trail.status != 429 && asked.trail.status < 500
        })
}

/// An answer of the page that is in a cache or may be kept there. One that is older than our question came out of a
/// cache, whatever it calls itself.
fn kept(page: &PrivatePage) -> Option<&Asked> {
    let aged = |trail: &Trail| trail.age.is_some_and(|age| age > 0);
    page.asked.iter().find(|asked| asked.trail.may_be_kept() || aged(&asked.trail))
}

/// True when it is Cloudflare's cache that is to be explained.
fn kept_by_cloudflare(page: &PrivatePage) -> bool {
    kept(page).is_some_and(|asked| asked.trail.edge)
}

/// The finding, with what may have kept the page before its remedy.
fn explained(found: Finding, page: &PrivatePage, keepers: &Api<Keepers>) -> Finding {
    match keepers {
        Api::Said(keepers) if kept_by_cloudflare(page) => {
            Finding { todo: format!("{}; {}", keepers.words(&page.path), found.todo), ..found }
        }
        _ => found,
    }
}

fn problem(page: &PrivatePage, site: &str) -> Option<Finding> {
    let path = &page.path;
    let rule = format!(
        "add a Cache Rule that bypasses the cache for {path}, put it after any rule that caches more, and send Cache-Control: private, \
         no-store there (@never_cache on the view)"
    );
    if let Some(who) = page.leaked_to.filter(|_| page.marked) {
        return Some(Finding {
            seen: format!("{path} shows the test user's name to somebody who asks {}", who.words()),
            todo: format!("purge the edge's cache now; then {rule}"),
        });
    }
    if let Some(kept) = kept(page) {
        let query = if kept.new_query { " and a query that was never used before" } else { "" };
        let said = format!(
            "{}, status {}, cache-control {:?}",
            kept.trail.cache_word(),
            kept.trail.status,
            kept.trail.cache_control
        );
        let how = match kept.who {
            Who::User => "-H 'Cookie: sessionid=…'",
            Who::Stranger => "",
            Who::OtherSession => "-H 'Cookie: sessionid=x'",
            Who::Credentials => "-H 'Authorization: Bearer x'",
        };
        return Some(Finding {
            seen: format!(
                "{path}, asked {}{query}, is in the edge's cache or may be kept there ({said}): the next visitor may get it",
                kept.who.words()
            ),
            todo: format!("{rule}; see it twice: curl -so /dev/null -D - {how} '{site}{path}' | grep -i cache"),
        });
    }
    let past = page.asked.iter().find(|a| a.trail.carrier().is_none() && a.trail.platform_cache.is_none());
    past.filter(|_| whole(page)).map(|_| Finding {
        seen: format!("{path} did not pass through the edge (no cf-ray)"),
        todo: "switch the proxy on (orange cloud) for the app's host: without it there are no rules to verify"
            .to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(states: impl Fn(Who, bool, usize) -> &'static str) -> PrivatePage {
        let asked = ORDER.iter().enumerate().map(|(number, (who, new_query))| {
            let status = if *who == Who::User { 200 } else { 302 };
            let cache = Some(states(*who, *new_query, number).to_owned()).filter(|s| !s.is_empty());
            let trail = Trail { path: "/x".into(), status, edge: true, cache, ..Trail::default() };
            Asked { who: *who, new_query: *new_query, trail }
        });
        PrivatePage { path: "/account/".into(), asked: asked.collect(), marked: true, leaked_to: None }
    }

    fn judge(pages: Vec<PrivatePage>) -> &'static str {
        let facts = PrivateFacts { site: "https://shop.test".into(), pages, keepers: Api::NotNamed };
        PrivateNeverCached::default().judge(&facts).word()
    }

    #[test]
    fn a_kept_page_is_explained_by_what_is_switched_on() {
        let keepers = || Keepers { rules: vec!["the rule \"all\"".to_owned()], level: "aggressive".to_owned() };
        let facts = |state: &'static str| PrivateFacts {
            site: "https://shop.test".into(),
            pages: vec![page(|_, _, _| state)],
            keepers: Api::Said(keepers()),
        };
        let todo = |facts: &PrivateFacts| match PrivateNeverCached::default().judge(facts) {
            CheckOutcome::Fail(findings) => findings[0].todo.clone(),
            other => panic!("{other:?}"),
        };
        assert!(todo(&facts("MISS")).starts_with("Cloudflare's API shows what may keep /account/: the rule \"all\""));
        assert_eq!(PrivateNeverCached::default().judge(&facts("BYPASS")).word(), "pass");
        let grey = |mut facts: PrivateFacts| {
            let asked = facts.pages.iter_mut().flat_map(|page| &mut page.asked);
            asked.for_each(|asked| (asked.trail.edge, asked.trail.cache) = (false, None));
            facts
        };
        assert!(!todo(&grey(facts("BYPASS"))).contains("API"));
        // Facts from before anybody asked.
        let mut old = serde_json::to_value(facts("MISS")).unwrap();
        old.as_object_mut().unwrap().remove("keepers");
        let old: PrivateFacts = serde_json::from_value(old).unwrap();
        assert!(todo(&old).starts_with("add a Cache Rule"), "{}", todo(&old));
    }

    #[test]
    fn a_state_that_may_be_kept_fails_in_every_place() {
        let bypass = || page(|_, _, _| "BYPASS");
        assert_eq!(judge(vec![bypass(), page(|_, _, _| "DYNAMIC")]), "pass");
        for state in ["HIT", "MISS", "EXPIRED", "STALE", "UPDATING", "REVALIDATED"] {
            for (place, asked) in ORDER.iter().enumerate() {
                let bad = page(|_, _, number| if number == place { state } else { "BYPASS" });
                assert_eq!(judge(vec![bypass(), bad]), "fail", "{state} at {asked:?}");
            }
        }
    }

    #[test]
    fn other_edges_names_and_missing_pages() {
        let bypass = || page(|_, _, _| "BYPASS");
        let every = |change: fn(&mut Trail)| {
            let mut page = bypass();
            page.asked.iter_mut().for_each(|asked| change(&mut asked.trail));
            page
        };
        let cloudfront = |trail: &mut Trail| {
            (trail.edge, trail.cache, trail.cdn) = (false, None, Some("CloudFront".to_owned()));
        };
        let says = |word: &'static str| {
            let mut page = every(cloudfront);
            page.asked.iter_mut().for_each(|asked| {
                asked.trail.platform_cache = Some(word.to_owned());
                asked.trail.cache_control = "private, no-store".to_owned();
            });
            page
        };
        let behind = |word: &str| {
            let mut page = page(|_, _, _| "DYNAMIC");
            page.asked.iter_mut().for_each(|asked| {
                asked.trail.platform_cache = Some(word.to_owned());
                asked.trail.cache_control = "private, no-store".to_owned();
            });
            page
        };
        let silent = || every(cloudfront);
        for (word, pages) in [
            ("fail", vec![PrivatePage { leaked_to: Some(Who::OtherSession), ..bypass() }]),
            // The name is part of the page for everybody.
            ("pass", vec![PrivatePage { leaked_to: Some(Who::Stranger), marked: false, ..bypass() }]),
            ("fail", vec![every(|trail| trail.age = Some(9))]),
            ("pass", vec![every(|trail| trail.age = Some(0))]),
            // No cf-ray.
            ("fail", vec![every(|trail| (trail.edge, trail.cache) = (false, None))]),
            // An edge that says nothing of its cache: only a marked page tells.
            ("pass", vec![silent()]),
            ("unknown", vec![PrivatePage { marked: false, ..silent() }]),
            // CloudFront calls MISS what it never keeps, too.
            ("pass", vec![says("MISS")]),
            ("fail", vec![says("HIT")]),
            // So does an nginx or Varnish behind Cloudflare.
            ("pass", vec![behind("MISS")]),
            ("fail", vec![behind("HIT")]),
            ("unknown", vec![every(|trail| trail.status = 404)]),
            ("unknown", vec![every(|trail| trail.status = 429)]),
            ("unknown", vec![every(|trail| trail.status = 302)]),
            ("pass", vec![bypass(), every(|trail| trail.status = 302)]),
            ("unknown", vec![PrivatePage { asked: bypass().asked[..2].to_vec(), ..bypass() }]),
            ("unknown", vec![]),
        ] {
            assert_eq!(judge(pages.clone()), word, "{pages:?}");
        }
    }
}
