//! An answer and its trail: which machine made it, and out of which cache. The header fingerprints are here only.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::text::tame;

/// What [`Trail::carrier`] calls Railway's router where it is a CDN as well: it marks what it makes itself and what it
/// passes on alike.
pub const RAILWAY: &str = "Railway's CDN";

/// A whole answer, body included; lives only as long as a probe looks at it. May hold cookies, so it is not shown whole.
pub struct Answer {
    /// Where it came from.
    pub url: Url,
    /// Its status.
    pub status: u16,
    /// The body, up to [`super::BODY_LIMIT`] bytes.
    pub body: Vec<u8>,
    /// False when the body was longer.
    pub whole: bool,
    /// From the request to the last byte read.
    pub took: Duration,
    headers: HeaderMap,
}

/// What an answer's headers say of its way: chosen fields, fit to be stored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Trail {
    /// Path, without our nonce.
    pub path: String,
    /// Status.
    pub status: u16,
    /// `cf-ray` is there: it passed through Cloudflare.
    pub edge: bool,
    /// `cf-cache-status`, upper case.
    pub cache: Option<String>,
    /// `x-cache`, upper case and in Cloudflare's words: a platform's own CDN, or any other cache.
    pub platform_cache: Option<String>,
    /// A CDN other than Cloudflare that it passed through: "CloudFront".
    pub cdn: Option<String>,
    /// `x-amz-request-id`: S3 made it (a repeated id came out of a cache); or the storage's name, where a CDN drops the
    /// id.
    pub bucket: Option<String>,
    /// `x-railway-request-id`: the platform's router passed it on.
    pub platform: Option<String>,
    /// Headers that only the app or what runs behind the edge sets.
    pub origin_signs: Vec<String>,
    /// `age`, seconds.
    pub age: Option<u64>,
    /// `cache-control`.
    pub cache_control: String,
    /// `expires`.
    pub expires: Option<String>,
    /// `content-type` without parameters.
    pub content_type: String,
    /// `location` of a redirect, without its query: that may hold a signature.
    pub location: Option<String>,
    /// `server` is what CloudFront or Fastly write on answers of their own: on others they leave the app's standing.
    pub edges_server: bool,
    /// A `set-cookie` is there (its value is nobody's business).
    pub sets_cookie: bool,
    /// The names of the cookies it sets.
    pub cookies: Vec<String>,
    /// Whole milliseconds it took.
    pub ms: u64,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).field("path", &self.url.path()).finish_non_exhaustive()
    }
}

impl Answer {
    pub(super) fn new(url: Url, status: u16, headers: HeaderMap, body: Vec<u8>, whole: bool, took: Duration) -> Self {
        Self { url, status, body, whole, took, headers }
    }

    /// A header as text, control characters removed.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        Some(tame(self.headers.get(name)?.to_str().ok()?, 300))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Name and value of every cookie it sets.
    pub fn cookies(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.headers.get_all("set-cookie").iter().filter_map(|value| {
            let pair = value.to_str().ok()?.split(';').next()?;
            let (name, value) = pair.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        })
    }

    /// True when the edge put a bot challenge in the page's place.
    #[must_use]
    pub fn challenged(&self) -> bool {
        self.header("cf-mitigated").is_some()
    }

    /// Where a redirect leads that only adds the last slash, as `APPEND_SLASH` does. A page tree that takes any address
    /// (Wagtail's) answers so for pages that nobody has, too.
    #[must_use]
    pub fn slashed(&self) -> Option<Url> {
        let to = (300..400).contains(&self.status).then(|| self.header("location")).flatten()?;
        let to = self.url.join(&to).ok()?;
        (to.origin() == self.url.origin() && to.path() == format!("{}/", self.url.path())).then_some(to)
    }

    /// What the headers say of its way.
    #[must_use]
    pub fn trail(&self) -> Trail {
        let upper = |name| self.header(name).map(|v: String| v.trim().to_ascii_uppercase());
        Trail {
            path: tame(self.url.path(), 200),
            status: self.status,
            edge: self.header("cf-ray").is_some_and(|ray| !ray.is_empty()),
            cache: upper("cf-cache-status").filter(|s| !s.is_empty() && s != "NONE"),
            platform_cache: upper("x-cache").or_else(|| upper("cdn-cache")).map(|v| cloudflares_word(&v)),
            cdn: self.cdn().map(str::to_owned),
            bucket: self.bucket(),
            platform: self.header("x-railway-request-id"),
            origin_signs: self.origin_signs(),
            age: self.header("age").and_then(|v| v.parse().ok()),
            cache_control: self.header("cache-control").unwrap_or_default(),
            expires: self.header("expires"),
            content_type: self
                .header("content-type")
                .map(|v| v.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
                .unwrap_or_default(),
            location: self.header("location").map(|to| to.split(['?', '#']).next().unwrap_or_default().to_owned()),
            edges_server: self.headers.get_all("server").iter().any(|name| {
                [&b"cloudfront"[..], b"varnish"].iter().any(|own| name.as_bytes().eq_ignore_ascii_case(own))
            }),
            sets_cookie: self.headers.contains_key("set-cookie"),
            cookies: self.cookies().map(|(name, _)| tame(&name, 60)).collect(),
            ms: self.took.as_millis().try_into().unwrap_or(u64::MAX),
        }
    }

    /// The CDN, where it is not Cloudflare. A bare `x-cache` names none: any proxy may write it.
    fn cdn(&self) -> Option<&'static str> {
        let has = |name| self.headers.contains_key(name);
        let says = |name, what: &str| self.header(name).is_some_and(|v| v.to_ascii_lowercase().contains(what));
        [
            (has("x-amz-cf-id") || has("x-amz-cf-pop"), "CloudFront"),
            (says("x-served-by", "cache-") || has("x-fastly-request-id"), "Fastly"),
            (has("cdn-pullzone"), "bunny.net"),
            (has("x-azure-ref"), "Azure Front Door"),
            (has("x-railway-edge") && has("x-cache"), RAILWAY),
        ]
        .into_iter()
        .find_map(|(there, name)| there.then_some(name))
    }

    /// The sign of an object storage. CloudFront drops S3's request id and keeps its `server`; Cloudflare does the
    /// opposite.
    fn bucket(&self) -> Option<String> {
        let named = || self.header("server").filter(|server| server.eq_ignore_ascii_case("AmazonS3"));
        let google = || self.header("x-goog-storage-class").map(|_| "Google Cloud Storage".to_owned());
        let azure = || self.header("x-ms-blob-type").map(|_| "Azure Blob Storage".to_owned());
        self.header("x-amz-request-id").or_else(named).or_else(google).or_else(azure)
    }

    /// Headers that an edge's own block page does not carry. `x-frame-options: SAMEORIGIN` and `referrer-policy` are
    /// not among them: Cloudflare's own pages have them too.
    fn origin_signs(&self) -> Vec<String> {
        let mut signs: Vec<String> = self
            .headers
            .keys()
            .map(|name| name.as_str())
            .filter(|name| {
                name.starts_with("x-railway-")
                    || (name.starts_with("x-amz-") && !name.starts_with("x-amz-cf-"))
                    || matches!(*name, "x-request-id" | "x-powered-by" | "allow")
            })
            .map(str::to_owned)
            .collect();
        if self.header("x-frame-options").is_some_and(|v| v.eq_ignore_ascii_case("deny")) {
            signs.push("x-frame-options: DENY".to_owned());
        }
        // An edge writes its own name here or leaves the app server's standing.
        let server = self.header("server").unwrap_or_default().to_ascii_lowercase();
        let servers = ["gunicorn", "uvicorn", "daphne", "hypercorn", "granian", "waitress", "wsgiserver"];
        signs.extend(servers.iter().find(|name| server.starts_with(*name)).map(|name| format!("server: {name}")));
        signs.sort();
        signs
    }
}

/// Other caches write "Hit from cloudfront", "RefreshHit from cloudfront", "TCP_HIT" or, one word for each of their own
/// layers, "MISS, HIT": a hit in any layer is a hit.
fn cloudflares_word(said: &str) -> String {
    let words = || said.split([' ', ',']).map(|w| w.trim_start_matches("TCP_").trim_start_matches("REMOTE_"));
    if words().any(|w| w == "REFRESHHIT") {
        return "REVALIDATED".to_owned();
    }
    words().find(|w| *w == "HIT").or_else(|| words().next()).unwrap_or_default().to_owned()
}

impl Trail {
    /// The edge it passed through, by name; none when nothing in it says so.
    #[must_use]
    pub fn carrier(&self) -> Option<&str> {
        if self.edge { Some("Cloudflare") } else { self.cdn.as_deref() }
    }

    /// True when a shared cache answered instead of what is behind it.
    #[must_use]
    pub fn from_cache(&self) -> bool {
        let served = |status: &Option<String>| {
            status.as_deref().is_some_and(|s| matches!(s, "HIT" | "STALE" | "UPDATING" | "REVALIDATED"))
        };
        served(&self.cache) || served(&self.platform_cache)
    }

    /// True when a shared cache answered, or would keep this answer for the next one. Cloudflare and Railway have a word
    /// for what they will not keep. CloudFront, Fastly, Varnish, nginx and others say "Miss" of all they did not have, alone
    /// or behind Cloudflare: there the answer's own words decide, and a second one that is a hit.
    #[must_use]
    pub fn may_be_kept(&self) -> bool {
        let forbidden = self.directive("no-store").is_some() || self.directive("private").is_some();
        let wordless = self.cdn.as_deref() != Some(RAILWAY);
        let missed = |status: &Option<String>| status.as_deref().is_some_and(|s| matches!(s, "MISS" | "EXPIRED"));
        self.from_cache() || missed(&self.cache) || (missed(&self.platform_cache) && !(forbidden && wordless))
    }

    /// True when the edge itself made this answer: it bears the edge's mark, and nothing that only an answer from behind
    /// it has. Cloudflare leaves `cf-cache-status` out of what it makes itself. CloudFront says "Error" of the app's errors
    /// too, and Fastly "MISS" or "HIT" of everything: of these two, `server` tells.
    #[must_use]
    pub fn by_edge(&self) -> bool {
        let made = ["ERROR", "FUNCTIONGENERATEDRESPONSE", "LAMBDAGENERATEDRESPONSE"];
        let passed_on =
            || [&self.cache, &self.platform_cache].into_iter().flatten().any(|w| !made.contains(&w.as_str()));
        let its_own = match self.carrier() {
            None => false,
            Some("Fastly") => self.edges_server,
            Some("CloudFront") => self.edges_server && !passed_on(),
            Some(_) => !passed_on(),
        };
        its_own && self.platform.is_none() && self.origin_signs.is_empty()
    }

    /// A cookie by its name, unless Cloudflare itself added it behind its cache (`__cf_bm`): those do no harm there.
    #[must_use]
    pub fn foreign_cookie(&self) -> Option<&str> {
        let own = |name: &str| name.starts_with("__cf") || name.starts_with("_cf") || name.starts_with("cf_");
        self.cookies.iter().map(String::as_str).find(|name| !own(name))
    }

    /// The cache status as people know it: "HIT", "none".
    #[must_use]
    pub fn cache_word(&self) -> &str {
        self.cache.as_deref().or(self.platform_cache.as_deref()).unwrap_or("none")
    }

    /// A directive of `cache-control`, with its value if it has one.
    #[must_use]
    pub fn directive(&self, name: &str) -> Option<&str> {
        self.cache_control.split(',').map(str::trim).find_map(|part| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(headers: &[(&str, &str)]) -> Answer {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                reqwest::header::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                reqwest::header::HeaderValue::from_str(value).unwrap(),
            );
        }
        let url = Url::parse("http://shop.test/a?_probe=1").unwrap();
        Answer::new(url, 200, map, Vec::new(), true, Duration::ZERO)
    }

    #[test]
    fn cache_states_are_told_apart() {
        for (status, from, kept) in [
            ("HIT", true, true),
            ("stale", true, true),
            ("UPDATING", true, true),
            ("REVALIDATED", true, true),
            ("MISS", false, true),
            ("EXPIRED", false, true),
            ("BYPASS", false, false),
            ("DYNAMIC", false, false),
            ("NONE", false, false),
            ("", false, false),
        ] {
            let trail = answer(&[("cf-cache-status", status)]).trail();
            assert_eq!((trail.from_cache(), trail.may_be_kept()), (from, kept), "{status}");
        }
        for (said, from, kept) in [
            ("Hit from cloudfront", true, true),
            ("RefreshHit from cloudfront", true, true),
            ("Miss from cloudfront", false, true),
            ("Error from cloudfront", false, false),
            ("MISS, HIT", true, true),
            ("HIT, MISS", true, true),
            ("MISS, MISS", false, true),
            ("TCP_HIT", true, true),
            ("TCP_REMOTE_HIT", true, true),
            ("CONFIG_NOCACHE", false, false),
            ("DYNAMIC", false, false),
        ] {
            let trail = answer(&[("x-cache", said)]).trail();
            assert_eq!((trail.from_cache(), trail.may_be_kept()), (from, kept), "{said}");
        }
    }

    #[test]
    fn a_signature_in_a_redirect_is_not_kept() {
        let to = answer(&[("location", "https://b.s3.test/a.jpg?X-Amz-Signature=0#x")]).trail().location;
        assert_eq!(to.as_deref(), Some("https://b.s3.test/a.jpg"));
        assert_eq!(answer(&[]).trail().location, None);
    }

    #[test]
    fn cloudfront_says_miss_of_what_it_will_not_keep() {
        let kept = |said: &str, control: &str| {
            answer(&[("x-amz-cf-id", "c"), ("x-cache", said), ("cache-control", control)]).trail().may_be_kept()
        };
        assert!(!kept("Miss from cloudfront", "max-age=0, no-store") && !kept("Miss from cloudfront", "private"));
        assert!(kept("Miss from cloudfront", "max-age=60") && kept("Miss from cloudfront", ""));
        // A least lifetime set there overrules the answer's words.
        assert!(kept("Hit from cloudfront", "no-store") && kept("RefreshHit from cloudfront", "private"));
        let cloudflare = answer(&[("cf-ray", "1"), ("cf-cache-status", "MISS"), ("cache-control", "no-store")]);
        assert!(cloudflare.trail().may_be_kept());
    }

    #[test]
    fn a_cache_behind_cloudflare_says_miss_of_what_it_will_not_keep() {
        let never = "private, no-store";
        for (kept, cloudflare, behind, control) in [
            (false, "DYNAMIC", "MISS", never),
            (false, "BYPASS", "Miss from cloudfront", never),
            (false, "DYNAMIC", "EXPIRED", "private"),
            (false, "DYNAMIC", "MISS, MISS", "max-age=0, no-cache, no-store"),
            // Nobody forbids it, or it was kept all the same.
            (true, "DYNAMIC", "MISS", "max-age=60"),
            (true, "DYNAMIC", "MISS", ""),
            (true, "DYNAMIC", "HIT", never),
            (true, "DYNAMIC", "MISS, HIT", never),
            // Cloudflare's own word counts as before.
            (true, "MISS", "MISS", never),
            (true, "HIT", "MISS", never),
        ] {
            let headers =
                [("cf-ray", "1"), ("cf-cache-status", cloudflare), ("x-cache", behind), ("cache-control", control)];
            assert_eq!(answer(&headers).trail().may_be_kept(), kept, "{headers:?}");
            let varnish = answer(&headers[2..]).trail();
            assert_eq!(varnish.may_be_kept(), kept && cloudflare == "DYNAMIC", "without Cloudflare: {headers:?}");
            let railway = answer(&[("x-railway-edge", "e"), headers[2], headers[3]]).trail();
            assert!(railway.may_be_kept(), "Railway has a word for it: {headers:?}");
        }
    }

    #[test]
    fn edges_and_buckets_are_known_by_their_own_headers() {
        for (headers, carrier, bucket) in [
            (&[("cf-ray", "1-FRA"), ("x-amz-request-id", "R1")][..], Some("Cloudflare"), Some("R1")),
            (&[("cf-ray", "1-FRA"), ("x-railway-edge", "e"), ("x-cache", "HIT")], Some("Cloudflare"), None),
            (&[("x-amz-cf-id", "c"), ("server", "AmazonS3")], Some("CloudFront"), Some("AmazonS3")),
            (&[("x-served-by", "cache-fra-1")], Some("Fastly"), None),
            (&[("x-railway-edge", "e"), ("x-cache", "HIT")], Some("Railway's CDN"), None),
            // The platform's router alone is no CDN, and any proxy may write x-cache.
            (&[("x-railway-edge", "e")], None, None),
            (&[("x-cache", "HIT")], None, None),
            (&[("server", "cloudflare")], None, None),
        ] {
            let trail = answer(headers).trail();
            assert_eq!((trail.carrier(), trail.bucket.as_deref()), (carrier, bucket), "{headers:?}");
        }
        let cloudfront = answer(&[("x-amz-cf-id", "c"), ("x-amz-cf-pop", "FRA")]).trail();
        assert!(cloudfront.origin_signs.is_empty(), "an edge's own headers are no sign of the app");
    }

    #[test]
    fn cookies_are_named_and_their_values_are_nobodys_business() {
        let trail = answer(&[("set-cookie", "a=s3cret; Path=/"), ("set-cookie", "b=other")]).trail();
        assert_eq!(trail.cookies, ["a", "b"]);
        assert!(!format!("{trail:?}").contains("s3cret"));
    }

    #[test]
    fn an_edge_block_shows_no_origin() {
        let edge =
            answer(&[("cf-ray", "1-LAB"), ("x-frame-options", "SAMEORIGIN"), ("referrer-policy", "same-origin")]);
        assert!(edge.trail().origin_signs.is_empty());
        for (by_edge, headers) in [
            (true, &[("cf-ray", "1-LAB"), ("server", "cloudflare")][..]),
            (true, &[("x-amz-cf-id", "1"), ("x-cache", "Error from cloudfront"), ("server", "CloudFront")]),
            (
                true,
                &[
                    ("x-amz-cf-id", "1"),
                    ("x-cache", "FunctionGeneratedResponse from cloudfront"),
                    ("server", "CloudFront"),
                ],
            ),
            (true, &[("x-served-by", "cache-fra-1"), ("x-cache", "MISS"), ("server", "Varnish"), ("retry-after", "0")]),
            (true, &[("x-served-by", "cache-fra-1"), ("x-cache", "HIT"), ("server", "Varnish")]),
            // The app's own refusal, passed on: CloudFront says "Error" of any 4xx and 5xx.
            (false, &[("x-amz-cf-id", "1"), ("x-cache", "Error from cloudfront"), ("server", "nginx")]),
            (false, &[("x-amz-cf-id", "1"), ("x-cache", "Error from cloudfront"), ("server", "AmazonS3")]),
            (false, &[("x-amz-cf-id", "1"), ("x-cache", "Error from cloudfront")]),
            (false, &[("x-amz-cf-id", "1"), ("x-cache", "Miss from cloudfront"), ("server", "CloudFront")]),
            (false, &[("x-served-by", "cache-fra-1"), ("x-cache", "MISS"), ("server", "nginx")]),
            (false, &[("x-served-by", "cache-fra-1")]),
            (false, &[("cf-ray", "1-LAB"), ("cf-cache-status", "DYNAMIC")]),
            (false, &[("cf-ray", "1-LAB"), ("x-railway-request-id", "1")]),
            (false, &[("x-amz-cf-id", "1"), ("x-cache", "Error from cloudfront"), ("server", "gunicorn")]),
            (false, &[("server", "gunicorn")]),
            (false, &[]),
        ] {
            assert_eq!(answer(headers).trail().by_edge(), by_edge, "{headers:?}");
        }
        let app = answer(&[("cf-ray", "1-LAB"), ("x-frame-options", "DENY"), ("allow", "GET")]);
        assert_eq!(app.trail().origin_signs, ["allow", "x-frame-options: DENY"]);
    }

    #[test]
    fn directives_are_read_with_and_without_a_value() {
        let trail = answer(&[("cache-control", "public, max-age=31536000, IMMUTABLE")]).trail();
        assert_eq!(trail.directive("max-age"), Some("31536000"));
        assert_eq!(trail.directive("immutable"), Some(""));
        assert_eq!(trail.directive("s-maxage"), None);
    }
}
