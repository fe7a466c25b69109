//! Do static files answer without cookies, every time?

use serde::{Deserialize, Serialize};

use crate::checks::assets::{abreast, static_files};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::ProbeError;
use crate::probes::http::answer::Trail;

/// A visitor's cookies. The token has the form of a real one: Django replaces any other, whatever it is asked for.
const COOKIES: &str = "csrftoken=rampupProbeRampupProbeRampupProb; messages=probe";

/// `edge.static-no-cookie`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoCookie {
    /// Files asked for, at most.
    files: usize,
}

impl Default for NoCookie {
    fn default() -> Self {
        Self { files: 8 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CookieFacts {
    /// For each file: as it is, again, past every cache, and as a visitor who has cookies already.
    files: Vec<Vec<Trail>>,
}

impl Check for NoCookie {
    const ID: &'static str = "edge.static-no-cookie";
    const TITLE: &'static str = "static files never set a cookie";
    const ABOUT: &'static str = "Asks for static files as they are, again, under an address new to every cache, and as a visitor who has \
        cookies already: none of the answers may set one. An edge does not keep an answer with a cookie, or keeps it together with \
        somebody's cookie. Traps: a clean first answer (a copy from the cache) before an origin that does set cookies, and the \
        edge's own cookies (__cf_bm), which do no harm.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://developers.cloudflare.com/cache/concepts/cache-behavior/"];
    type Facts = CookieFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<CookieFacts, Missing> {
        let http = &ctx.probes.http;
        let nonce = ctx.probes.nonce();
        let nonce = &nonce;
        let asked = static_files(ctx, self.files).await?.into_iter().map(|asset| async move {
            let ask = || http.ask(reqwest::Method::GET, Ok(asset.url.clone()));
            Ok::<_, ProbeError>(vec![
                ask().send().await?.trail(),
                ask().send().await?.trail(),
                ask().nonce(nonce).send().await?.trail(),
                ask().nonce(nonce).header("cookie", COOKIES).send().await?.trail(),
            ])
        });
        Ok(CookieFacts { files: abreast(asked.collect()).await.into_iter().collect::<Result<_, _>>()? })
    }

    fn judge(&self, facts: &CookieFacts) -> CheckOutcome {
        if facts.files.is_empty() || facts.files.iter().any(|answers| answers.len() < 4) {
            return CheckOutcome::Unknown(Missing::new(
                "no static file was asked for often enough",
                "name public pages in rampup.toml: [site] public_pages",
            ));
        }
        let mut findings: Vec<Finding> = Vec::new();
        for answers in &facts.files {
            if let Some((n, name)) =
                answers.iter().enumerate().find_map(|(n, trail)| Some((n, trail.foreign_cookie()?)))
            {
                let when = ["", " the second time", " when no cache has it", " for a visitor with cookies"];
                findings.push(Finding {
                    seen: format!("{} sets the cookie {name}{}", answers[n].path, when.get(n).unwrap_or(&"")),
                    todo: "serve static files from a host of their own (the bucket behind the edge), or keep the middleware that sets \
                         this cookie away from them"
                        .to_owned(),
                });
            }
        }
        findings.truncate(4);
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookie_traps() {
        let check = NoCookie::default();
        let clean = Trail { path: "/static/a.css".to_owned(), status: 200, ..Trail::default() };
        let with = |name: &str| Trail { cookies: vec![name.to_owned()], ..clean.clone() };
        let judge = |files: Vec<Vec<Trail>>| check.judge(&CookieFacts { files });
        let good = || vec![clean.clone(); 4];
        assert_eq!(judge(vec![good()]).word(), "pass");
        assert_eq!(judge(vec![vec![with("__cf_bm"), with("_cfuvid"), clean.clone(), with("__cflb")]]).word(), "pass");
        assert_eq!(judge(vec![]).word(), "unknown");
        assert_eq!(judge(vec![vec![clean.clone()]]).word(), "unknown");
        // Only the first request is clean.
        for n in 0..4 {
            let mut answers = good();
            answers[n] = with("csrftoken");
            let outcome = judge(vec![good(), answers]);
            assert!(outcome.word() == "fail" && outcome.seen().contains("csrftoken"), "{n}: {}", outcome.seen());
        }
    }
}
