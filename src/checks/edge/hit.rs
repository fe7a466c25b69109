//! Does the edge serve static files from its cache?

use serde::{Deserialize, Serialize};

use crate::checks::assets::{abreast, static_files};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::ProbeError;
use crate::probes::http::answer::Trail;

/// `edge.static-hit`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct StaticHit {
    /// Files asked for, at most.
    files: usize,
}

impl Default for StaticHit {
    fn default() -> Self {
        Self { files: 12 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HitFacts {
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
        let http = &ctx.probes.http;
        let thrice = static_files(ctx, self.files).await?.into_iter().map(|asset| async move {
            let mut answers = Vec::new();
            for _ in 0..3 {
                answers.push(http.ask(reqwest::Method::GET, Ok(asset.url.clone())).send().await?.trail());
            }
            Ok::<_, ProbeError>(answers)
        });
        let files = abreast(thrice.collect()).await.into_iter().collect::<Result<_, _>>()?;
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
            } else if last.carrier().is_none() && last.platform_cache.is_none() {
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
}
