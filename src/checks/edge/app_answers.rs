//! Do visitors get the app's own pages, or does a Worker at the edge answer in its place?

use serde::{Deserialize, Serialize};

use super::rules;
use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::probes::http::answer::Trail;
use crate::probes::{ProbeError, Probes};

/// `edge.app-answers`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AppAnswers {
    /// Public pages asked for, at most.
    pages: usize,
}

impl Default for AppAnswers {
    fn default() -> Self {
        Self { pages: 4 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    site: String,
    pages: Vec<Trail>,
    api: Api<Vec<Route>>,
}

/// Addresses that are a Worker's.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Route {
    pattern: String,
    /// None where the route keeps Workers away.
    worker: Option<String>,
}

impl Route {
    /// `*` stands for anything, and only at the ends. Other marks than letters stand for themselves.
    fn covers(&self, address: &str) -> bool {
        let pattern = self.pattern.split_once("://").map_or(self.pattern.as_str(), |(_, rest)| rest);
        let (front, back) = (pattern.strip_prefix('*'), pattern.strip_suffix('*'));
        match (front, back) {
            (None, None) => address == pattern,
            (Some(end), None) => address.ends_with(end),
            (None, Some(begin)) => address.starts_with(begin),
            (Some(rest), Some(_)) => address.contains(rest.strip_suffix('*').unwrap_or_default()),
        }
    }
}

/// The Worker that an address belongs to: the longest pattern decides.
fn worker<'a>(routes: &'a [Route], address: &str) -> Option<&'a str> {
    let covering = routes.iter().filter(|route| route.covers(address));
    covering.max_by_key(|route| route.pattern.len())?.worker.as_deref()
}

async fn routes(probes: &Probes) -> Result<Vec<Route>, ProbeError> {
    let routes = rules::zone(probes, probes.http.base()).await?.workers_routes().await?;
    Ok(routes.into_iter().map(|route| Route { pattern: route.pattern, worker: route.script }).collect())
}

impl Check for AppAnswers {
    const ID: &'static str = "edge.app-answers";
    const TITLE: &'static str = "behind the edge the app itself answers, and no Worker in its place";
    const ABOUT: &'static str = "Asks for public pages and looks whether the edge made the answer by itself, and which addresses Workers have by \
        Cloudflare's API: a page that a Worker answers says nothing of the app, however fast it is. Traps: a maintenance page or a \
        shop window from a Worker, and a Worker that only passes the request on, which is no harm (the answer bears a cache status). \
        Needs [site.cloudflare].";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://developers.cloudflare.com/workers/configuration/routing/routes/"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let mut pages = Vec::new();
        for path in probes.site.public_pages.iter().take(self.pages) {
            pages.push(probes.http.get(path).nonce(&probes.nonce()).send().await?.trail());
        }
        let api = Api::ask(probes.site.cloudflare.is_some(), routes(probes)).await;
        Ok(Facts { site: super::authority(probes.http.base()), pages, api })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let made = facts.pages.iter().filter(|page| page.by_edge() && page.status < 400).collect::<Vec<_>>();
        let seen = match made.first() {
            None => "each page bears a sign that it was passed on".to_owned(),
            Some(page) => format!("the edge made the answer at {} by itself", page.path),
        };
        let routes = match facts.api.said("cloudflare", &seen) {
            Ok(routes) => routes,
            Err(other) => return other,
        };
        if facts.pages.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "no page was asked for",
                "name public pages in rampup.toml: [site] public_pages",
            ));
        }
        let host = facts.site.split_once("://").map_or(facts.site.as_str(), |(_, host)| host);
        let Some(page) = made.first() else { return CheckOutcome::Pass };
        match worker(routes, &format!("{host}{}", page.path)) {
            Some(worker) => CheckOutcome::fail(
                format!("the Worker {worker} answers {} in the app's place ({})", page.path, page.status),
                "take the page out of the Worker's routes (Workers Routes in the zone), or let the Worker fetch it from the app; else \
                 the ramps measure the Worker",
            ),
            None => CheckOutcome::Unknown(Missing::new(
                format!("{seen} ({}), and no Worker's route says why", page.status),
                "look for a redirect rule, a Snippet or a custom page for it at Cloudflare, and switch it off",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_that_a_worker_makes_is_a_fault() {
        let page = |cache: Option<&str>| Trail {
            path: "/menu/".to_owned(),
            status: 200,
            edge: true,
            cache: cache.map(str::to_owned),
            ..Trail::default()
        };
        let route = |pattern: &str, worker: Option<&str>| Route {
            pattern: pattern.to_owned(),
            worker: worker.map(str::to_owned),
        };
        let all = || route("shop.test/*", Some("window"));
        let spared = || vec![all(), route("shop.test/menu/*", None)];
        for (word, pages, api) in [
            ("pass", vec![page(Some("DYNAMIC"))], Api::Said(Vec::new())),
            // The Worker passes it on.
            ("pass", vec![page(Some("DYNAMIC"))], Api::Said(vec![all()])),
            ("fail", vec![page(Some("HIT")), page(None)], Api::Said(vec![all()])),
            ("unknown", vec![page(None)], Api::Said(Vec::new())),
            ("unknown", vec![page(None)], Api::Said(spared())),
            ("unknown", Vec::new(), Api::Said(Vec::new())),
            ("unknown", vec![page(Some("HIT"))], Api::Silent(Missing::new("no answer", "a token"))),
            ("n/a", vec![page(None)], Api::NotNamed),
        ] {
            let facts = Facts { site: "https://shop.test".to_owned(), pages, api };
            assert_eq!(AppAnswers::default().judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn patterns_have_their_stars_at_the_ends() {
        for (pattern, covers) in [
            ("shop.test/*", true),
            ("https://shop.test/menu/*", true),
            ("*.shop.test/*", false),
            ("*shop.test/*", true),
            ("shop.test/menu/", true),
            ("*/menu/", true),
            ("shop.test/", false),
            ("*", true),
        ] {
            let route = Route { pattern: pattern.to_owned(), worker: None };
            assert_eq!(route.covers("shop.test/menu/"), covers, "{pattern}");
        }
    }
}
