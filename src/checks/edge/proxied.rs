//! Does the app's own host answer through the edge?

use serde::{Deserialize, Serialize};
use url::Url;

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::http::answer::Trail;
use crate::probes::http::assets::is_apex;

/// `edge.proxied`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Proxied {
    /// Pages asked for, at most.
    pages: usize,
}

impl Default for Proxied {
    fn default() -> Self {
        Self { pages: 3 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ProxiedFacts {
    hosts: Vec<Host>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Host {
    host: String,
    /// The other one of "www.shop.test" and "shop.test".
    sibling: bool,
    /// Each on a connection of its own.
    answers: Vec<Trail>,
}

impl Check for Proxied {
    const ID: &'static str = "edge.proxied";
    const TITLE: &'static str = "the app's host answers through the edge";
    const ABOUT: &'static str = "Asks for public pages and the health page of your address, each on a new connection, and for the front page \
        of its sister with or without www: every answer must bear an edge's mark (Cloudflare, CloudFront, Fastly, Railway's CDN …) \
        and none may be the edge's own complaint about your app (520 to 530). Traps: a proxied www beside a grey apex, a proxied \
        asset host beside a grey app, and a proxy of one's own that merely writes x-cache (weak).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/dns/proxy-status/",
        "https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/",
    ];
    type Facts = ProxiedFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<ProxiedFacts, Missing> {
        let (http, site) = (&ctx.probes.http, &ctx.probes.site);
        let mut answers = Vec::new();
        for path in site.public_pages.iter().take(self.pages).chain([&site.health]) {
            answers.push(http.get(path).fresh().send().await?.trail());
        }
        let mut hosts = vec![Host { host: name(http.base()), sibling: false, answers }];
        if let Some(sister) = sister(http.base()) {
            match http.ask(reqwest::Method::GET, Ok(sister.clone())).bare().fresh().send().await {
                Ok(answer) => hosts.push(Host { host: name(&sister), sibling: true, answers: vec![answer.trail()] }),
                Err(ProbeError::Challenged) => return Err(ProbeError::Challenged.into()),
                // A name that does not exist, or where nobody listens, leads nobody past the edge.
                Err(_) => {}
            }
        }
        Ok(ProxiedFacts { hosts })
    }

    fn judge(&self, facts: &ProxiedFacts) -> CheckOutcome {
        if facts.hosts.iter().all(|host| host.sibling || host.answers.is_empty()) {
            return CheckOutcome::Unknown(Missing::new("your address was not asked", "set [site] url in rampup.toml"));
        }
        let (mut failed, mut weak) = (Vec::new(), Vec::new());
        for Host { host, sibling, answers } in &facts.hosts {
            if let Some(trail) = answers.iter().find(|t| t.carrier().is_none() && t.platform_cache.is_none()) {
                let beside = if *sibling { ", and visitors find it beside the proxied one" } else { "" };
                failed.push(Finding {
                    seen: format!("{host}{} did not pass through an edge (no cf-ray, no mark of another CDN){beside}", trail.path),
                    todo: format!(
                        "switch the proxy on (orange cloud) for {host} at Cloudflare, or lead the name through your CDN; \
                         see it: curl -sIL '{host}{}' | grep -i cf-ray",
                        trail.path
                    ),
                });
            } else if let Some(trail) = answers.iter().find(|t| (520..=530).contains(&t.status) && t.edge) {
                failed.push(Finding {
                    seen: format!(
                        "{host}{} answers {}: the edge has no good answer from your app",
                        trail.path, trail.status
                    ),
                    todo: complaint(trail.status).to_owned(),
                });
            } else if let Some(trail) = answers.iter().find(|t| t.carrier().is_none()) {
                weak.push(Finding {
                    seen: format!("{host}{} bears x-cache, but no CDN that is known here writes that", trail.path),
                    todo: "if this is your own proxy, put an edge in front of it: rate limits and rules live there"
                        .to_owned(),
                });
            }
        }
        match (failed.is_empty(), weak.is_empty()) {
            (false, _) => CheckOutcome::Fail(failed),
            (true, false) => CheckOutcome::Weak(weak),
            (true, true) => CheckOutcome::Pass,
        }
    }
}

/// What Cloudflare's own statuses ask for.
pub(super) fn complaint(status: u16) -> &'static str {
    match status {
        521..=523 => "let the app listen where the DNS record leads, and let Cloudflare's addresses in",
        524 => "the app took longer than the edge waits: find the slow page",
        525 | 526 => {
            "give the app a certificate that is valid for its name, or set SSL/TLS to Full where the platform's certificate bears \
             another name (Railway's own); never Flexible"
        }
        _ => "look into the app's own log: it broke off or sent something that is no answer",
    }
}

fn name(url: &Url) -> String {
    tame(&url[url::Position::BeforeHost..url::Position::AfterPort], 120)
}

/// The same address with "www." or without; none where there is no such pair (another subdomain, an IP address).
pub(super) fn sister(url: &Url) -> Option<Url> {
    let host = url.domain()?;
    let other = match host.strip_prefix("www.") {
        Some(apex) => apex.to_owned(),
        None if is_apex(url) => format!("www.{host}"),
        None => return None,
    };
    let mut sister = url.clone();
    sister.set_host(Some(&other)).ok()?;
    sister.set_path("/");
    Some(sister)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxied_traps() {
        let check = Proxied::default();
        let good = Trail { path: "/".to_owned(), status: 200, edge: true, ..Trail::default() };
        let host = |host: &str, answers: Vec<Trail>| Host {
            host: host.to_owned(),
            sibling: host.starts_with("www."),
            answers,
        };
        let judge = |hosts| check.judge(&ProxiedFacts { hosts });
        let grey = Trail { edge: false, ..good.clone() };
        let cdn = |name: &str| Trail { cdn: Some(name.to_owned()), ..grey.clone() };
        let status = |status| Trail { status, ..good.clone() };
        for (word, hosts) in [
            ("pass", vec![host("shop.test", vec![good.clone(), good.clone()])]),
            ("pass", vec![host("shop.test", vec![cdn("CloudFront")])]),
            ("pass", vec![host("shop.test", vec![cdn("Railway's CDN")])]),
            // A page that fails for other reasons did pass through the edge.
            ("pass", vec![host("shop.test", vec![status(500)])]),
            ("unknown", vec![]),
            ("unknown", vec![host("www.shop.test", vec![good.clone()])]),
            ("fail", vec![host("shop.test", vec![grey.clone()])]),
            ("fail", vec![host("shop.test", vec![good.clone(), grey.clone()])]),
            // A proxied apex beside a grey www, and the other way round.
            ("fail", vec![host("shop.test", vec![good.clone()]), host("www.shop.test", vec![grey.clone()])]),
            ("fail", vec![host("shop.test", vec![status(526)])]),
            ("weak", vec![host("shop.test", vec![Trail { platform_cache: Some("HIT".to_owned()), ..grey.clone() }])]),
        ] {
            let outcome = judge(hosts.clone());
            assert_eq!(outcome.word(), word, "{hosts:?}");
        }
    }

    #[test]
    fn only_names_with_and_without_www_are_sisters() {
        let of = |url: &str| sister(&Url::parse(url).unwrap()).map(|s| s.to_string());
        assert_eq!(of("https://shop.test/x").as_deref(), Some("https://www.shop.test/"));
        assert_eq!(of("https://www.shop.co.uk/").as_deref(), Some("https://shop.co.uk/"));
        assert_eq!(of("https://shop.co.uk/").as_deref(), Some("https://www.shop.co.uk/"));
        assert_eq!(of("https://app.shop.test/"), None);
        assert_eq!(of("http://127.0.0.1:8000/"), None);
    }
}
