//! Do the site's addresses lead to a page, instead of round in a circle?

use serde::{Deserialize, Serialize};

use super::proxied::{complaint, sister};
use crate::checks::assets::abreast;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::ProbeError;
use crate::probes::http::chain::{Chain, End};

/// `edge.no-redirect-loop`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoRedirectLoop {
    /// Pages followed, at most.
    pages: usize,
}

impl Default for NoRedirectLoop {
    fn default() -> Self {
        Self { pages: 5 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LoopFacts {
    chains: Vec<Chain>,
}

impl Check for NoRedirectLoop {
    const ID: &'static str = "edge.no-redirect-loop";
    const TITLE: &'static str = "every address leads to a page, not in a circle";
    const ABOUT: &'static str = "Follows redirects from the public pages, from http:// and from the sister with or without www, cookies \
        included, up to ten hops: each chain must end at an answer on your own name. Traps: an edge that speaks http to an app \
        which insists on https (Flexible: a circle), two rules that undo each other (slash, www), a certificate that the edge \
        refuses (526), an app that sends visitors past the edge to its platform's own address. A page that only wants its \
        cookie back is no circle.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/ssl/troubleshooting/too-many-redirects/",
        "https://docs.djangoproject.com/en/5.2/ref/settings/#secure-proxy-ssl-header",
        "https://developers.cloudflare.com/ssl/origin-configuration/ssl-modes/",
    ];
    type Facts = LoopFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<LoopFacts, Missing> {
        let (http, site) = (&ctx.probes.http, &ctx.probes.site);
        let base = http.base();
        let front = "/".to_owned();
        let pages = site.public_pages.iter().take(self.pages).chain([&front]);
        let mut starts: Vec<_> = pages.filter_map(|page| base.join(page).ok()).collect();
        starts.dedup();
        let asked = starts.into_iter().map(|start| http.follow(start));
        let mut chains = abreast(asked.collect()).await.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut plain = base.clone();
        let plain = (base.scheme() == "https" && plain.set_scheme("http").is_ok()).then_some(plain);
        for start in plain.into_iter().chain(sister(base)) {
            match http.follow(start).await {
                Ok(chain) => chains.push(chain),
                Err(ProbeError::Challenged) => return Err(ProbeError::Challenged.into()),
                // Where nobody answers nobody is led round.
                Err(_) => {}
            }
        }
        Ok(LoopFacts { chains })
    }

    fn judge(&self, facts: &LoopFacts) -> CheckOutcome {
        if facts.chains.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "no page was asked for",
                "name public pages in rampup.toml: [site] public_pages",
            ));
        }
        let mut findings: Vec<Finding> = facts.chains.iter().filter_map(problem).collect();
        findings.dedup();
        findings.truncate(4);
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

fn problem(chain: &Chain) -> Option<Finding> {
    let start = chain.hops.first()?;
    let way = chain.hops.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(" → ");
    let (seen, todo) = match &chain.end {
        End::Answered(trail) if trail.edge && (520..=530).contains(&trail.status) => (
            format!("{start} ends at the edge's own {}: it has no good answer from your app", trail.status),
            complaint(trail.status),
        ),
        End::Answered(_) => return None,
        End::Loop | End::Endless if secure(chain) => (
            format!("{start} leads round in a circle: {way}"),
            "set SSL/TLS at the edge to Full (strict), not Flexible, so that the edge speaks https to the app; and let Django know who \
             came by https: SECURE_PROXY_SSL_HEADER = (\"HTTP_X_FORWARDED_PROTO\", \"https\")",
        ),
        End::Loop | End::Endless => (
            format!("{start} leads round in a circle: {way}"),
            "two rules undo each other: look for a redirect at the edge (slash at the end, www, language) that Django takes back \
             (APPEND_SLASH, PREPEND_WWW, a middleware), and keep one of them",
        ),
        End::Left(host) if platforms_own(host) => (
            format!("{start} sends visitors past the edge to {host}"),
            "let the app build addresses from the name that visitors use: USE_X_FORWARDED_HOST where the edge sends it, your own \
             name in ALLOWED_HOSTS, no redirect to the platform's name",
        ),
        End::Left(_) => return None,
        End::Unreachable(why) => (
            format!("{way} is a redirect to an address that does not answer: {why}"),
            "let redirects lead to the address that your visitors use: scheme, host and port as they see them",
        ),
    };
    Some(Finding { seen, todo: format!("{todo}; see it: curl -sIL --max-redirs 10 '{start}'") })
}

/// True when an address leads to itself, or to itself with another scheme: what an edge in the mode Flexible makes.
fn secure(chain: &Chain) -> bool {
    let bare = |hop: &String| hop.split_once("://").map(|(_, rest)| rest.to_owned());
    chain.hops.windows(2).all(|pair| bare(&pair[0]) == bare(&pair[1]))
        && chain.hops.iter().any(|h| h.starts_with("https"))
}

/// How the names end that platforms give to apps.
pub(super) const PLATFORMS: [&str; 7] = [
    ".up.railway.app",
    ".herokuapp.com",
    ".onrender.com",
    ".fly.dev",
    ".ondigitalocean.app",
    ".run.app",
    ".azurewebsites.net",
];

/// True for a name that a platform gave to the app.
pub(super) fn platforms_own(host: &str) -> bool {
    PLATFORMS.iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::http::answer::Trail;

    #[test]
    fn loop_traps() {
        let check = NoRedirectLoop::default();
        let answered = |status| End::Answered(Box::new(Trail { status, edge: true, ..Trail::default() }));
        let chain = |hops: &[&str], end| Chain { hops: hops.iter().map(|h| (*h).to_owned()).collect(), end };
        let page = || chain(&["http://shop.test/", "https://shop.test/"], answered(200));
        let judge = |chains| check.judge(&LoopFacts { chains });
        assert_eq!(judge(vec![page()]).word(), "pass");
        assert_eq!(judge(vec![]).word(), "unknown");
        // Signing in elsewhere is no mistake, and a page that is not there has ended.
        assert_eq!(
            judge(vec![page(), chain(&["https://shop.test/"], End::Left("login.test".to_owned()))]).word(),
            "pass"
        );
        assert_eq!(judge(vec![chain(&["https://shop.test/"], answered(404))]).word(), "pass");
        for (hint, chain) in [
            ("Flexible", chain(&["https://shop.test/", "https://shop.test/"], End::Loop)),
            ("APPEND_SLASH", chain(&["https://shop.test/v", "https://shop.test/v/", "https://shop.test/v"], End::Loop)),
            ("APPEND_SLASH", chain(&["http://shop.test/a", "http://shop.test/b"], End::Endless)),
            ("certificate", chain(&["https://shop.test/"], answered(526))),
            ("ALLOWED_HOSTS", chain(&["https://shop.test/"], End::Left("shop.up.railway.app".to_owned()))),
            ("port", chain(&["http://shop.test/", "https://shop.test:8000/"], End::Unreachable("refused".to_owned()))),
        ] {
            let outcome = judge(vec![page(), chain]);
            let CheckOutcome::Fail(findings) = &outcome else { panic!("{outcome:?}") };
            assert!(findings.len() == 1 && findings[0].todo.contains(hint), "{hint}: {findings:?}");
        }
    }
}
