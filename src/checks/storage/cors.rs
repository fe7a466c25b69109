//! May pages use fonts that lie on another host, whoever asked for them first?

use serde::{Deserialize, Serialize};

use crate::checks::assets::static_files;
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::text::tame;
use crate::probes::http::assets::Kind;

/// Who else might ask first: nobody, by RFC 2606.
const STRANGER: &str = "https://other.invalid";

/// `storage.static-cors-stable`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CorsStable {
    /// Fonts asked for, at most.
    fonts: usize,
}

impl Default for CorsStable {
    fn default() -> Self {
        Self { fonts: 3 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CorsFacts {
    /// Whose pages use the fonts: "https://shop.test".
    origin: String,
    fonts: Vec<Font>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Font {
    /// Its address without a query.
    address: String,
    status: u16,
    /// Whom the answer allows, as it comes today.
    today: Option<String>,
    /// … after somebody without an origin was the first to ask.
    after_plain: Option<String>,
    /// … after another site was.
    after_other: Option<String>,
}

impl Check for CorsStable {
    const ID: &'static str = "storage.static-cors-stable";
    const TITLE: &'static str = "fonts from another host may be used, whoever asked first";
    const ABOUT: &'static str = "Browsers take fonts from another host only with Access-Control-Allow-Origin. S3 sends it only to requests that \
        name an Origin, and an edge keeps the first answer for all. So each font is asked for without Origin and then with yours, and \
        again with a stranger's Origin first, each pair under an address of its own: the second answer must allow your site. \
        Trap: asking only with Origin, which never meets the copy that a plain request left in the cache.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html",
        "https://developers.cloudflare.com/cache/cache-security/cors/",
        "https://developer.mozilla.org/en-US/docs/Web/CSS/Reference/At-rules/@font-face",
    ];
    type Facts = CorsFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<CorsFacts, Missing> {
        let http = &ctx.probes.http;
        let origin = http.base().origin();
        let mut facts = CorsFacts { origin: origin.ascii_serialization(), fonts: Vec::new() };
        let foreign = |a: &crate::probes::http::assets::Asset| a.kind == Kind::Font && a.url.origin() != origin;
        let fonts = static_files(ctx, usize::MAX).await?.into_iter().filter(foreign).take(self.fonts);
        for font in fonts {
            let ask = |nonce: Option<&str>, origin: Option<&str>| {
                let mut ask = http.ask(reqwest::Method::GET, Ok(font.url.clone()));
                if let Some(nonce) = nonce {
                    ask = ask.nonce(nonce);
                }
                if let Some(origin) = origin {
                    ask = ask.header("origin", origin);
                }
                ask.send()
            };
            let allowed = |answer: &crate::probes::http::answer::Answer| answer.header("access-control-allow-origin");
            let ours = Some(facts.origin.as_str());
            let today = ask(None, ours).await?;
            let (first, second) = (ctx.probes.nonce(), ctx.probes.nonce());
            ask(Some(&first), None).await?;
            let after_plain = allowed(&ask(Some(&first), ours).await?);
            ask(Some(&second), Some(STRANGER)).await?;
            let after_other = allowed(&ask(Some(&second), ours).await?);
            let mut address = font.url.clone();
            address.set_query(None);
            let address = tame(address.as_str(), 200);
            let font = Font { address, status: today.status, today: allowed(&today), after_plain, after_other };
            facts.fonts.push(font);
        }
        Ok(facts)
    }

    fn judge(&self, facts: &CorsFacts) -> CheckOutcome {
        let origin = &facts.origin;
        if facts.fonts.is_empty() {
            return CheckOutcome::NotApplicable("no font comes from another host than the pages".to_owned());
        }
        let allows = |who: &Option<String>| who.as_deref().is_some_and(|who| who == "*" || who == origin);
        let said = |who: &Option<String>| who.clone().unwrap_or_else(|| "nobody".to_owned());
        let mut findings = Vec::new();
        for Font { address, status, today, after_plain, after_other } in &facts.fonts {
            let cached = "let the bucket answer Access-Control-Allow-Origin: * for fonts whoever asks (a Transform Rule at the edge adds it to \
                 every answer), or let the edge keep one copy per Origin (Cache Rule: Vary)";
            let (seen, todo) = if *status != 200 {
                (format!("{address} answers {status}"), "run collectstatic, so that the styles' fonts exist")
            } else if !allows(after_plain) {
                (
                    format!(
                        "{address}: after a request without Origin, {} is allowed, not {origin}",
                        said(after_plain)
                    ),
                    cached,
                )
            } else if !allows(after_other) {
                (format!("{address}: after another site asked, {} is allowed, not {origin}", said(after_other)), cached)
            } else if !allows(today) {
                (
                    format!("{address} allows {} today, not {origin}", said(today)),
                    "purge the fonts from the edge's cache: the copy there is older than the bucket's CORS rules",
                )
            } else {
                continue;
            };
            let todo = format!("{todo}; see it: curl -sI -H 'Origin: {origin}' '{address}' | grep -i access-control");
            findings.push(Finding { seen, todo });
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cors_traps() {
        let check = CorsStable::default();
        let some = |who: &str| (!who.is_empty()).then(|| who.to_owned());
        let judge = |status, today: &str, plain: &str, other: &str| {
            let font = Font {
                address: "https://s.test/f.woff2".to_owned(),
                status,
                today: some(today),
                after_plain: some(plain),
                after_other: some(other),
            };
            check.judge(&CorsFacts { origin: "https://shop.test".to_owned(), fonts: vec![font] }).word()
        };
        let ours = "https://shop.test";
        assert_eq!(judge(200, "*", "*", "*"), "pass");
        assert_eq!(judge(200, ours, ours, ours), "pass");
        // The copy that a plain request left.
        assert_eq!(judge(200, ours, "", ours), "fail");
        // The copy that another site left.
        assert_eq!(judge(200, ours, ours, STRANGER), "fail");
        assert_eq!(judge(200, "", ours, ours), "fail");
        assert_eq!(judge(404, "*", "*", "*"), "fail");
        assert_eq!(check.judge(&CorsFacts { origin: ours.to_owned(), fonts: vec![] }).word(), "n/a");
    }
}
