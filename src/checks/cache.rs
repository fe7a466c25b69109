//! The page cache: do warm pages cost the database nothing, and do all processes share one cache? What else can be wrong
//! with a cache has a file of its own.

mod leak;
mod memory;
mod outage;
mod parser;
mod ratio;
mod settings;
mod stored;

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::{ProbeError, Probes};

use super::counting::{Meter, Rise, around};
use super::{Check, Context, Entry, source};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<PageServed>(),
    Entry::of::<SharedBackend>(),
    Entry::of::<stored::PageStored>(),
    Entry::of::<memory::Bounded>(),
    Entry::of::<memory::BrokerSeparate>(),
    Entry::of::<leak::NoLeak>(),
    Entry::of::<ratio::HitRatio>(),
    Entry::of::<parser::ParserImportable>(),
    Entry::of::<outage::OutageTolerant>(),
];

/// Pages looked at, at most.
const PAGES: usize = 5;

/// `cache.page-served`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PageServed {
    /// Warm requests for each page.
    requests: u64,
    /// Statements that a warm request may cost, on average.
    statements: f64,
}

impl Default for PageServed {
    fn default() -> Self {
        Self { requests: 20, statements: 0.1 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct ServedFacts {
    pages: Vec<Page>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    path: String,
    /// Answers that were not 200.
    refused: u64,
    /// Warm answers that the edge gave out of its own cache.
    from_edge: u64,
    /// The edge keeps the page whole: whoever asks for it does not reach the app.
    #[serde(default)]
    at_the_edge: bool,
    /// Requests with an address nobody had asked for: what the page costs without a cache.
    cold: Rise,
    /// Requests with an address asked for just before.
    warm: Rise,
}

impl Check for PageServed {
    const ID: &'static str = "cache.page-served";
    const TITLE: &'static str = "warm public pages are served without the database";
    const ABOUT: &'static str = "Asks for each public page under an address nobody used before, then for the same address again and again, \
        on new connections, at the app itself where its own address is known. The database's statements are counted around both: cold \
        requests must cost some (else nothing is shown), warm ones none. Traps: cache_page on a page with a form token or a cookie \
        (Django then stores nothing), a cache per process (each process misses once more), measuring the edge instead of the app.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = &["https://docs.djangoproject.com/en/5.2/topics/cache/"];
    type Facts = ServedFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<ServedFacts, Missing> {
        let probes = ctx.probes;
        let meters = [Meter::of_pages(probes).await?];
        let mut pages = Vec::new();
        for path in probes.site.public_pages.iter().take(PAGES) {
            let (cold, first) = around(&meters, 3, ask(probes, path, || probes.nonce(), 3)).await?;
            let nonce = probes.nonce();
            let primed = ask(probes, path, || nonce.clone(), 2).await?;
            let (warm, second) =
                around(&meters, self.requests, ask(probes, path, || nonce.clone(), self.requests)).await?;
            pages.push(Page {
                path: path.clone(),
                refused: first.refused + primed.refused + second.refused,
                from_edge: second.from_edge,
                at_the_edge: at_the_edge(probes, path).await?,
                cold: cold[0],
                warm: warm[0],
            });
        }
        Ok(ServedFacts { pages })
    }

    fn judge(&self, facts: &ServedFacts) -> CheckOutcome {
        let (mut findings, mut shown, mut open) = (Vec::new(), false, None);
        for page in &facts.pages {
            let path = &page.path;
            if page.refused > 0 {
                open = Some(format!("{path} did not answer 200 every time ({} times not)", page.refused));
                continue;
            }
            if page.warm.requests == 0 {
                continue;
            }
            if page.warm.drowned() || page.cold.drowned() {
                return CheckOutcome::Unknown(page.warm.noise("the database's statement counter"));
            }
            // A page that never asks the database shows nothing about a cache.
            shown |= page.cold.per_request() >= 1.0;
            if page.warm.per_request() > self.statements && !page.at_the_edge {
                findings.push(Finding {
                    seen: format!(
                        "a warm request for {path} still costs {:.1} statements (a cold one {:.1})",
                        page.warm.per_request(),
                        page.cold.per_request()
                    ),
                    todo: format!(
                        "put cache_page(120) on the view behind {path} with a Redis cache in CACHES; render no user name, form token \
                         or message into it (they set a cookie, and Django then caches nothing): load these by a small script"
                    ),
                });
            }
        }
        if let Some(why) = open.filter(|_| findings.is_empty()) {
            return CheckOutcome::Unknown(Missing::new(
                why,
                "name pages that anyone may see, by the address that answers without a redirect, in rampup.toml: [site] public_pages",
            ));
        }
        match (findings.is_empty(), shown) {
            (false, _) => CheckOutcome::Fail(findings),
            (true, true) => CheckOutcome::Pass,
            (true, false) => CheckOutcome::Unknown(Missing::new(
                "no public page asks the database even when it is new, so a cache cannot be seen at work",
                "name pages that show data in rampup.toml: [site] public_pages; if an old page cache ignores the query, clear it",
            )),
        }
    }
}

/// `cache.shared-backend`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct SharedBackend {
    /// Requests, each on a new connection.
    requests: u64,
}

impl Default for SharedBackend {
    fn default() -> Self {
        Self { requests: 24 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct SharedFacts {
    path: String,
    refused: u64,
    from_edge: u64,
    /// Keys Redis found around our requests.
    hits: Rise,
    /// Django's key for exactly our address is in Redis.
    own_key: bool,
    /// Where the settings that the project names keep the default cache; none when they do not say.
    #[serde(default)]
    kept: Option<settings::Kept>,
    /// The edge keeps the page whole.
    #[serde(default)]
    at_the_edge: bool,
}

impl Check for SharedBackend {
    const ID: &'static str = "cache.shared-backend";
    const TITLE: &'static str = "all web processes share one cache in Redis";
    const ABOUT: &'static str = "Asks for a public page under an address of our own on many new connections, so that several processes \
        answer, and looks into Redis: either Django's key for exactly that address is there, or Redis found a key for every one of our \
        requests and the settings keep the default cache there. Traps: LocMem in the production settings (one cache per process, nothing in Redis), a Redis that only sessions use \
        (we send no session), another alias that the page reads (hits alone are weak), a cache of another environment (our address is in no other).";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] =
        &["https://docs.djangoproject.com/en/5.2/topics/cache/#redis", "https://redis.io/docs/latest/commands/info/"];
    type Facts = SharedFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<SharedFacts, Missing> {
        let probes = ctx.probes;
        let path = probes.site.public_pages.first().cloned().ok_or_else(|| {
            Missing::new(
                "no public page is named",
                "name pages that anyone may see in rampup.toml: [site] public_pages",
            )
        })?;
        let redis = probes.cache().await?;
        let nonce = probes.nonce();
        let primed = ask(probes, &path, || nonce.clone(), 2).await?;
        let meters = [Meter::Hits(redis.clone())];
        let (hits, sent) = around(&meters, self.requests, ask(probes, &path, || nonce.clone(), self.requests)).await?;
        let mut own_key = false;
        for url in sent.url.iter().flat_map(both_schemes) {
            own_key |= redis.find(&format!("*views.decorators.cache.cache_page.*{}*", md5_hex(&url))).await?.is_some();
        }
        Ok(SharedFacts {
            refused: primed.refused + sent.refused,
            from_edge: sent.from_edge,
            hits: hits[0],
            own_key,
            kept: source::ask(probes, settings::default_kept).await.ok().flatten(),
            at_the_edge: at_the_edge(probes, &path).await?,
            path,
        })
    }

    fn judge(&self, facts: &SharedFacts) -> CheckOutcome {
        let path = &facts.path;
        if facts.refused > 0 || facts.hits.requests == 0 {
            return CheckOutcome::Unknown(Missing::new(
                format!("{path} did not answer 200 every time"),
                "name a page that anyone may see first in rampup.toml: [site] public_pages",
            ));
        }
        if facts.own_key {
            return CheckOutcome::Pass;
        }
        if facts.from_edge > 0 {
            return CheckOutcome::Unknown(Missing::new(
                format!("{path} came out of the edge's cache, so the app's own cache could not be seen"),
                "name the app's own address in rampup.toml: [site] origin",
            ));
        }
        if facts.hits.drowned() {
            return CheckOutcome::Unknown(facts.hits.noise("the cache's hits"));
        }
        if facts.hits.per_request() < 0.95 && facts.at_the_edge {
            return CheckOutcome::NotApplicable(format!("the edge keeps {path} whole, one copy for everybody"));
        }
        if facts.hits.per_request() < 0.95 {
            return CheckOutcome::fail(
                format!(
                    "{} requests for {path} found {:.0} keys in Redis, and its page is not there",
                    facts.hits.requests,
                    facts.hits.per_request() * facts.hits.requests as f64
                ),
                "set CACHES[\"default\"] to django.core.cache.backends.redis.RedisCache (or django_redis) with the address in [services] \
                 cache_env; LocMemCache and DummyCache in the production settings give every process a cache of its own, or none",
            );
        }
        // Keys were found, and whose they are nobody can see: thumbnails of another alias look the same.
        match facts.kept {
            Some(settings::Kept::Redis) => CheckOutcome::Pass,
            Some(settings::Kept::Apart) => CheckOutcome::fail(
                format!(
                    "requests for {path} find keys in Redis, but the settings keep CACHES[\"default\"] outside of it, and the page is \
                     not there: another alias was seen"
                ),
                "set CACHES[\"default\"] to django.core.cache.backends.redis.RedisCache (or django_redis), as the other alias is; see it: \
                 python manage.py shell -c \"from django.core.cache import caches; print(type(caches['default']))\"",
            ),
            None => CheckOutcome::weak(
                format!("requests for {path} find keys in Redis; whether they are the default cache's is not shown"),
                format!(
                    "put cache_page(120) on the view behind {path}, so that its page can be found; or see it: python manage.py shell -c \
                     \"from django.core.cache import caches; print(type(caches['default']))\""
                ),
            ),
        }
    }
}

/// What came of some requests for one page.
#[derive(Debug, Default)]
struct Sent {
    refused: u64,
    from_edge: u64,
    url: Option<Url>,
}

async fn ask(probes: &Probes, path: &str, nonce: impl Fn() -> String, times: u64) -> Result<Sent, ProbeError> {
    let mut sent = Sent::default();
    for _ in 0..times {
        let answer = probes.http.get_origin(path).nonce(&nonce()).fresh().send().await?;
        sent.refused += u64::from(answer.status != 200);
        sent.from_edge += u64::from(answer.trail().from_cache());
        sent.url = Some(answer.url);
    }
    Ok(sent)
}

/// True when the edge answers for a page out of its own cache: the second time at the latest.
async fn at_the_edge(probes: &Probes, path: &str) -> Result<bool, ProbeError> {
    probes.http.get(path).send().await?;
    Ok(probes.http.get(path).send().await?.trail().from_cache())
}

/// An address as Django may see it: behind a proxy that ends TLS it depends on SECURE_PROXY_SSL_HEADER.
fn both_schemes(url: &Url) -> Vec<String> {
    let rest = url.as_str().split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    vec![format!("https://{rest}"), format!("http://{rest}")]
}

fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rise(requests: u64, rise: u64, idle: f64) -> Rise {
        Rise { requests, rise, idle }
    }

    fn page(cold: u64, warm: u64) -> Page {
        Page {
            path: "/".to_owned(),
            refused: 0,
            from_edge: 0,
            at_the_edge: false,
            cold: rise(3, cold, 0.0),
            warm: rise(20, warm, 0.0),
        }
    }

    #[test]
    fn page_traps() {
        let check = PageServed::default();
        for (word, pages) in [
            ("pass", vec![page(130, 0)]),
            // The edge serves it warm: a valid way.
            ("pass", vec![Page { from_edge: 20, ..page(130, 0) }]),
            // Nobody reaches the app for it; what it costs there does not matter.
            ("pass", vec![Page { at_the_edge: true, ..page(130, 200) }]),
            ("pass", vec![page(130, 1), page(0, 0)]),
            ("unknown", vec![]),
            ("unknown", vec![page(0, 0)]),
            ("unknown", vec![Page { warm: rise(0, 0, 0.0), ..page(130, 0) }]),
            // Not cached at all; a cookie keeps Django from storing it.
            ("fail", vec![page(130, 800)]),
            // One cache for each of three processes: each misses once more.
            ("fail", vec![page(130, 86)]),
            ("fail", vec![page(130, 0), page(12, 80)]),
            // A page that redirects says nothing, and excuses no other.
            ("unknown", vec![Page { refused: 1, ..page(130, 0) }]),
            ("unknown", vec![page(130, 0), Page { refused: 23, ..page(130, 0) }]),
            ("fail", vec![page(130, 800), Page { refused: 23, ..page(130, 0) }]),
            ("unknown", vec![Page { warm: rise(20, 500, 490.0), ..page(130, 0) }]),
        ] {
            assert_eq!(check.judge(&ServedFacts { pages }).word(), word);
        }
    }

    #[test]
    fn shared_traps() {
        let check = SharedBackend::default();
        let facts = |hits: Rise, own_key, from_edge| SharedFacts {
            path: "/".to_owned(),
            refused: 0,
            from_edge,
            hits,
            own_key,
            kept: None,
            at_the_edge: false,
        };
        for (word, facts) in [
            ("pass", facts(rise(24, 48, 0.0), true, 0)),
            // Hits alone may be another alias's.
            ("weak", facts(rise(24, 24, 0.0), false, 0)),
            ("pass", SharedFacts { kept: Some(settings::Kept::Redis), ..facts(rise(24, 24, 0.0), false, 0) }),
            ("fail", SharedFacts { kept: Some(settings::Kept::Apart), ..facts(rise(24, 24, 0.0), false, 0) }),
            ("pass", SharedFacts { kept: Some(settings::Kept::Apart), ..facts(rise(24, 24, 0.0), true, 0) }),
            ("fail", SharedFacts { kept: Some(settings::Kept::Redis), ..facts(rise(24, 0, 0.0), false, 0) }),
            ("pass", facts(rise(24, 9000, 8900.0), true, 0)),
            // LocMem, or a Redis that only sessions use.
            ("fail", facts(rise(24, 0, 0.0), false, 0)),
            ("fail", facts(rise(24, 10, 5.0), false, 0)),
            ("unknown", facts(rise(24, 9000, 8900.0), false, 0)),
            ("unknown", facts(rise(24, 0, 0.0), false, 24)),
            ("unknown", facts(rise(0, 0, 0.0), false, 0)),
            ("unknown", SharedFacts { refused: 2, ..facts(rise(24, 48, 0.0), true, 0) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn the_key_of_a_page_is_the_digest_of_its_address() {
        assert_eq!(md5_hex(""), "d41d8cd98f00b204e9800998ecf8427e");
        let url = Url::parse("http://shop.test/?_probe=1").unwrap();
        assert_eq!(both_schemes(&url), ["https://shop.test/?_probe=1", "http://shop.test/?_probe=1"]);
    }
}
