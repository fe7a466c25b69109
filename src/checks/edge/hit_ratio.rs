//! Does the edge's cache answer for the static files of visitors, and not only for ours?

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rules;
use crate::checks::assets::static_files;
use crate::checks::clouds::Api;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::cloudflare::Traffic;
use crate::probes::http::answer::Trail;
use crate::probes::http::assets::Asset;

/// How far back the figures go, where the plan has them.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Static files looked at to find their host, at most.
const FILES: usize = 12;

/// `edge.hit-ratio`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HitRatio {
    /// Least share of cacheable requests that the cache answers, 0 to 1.
    share: f64,
    /// Cacheable requests below which nothing is said.
    requests: u64,
}

impl Default for HitRatio {
    fn default() -> Self {
        Self { share: 0.9, requests: 1000 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RatioFacts {
    /// The host that serves most of the static files.
    host: String,
    /// The same with scheme and port.
    site: String,
    /// One of its files, asked for three times.
    answers: Vec<Trail>,
    /// What the cache did with visitors' requests to it.
    figures: Api<Figures>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Figures {
    from: Timestamp,
    to: Timestamp,
    /// Requests by what the cache did: "hit", "miss".
    requests: BTreeMap<String, u64>,
    cached: u64,
    cacheable: u64,
    /// Most requests that one counted request stands for.
    sample_interval: f64,
}

impl From<Traffic> for Figures {
    fn from(traffic: Traffic) -> Self {
        let (cached, cacheable) = (traffic.cached(), traffic.cacheable());
        let Traffic { from, to, requests, sample_interval } = traffic;
        Self { from, to, requests, cached, cacheable, sample_interval }
    }
}

impl Check for HitRatio {
    const ID: &'static str = "edge.hit-ratio";
    const TITLE: &'static str = "the edge's cache answers nearly all requests of visitors for static files";
    const ABOUT: &'static str = "Asks Cloudflare's analytics what its cache did for visitors of the host that serves your static files, over the \
        last 24 hours or as far back as the plan goes, and asks for one of the files three times: the share of cacheable requests that \
        the cache answered must be high, and the third answer must be one of them. Traps: one warmed file (edge.static-hit sees that \
        it can, not that it does), a share that counts pages which are not for the cache, a handful of requests, figures of another host.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://developers.cloudflare.com/cache/concepts/cache-responses/",
        "https://developers.cloudflare.com/analytics/graphql-api/",
    ];
    type Facts = RatioFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<RatioFacts, Missing> {
        let probes = ctx.probes;
        let files = static_files(ctx, FILES).await?;
        let file = of_the_busiest_host(&files).ok_or_else(no_file)?;
        let mut answers = Vec::new();
        for _ in 0..3 {
            answers.push(probes.http.ask(reqwest::Method::GET, Ok(file.clone())).send().await?.trail());
        }
        let host = file.host_str().or(probes.http.base().host_str()).unwrap_or_default();
        let question = async {
            let zone = rules::zone(probes, file).await?;
            Ok::<Figures, ProbeError>(zone.traffic(host, DAY).await?.into())
        };
        let figures = Api::ask(probes.site.cloudflare.is_some(), question).await;
        Ok(RatioFacts { host: tame(host, 120), site: super::authority(file), answers, figures })
    }

    fn judge(&self, facts: &RatioFacts) -> CheckOutcome {
        let (host, site) = (&facts.host, &facts.site);
        let Some(last) = facts.answers.get(2) else {
            return CheckOutcome::Unknown(no_file());
        };
        if let Some(other) = last.carrier().filter(|name| *name != "Cloudflare") {
            return CheckOutcome::NotApplicable(format!(
                "{host} is served through {other}, and Cloudflare has no figures of that"
            ));
        }
        let figures = match facts.figures.said("cloudflare", &third(site, last)) {
            Ok(figures) => figures,
            Err(half) => return half,
        };
        let told = figures.told(host);
        if figures.cacheable < self.requests.max(1) {
            return CheckOutcome::Unknown(Missing::new(
                format!("{told}; {} are needed to say anything, and {}", self.requests.max(1), third(site, last)),
                "wait until visitors have asked for more (the figures are some minutes late), then verify again; that the edge can \
                 serve a file at all is what edge.static-hit shows",
            ));
        }
        if figures.share() < self.share {
            return CheckOutcome::fail(
                format!("{told}, and at least {:.0} % are needed: {}", self.share * 100.0, figures.by_status()),
                figures.remedy(),
            );
        }
        if last.status != 200 || !rules::cloudflares_hit(last) {
            return CheckOutcome::fail(
                format!("{told}, and yet {}", third(site, last)),
                format!(
                    "look why this file is an exception (edge.static-hit says what its answer asks for); see it three times: \
                     curl -so /dev/null -D - '{site}{}' | grep -i cf-",
                    last.path
                ),
            );
        }
        CheckOutcome::Pass
    }
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "a share of counts")]
    fn share(&self) -> f64 {
        self.cached as f64 / self.cacheable.max(1) as f64
    }

    /// The share with all that is to be known about it, in one clause.
    fn told(&self, host: &str) -> String {
        let minute = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M").to_string();
        let span = format!("between {} and {} UTC", minute(self.from), minute(self.to));
        let sampled = if self.sample_interval > 1.0 {
            format!(" (extrapolated: one request that was counted stands for up to {:.0})", self.sample_interval)
        } else {
            String::new()
        };
        let Self { cached, cacheable, .. } = self;
        if *cacheable == 0 {
            return format!("Cloudflare counted no cacheable request to {host} {span}");
        }
        // Cut, not rounded: 89.96 % are not 90.
        let percent = (self.share() * 1000.0).floor() / 10.0;
        format!(
            "Cloudflare's cache answered {cached} of {cacheable} cacheable requests to {host} {span}{sampled}, {percent:.1} %"
        )
    }

    /// What the cache did instead, most of all first.
    fn by_status(&self) -> String {
        let lost = self.lost();
        let words: Vec<String> = lost.iter().map(|(status, count)| format!("{count} {status}")).collect();
        words.join(", ")
    }

    /// Requests that reached the origin, most of all first.
    fn lost(&self) -> Vec<(&'static str, u64)> {
        let count = |status: &'static str| Some((status, *self.requests.get(status)?));
        let mut lost: Vec<_> = ["miss", "expired", "bypass"].into_iter().filter_map(count).collect();
        lost.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        lost
    }

    fn remedy(&self) -> &'static str {
        match self.lost().first() {
            Some(("bypass", _)) => {
                "let static files answer without Set-Cookie and with Cache-Control: public, max-age=31536000, immutable; bypass means that \
                 the origin forbids to keep them"
            }
            Some(("expired", _)) => {
                "let files with a hash in their name live for a year (Cache-Control: public, max-age=31536000, immutable), and let the \
                 Cache Rule respect that"
            }
            _ => {
                "let all static files be eligible for cache (a Cache Rule for their host or path), switch Tiered Cache on so that a miss \
                 asks another data centre before the origin, and keep queries that differ for each visitor out of their addresses"
            }
        }
    }
}

/// What the third question for the file brought.
fn third(site: &str, last: &Trail) -> String {
    let path = &last.path;
    if last.status != 200 {
        format!("the third request for {site}{path} got {}", last.status)
    } else if last.carrier().is_none() {
        format!("{site}{path} did not pass through Cloudflare (no cf-ray)")
    } else if rules::cloudflares_hit(last) {
        format!("the third request for {site}{path} came out of the cache ({})", last.cache_word())
    } else {
        format!("the third request for {site}{path} was no hit ({})", last.cache_word())
    }
}

fn no_file() -> Missing {
    Missing::new(
        "no static file was asked for three times",
        "name public pages that use static files in rampup.toml: [site] public_pages",
    )
}

/// The first file of the host that serves most of them.
fn of_the_busiest_host(files: &[Asset]) -> Option<&url::Url> {
    let of_host = |file: &Asset| files.iter().filter(|other| other.url.host_str() == file.url.host_str()).count();
    // Of equals the last one is taken, and that is here the first.
    files.iter().rev().max_by_key(|file| of_host(file)).map(|file| &file.url)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::checks::edge::rules::tests::{api, probes};
    use crate::probes::http::assets::Kind;
    use crate::probes::http::tests::answer;

    fn figures(requests: &[(&str, u64)]) -> Figures {
        let requests = requests.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect();
        let (from, to) = ("2026-11-26T12:02:00Z".parse().unwrap(), "2026-11-27T12:02:00Z".parse().unwrap());
        Figures::from(Traffic { from, to, requests, sample_interval: 1.0 })
    }

    fn facts(last: &str, figures: Figures) -> RatioFacts {
        let trail = |cache: &str| Trail {
            path: "/static/a.css".to_owned(),
            status: 200,
            edge: true,
            cache: Some(cache.to_owned()),
            ..Trail::default()
        };
        let answers = vec![trail("MISS"), trail("HIT"), trail(last)];
        RatioFacts {
            host: "static.shop.test".to_owned(),
            site: "https://static.shop.test".to_owned(),
            answers,
            figures: Api::Said(figures),
        }
    }

    #[test]
    fn ratio_traps() {
        let check = HitRatio::default();
        let good = || figures(&[("hit", 9_000), ("stale", 50), ("miss", 900), ("dynamic", 90_000), ("none", 7)]);
        let last = |mut facts: RatioFacts, change: fn(&mut Trail)| {
            change(&mut facts.answers[2]);
            facts
        };
        let sampled = |figures: Figures| Figures { sample_interval: 10.0, ..figures };
        let silent = || Api::Silent(Missing::new("it refused", "add a right"));
        for (word, part, facts) in [
            ("pass", "", facts("HIT", good())),
            ("pass", "", facts("UPDATING", good())),
            ("pass", "", facts("HIT", figures(&[("hit", 900), ("miss", 100)]))),
            // 89.99 % are not 90 %.
            ("fail", "89.9 %", facts("HIT", figures(&[("hit", 8_999), ("miss", 1_001)]))),
            (
                "fail",
                "6000 miss, 1000 expired",
                facts("HIT", figures(&[("hit", 3_000), ("expired", 1_000), ("miss", 6_000)])),
            ),
            ("fail", "Set-Cookie", facts("HIT", figures(&[("hit", 100), ("bypass", 1_000)]))),
            ("fail", "for a year", facts("HIT", figures(&[("hit", 100), ("expired", 1_000)]))),
            ("fail", "Tiered Cache", facts("HIT", figures(&[("miss", 1_000)]))),
            ("fail", "stands for up to 10", facts("HIT", sampled(figures(&[("miss", 1_000)])))),
            // The figures are fine, our own file is not.
            ("fail", "no hit (BYPASS)", facts("BYPASS", good())),
            ("fail", "did not pass", last(facts("HIT", good()), |trail| (trail.edge, trail.cache) = (false, None))),
            ("fail", "got 404", last(facts("HIT", good()), |trail| trail.status = 404)),
            // Pages are not for the cache, and a handful says nothing.
            ("unknown", "999 of 999", facts("HIT", figures(&[("hit", 999), ("dynamic", 90_000)]))),
            ("unknown", "no cacheable request", facts("HIT", figures(&[("dynamic", 90_000)]))),
            ("unknown", "2026-11-26 12:02 and 2026-11-27 12:02 UTC", facts("HIT", figures(&[("hit", 5)]))),
            ("unknown", "no static file", RatioFacts { answers: vec![], ..facts("HIT", good()) }),
            ("unknown", "one half is missing", RatioFacts { figures: silent(), ..facts("HIT", good()) }),
            ("n/a", "came out of the cache", RatioFacts { figures: Api::NotNamed, ..facts("HIT", good()) }),
            (
                "n/a",
                "CloudFront",
                last(facts("HIT", good()), |trail| (trail.edge, trail.cdn) = (false, Some("CloudFront".to_owned()))),
            ),
        ] {
            let outcome = check.judge(&facts);
            let said = format!("{} {:?}", outcome.seen(), outcome.said());
            assert!(outcome.word() == word && said.contains(part), "{word}, {part}: {outcome:?}");
        }
    }

    #[test]
    fn the_host_of_most_files_is_asked_about() {
        let file = |url: &str| Asset { url: url.parse().unwrap(), kind: Kind::Script };
        let files = ["https://shop.test/a.js", "https://s.shop.test/b.js", "https://s.shop.test/c.js"].map(file);
        assert_eq!(of_the_busiest_host(&files).unwrap().as_str(), "https://s.shop.test/b.js");
        assert_eq!(of_the_busiest_host(&files[..2]).unwrap().as_str(), "https://shop.test/a.js");
        assert!(of_the_busiest_host(&[]).is_none());
    }

    #[tokio::test]
    async fn both_halves_are_asked_for() {
        let zone = |zone: serde_json::Value| {
            let body = json!({ "data": { "viewer": { "zones": [zone] } }, "errors": null });
            answer("200 OK", "Content-Type: application/json\r\n", &body.to_string())
        };
        let limits = json!({ "enabled": true, "maxDuration": 86400, "notOlderThan": 2678400 });
        let group = json!({ "count": 2000, "avg": { "sampleInterval": 1.0 }, "dimensions": { "cacheStatus": "hit" } });
        let page = answer("200 OK", "Content-Type: text/html\r\n", "<script src=\"/static/a.js\"></script>");
        let hit = || answer("200 OK", "cf-ray: 1\r\ncf-cache-status: HIT\r\n", "1");
        let mut answers = vec![page, hit(), hit(), hit()];
        answers.extend(api(&[]));
        answers.push(zone(json!({ "settings": { "httpRequestsAdaptiveGroups": limits } })));
        answers.push(zone(json!({ "httpRequestsAdaptiveGroups": [group] })));
        let (mut probes, asked) = probes(&answers).await;
        probes.site.public_pages = vec!["/".to_owned()];
        let ctx = Context { probes: &probes, ramp: None, history: &[], before: &[] };
        let facts = HitRatio::default().gather(&ctx).await.unwrap();
        assert_eq!((facts.host.as_str(), facts.answers.len()), ("127.0.0.1", 3));
        assert_eq!(HitRatio::default().judge(&facts), CheckOutcome::Pass);
        assert!(asked.lock().unwrap().last().unwrap().contains("\"host\":\"127.0.0.1\""));
    }
}
