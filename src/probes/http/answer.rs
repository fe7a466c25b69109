//! An answer and its trail: which machine made it, and out of which cache. The header fingerprints are here only.

use std::time::Duration;

use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::domain::text::tame;

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
    /// `x-cache`, upper case: a platform's own CDN.
    pub platform_cache: Option<String>,
    /// `x-amz-request-id`: S3 made it. A repeated id came out of a cache.
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
    /// `location` of a redirect.
    pub location: Option<String>,
    /// A `set-cookie` is there (its value is nobody's business).
    pub sets_cookie: bool,
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

    /// What the headers say of its way.
    #[must_use]
    pub fn trail(&self) -> Trail {
        let upper = |name| self.header(name).map(|v: String| v.trim().to_ascii_uppercase());
        Trail {
            path: tame(self.url.path(), 200),
            status: self.status,
            edge: self.header("cf-ray").is_some_and(|ray| !ray.is_empty()),
            cache: upper("cf-cache-status").filter(|s| !s.is_empty() && s != "NONE"),
            // Other caches write "Hit from cloudfront" or "HIT, MISS": the first word is theirs.
            platform_cache: upper("x-cache").map(|v| v.split([' ', ',']).next().unwrap_or_default().to_owned()),
            bucket: self.header("x-amz-request-id"),
            platform: self.header("x-railway-request-id"),
            origin_signs: self.origin_signs(),
            age: self.header("age").and_then(|v| v.parse().ok()),
            cache_control: self.header("cache-control").unwrap_or_default(),
            expires: self.header("expires"),
            content_type: self
                .header("content-type")
                .map(|v| v.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
                .unwrap_or_default(),
            location: self.header("location"),
            sets_cookie: self.headers.contains_key("set-cookie"),
            ms: self.took.as_millis().try_into().unwrap_or(u64::MAX),
        }
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
                    || name.starts_with("x-amz-")
                    || matches!(*name, "x-request-id" | "x-powered-by" | "allow")
            })
            .map(str::to_owned)
            .collect();
        if self.header("x-frame-options").is_some_and(|v| v.eq_ignore_ascii_case("deny")) {
            signs.push("x-frame-options: DENY".to_owned());
        }
        signs.sort();
        signs
    }
}

impl Trail {
    /// True when a shared cache answered instead of what is behind it.
    #[must_use]
    pub fn from_cache(&self) -> bool {
        let served = |status: &Option<String>| {
            status.as_deref().is_some_and(|s| matches!(s, "HIT" | "STALE" | "UPDATING" | "REVALIDATED"))
        };
        served(&self.cache) || served(&self.platform_cache)
    }

    /// True when a shared cache answered, or would keep this answer for the next one.
    #[must_use]
    pub fn may_be_kept(&self) -> bool {
        let eligible = |status: &Option<String>| status.as_deref().is_some_and(|s| matches!(s, "MISS" | "EXPIRED"));
        self.from_cache() || eligible(&self.cache) || eligible(&self.platform_cache)
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
        assert!(answer(&[("x-cache", "Hit from cloudfront")]).trail().from_cache());
    }

    #[test]
    fn an_edge_block_shows_no_origin() {
        let edge =
            answer(&[("cf-ray", "1-LAB"), ("x-frame-options", "SAMEORIGIN"), ("referrer-policy", "same-origin")]);
        assert!(edge.trail().origin_signs.is_empty());
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
