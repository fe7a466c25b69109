//! Is *this* page in the shared cache, and for long enough to help?

use serde::{Deserialize, Serialize};

use super::{at_the_edge, both_schemes, md5_hex};
use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::ProbeError;
use crate::probes::redis::Redis;

/// Pages looked at, at most.
const PAGES: usize = 5;

/// `cache.page-stored`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PageStored {
    /// Least lifetime of a stored page, seconds.
    lifetime_seconds: i64,
}

impl Default for PageStored {
    fn default() -> Self {
        Self { lifetime_seconds: 10 }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct StoredFacts {
    pages: Vec<Page>,
    /// Some fragment of a template is stored; whose page it is part of, its name does not tell.
    fragments: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Page {
    path: String,
    /// Its whole address.
    #[serde(default)]
    url: String,
    status: u16,
    /// Django stores nothing of an answer that sets a cookie.
    sets_cookie: bool,
    /// The edge answers for this address out of its own cache.
    at_the_edge: bool,
    /// Seconds until Redis forgets the page; none when it is not there, -1 when it never does.
    lives: Option<i64>,
}

impl Check for PageStored {
    const ID: &'static str = "cache.page-stored";
    const TITLE: &'static str = "public pages are in the shared cache";
    const ABOUT: &'static str = "Asks the app for each public page under an address nobody used before and looks in Redis for the key that \
        Django makes of exactly this address, with its remaining lifetime. A page that the edge keeps whole counts as well. Traps: a key of \
        another environment or prefix (our address is in no other), a key that lives for a second, a page that sets a cookie.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &[
        "https://docs.djangoproject.com/en/5.2/topics/cache/#the-per-view-cache",
        "https://redis.io/docs/latest/commands/scan/",
    ];
    type Facts = StoredFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<StoredFacts, Missing> {
        let probes = ctx.probes;
        let redis = probes.cache().await?;
        let mut facts = StoredFacts::default();
        for path in probes.site.public_pages.iter().take(PAGES) {
            let answer = probes.http.get_origin(path).nonce(&probes.nonce()).fresh().send().await?;
            let trail = answer.trail();
            let mut lives = None;
            for url in both_schemes(&answer.url) {
                lives = lives.or(lifetime(&redis, &md5_hex(&url)).await?);
            }
            facts.pages.push(Page {
                url: probes.site.url.join(path).map_or_else(|_| path.clone(), String::from),
                path: path.clone(),
                status: trail.status,
                sets_cookie: trail.sets_cookie,
                at_the_edge: at_the_edge(probes, path).await?,
                lives,
            });
        }
        if facts.pages.iter().any(|page| page.lives.is_none()) {
            facts.fragments = redis.find("*template.cache.*").await?.is_some();
        }
        Ok(facts)
    }

    fn judge(&self, facts: &StoredFacts) -> CheckOutcome {
        let (mut findings, mut left_open) = (Vec::new(), None);
        for page in &facts.pages {
            let path = &page.path;
            if page.status != 200 {
                left_open = Some(format!("{path} answers {}, so nothing of it can be stored", page.status));
                continue;
            }
            match page.lives {
                Some(seconds) if seconds == -1 || seconds >= self.lifetime_seconds => {}
                Some(seconds) => findings.push(Finding {
                    seen: format!("{path} is stored for {seconds} s more: gone before the next visitor comes"),
                    todo: format!("give it a lifetime that helps: cache_page(120) on the view behind {path}"),
                }),
                None if page.at_the_edge => {}
                None if page.sets_cookie => findings.push(Finding {
                    seen: format!("{path} is not in Redis: it sets a cookie, and Django stores no such answer"),
                    todo: format!(
                        "render no form token, user name or message into the page behind {path} (a small script can fetch them), and \
                         touch no session there. See it: curl -sD- -o/dev/null {} | grep -i set-cookie",
                        page.url
                    ),
                }),
                None if facts.fragments => {
                    left_open = Some(format!("fragments of templates are stored, but whether {path} uses them cannot be told"));
                }
                None => findings.push(Finding {
                    seen: format!("{path} is not in the cache's Redis after it was asked for"),
                    todo: format!(
                        "put cache_page(120) on the view behind {path} and a Redis backend into CACHES[\"default\"]; if it is there, see \
                         that the address in [services] cache_env is that of this environment. See it: redis-cli --scan --pattern \
                         '*cache_page*' | head"
                    ),
                }),
            }
        }
        match (findings.is_empty(), left_open) {
            (false, _) => CheckOutcome::Fail(findings),
            (true, Some(why)) => CheckOutcome::Unknown(Missing::new(
                why,
                "name pages that are cached as a whole in rampup.toml: [site] public_pages; cache.page-served shows what fragments do",
            )),
            (true, None) if facts.pages.is_empty() => CheckOutcome::Unknown(Missing::new(
                "no public page is named",
                "name pages that anyone may see in rampup.toml: [site] public_pages",
            )),
            (true, None) => CheckOutcome::Pass,
        }
    }
}

/// How long the page of this address stays, as Redis counts.
async fn lifetime(redis: &Redis, address: &str) -> Result<Option<i64>, ProbeError> {
    match redis.find(&format!("*views.decorators.cache.cache_page.*{address}*")).await? {
        Some(key) => redis.lives(&key).await,
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_counts_when_it_stays() {
        let page = Page { path: "/".into(), status: 200, lives: Some(118), ..Page::default() };
        let facts = |page: Page, fragments| StoredFacts { pages: vec![page], fragments };
        for (word, facts) in [
            ("pass", facts(page.clone(), false)),
            ("pass", facts(Page { lives: Some(-1), ..page.clone() }, false)),
            ("fail", facts(Page { lives: Some(1), ..page.clone() }, false)),
            ("fail", facts(Page { lives: None, ..page.clone() }, false)),
            ("fail", facts(Page { lives: None, sets_cookie: true, ..page.clone() }, true)),
            ("pass", facts(Page { lives: None, at_the_edge: true, ..page.clone() }, false)),
            ("unknown", facts(Page { lives: None, ..page.clone() }, true)),
            ("unknown", facts(Page { status: 500, lives: None, ..page.clone() }, false)),
            ("unknown", StoredFacts::default()),
        ] {
            assert_eq!(PageStored::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
