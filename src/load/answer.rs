//! What an answer counts as: a success, an error and of which kind, or a block by the edge in front of the app.
//!
//! Looks at status, headers and the client's error; the body's own assertions are the flow's.

use std::error::Error;
use std::io;

use reqwest::header::HeaderMap;
use url::Url;

use super::wire::Fault;
use crate::domain::measurement::ErrorKind;

/// How one request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// As the flow expects.
    Success,
    /// Failed.
    Error(ErrorKind),
    /// Answered by the edge or the platform instead of the app.
    Blocked,
    /// Cut by us before it ended: a timeout when the hold was drained, nothing at all in an aborted ramp.
    Cut,
}

/// What the edge says of its cache (`cf-cache-status`): a known word, another one, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct CacheWord(u8);

impl CacheWord {
    /// Cloudflare's words. Whatever else may stand there is counted as `OTHER`, so that nobody's header decides how much
    /// we remember or what a screen shows.
    const WORDS: [&str; 10] =
        ["HIT", "MISS", "EXPIRED", "STALE", "BYPASS", "REVALIDATED", "UPDATING", "DYNAMIC", "NONE", "OTHER"];
    /// Values it may have.
    pub const KINDS: usize = Self::WORDS.len() + 1;

    /// As the headers say.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(word) = headers.get("cf-cache-status") else { return Self::default() };
        let known = Self::WORDS.iter().position(|known| word.as_bytes().eq_ignore_ascii_case(known.as_bytes()));
        Self(u8::try_from(known.unwrap_or(Self::WORDS.len() - 1) + 1).unwrap_or_default())
    }

    /// True when the edge said something.
    pub fn said(self) -> bool {
        self.0 > 0
    }

    /// True when the edge gave what it kept: fresh, stale, or found unchanged at the app.
    pub fn hit(self) -> bool {
        const FROM_CACHE: [&str; 4] = ["HIT", "STALE", "REVALIDATED", "UPDATING"];
        self.said() && FROM_CACHE.contains(&Self::WORDS[self.index() - 1])
    }

    /// Its number, under [`Self::KINDS`]; 0 for none.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The words by their numbers, from 1.
    pub fn words() -> impl Iterator<Item = (usize, &'static str)> {
        (1..).zip(Self::WORDS)
    }
}

/// A request that got no whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure {
    /// Its kind.
    pub kind: ErrorKind,
    /// The generator itself ran out of something: files or ports.
    pub local: bool,
}

/// Statuses by which an edge refuses a visitor.
const REFUSALS: [u16; 2] = [403, 429];

/// Judges status and headers. Statuses that the flow names are right whoever sent them, but for challenges.
pub(super) fn judge(status: u16, headers: &HeaderMap, expect: &[u16]) -> Outcome {
    // No flow means a challenge, whatever status it expects.
    if headers.contains_key("cf-mitigated") {
        return Outcome::Blocked;
    }
    if expect.contains(&status) {
        return Outcome::Success;
    }
    if blocked(status, headers) {
        return Outcome::Blocked;
    }
    match status {
        200..=399 if expect.is_empty() => Outcome::Success,
        500..=599 => Outcome::Error(ErrorKind::ServerError),
        _ => Outcome::Error(ErrorKind::UnexpectedStatus),
    }
}

/// Whether a redirect leads to a login: it names the page that was asked for, to come back to (Django's `?next=/orders/`).
pub(super) fn turned_away(asked: &Url, status: u16, headers: &HeaderMap) -> bool {
    let to = headers.get("location").and_then(|to| asked.join(to.to_str().ok()?).ok());
    let here = |value: &str| asked.join(value).is_ok_and(|back| back.path() == asked.path());
    let address = |value: &str| value.starts_with('/') || value.starts_with("http");
    let back = |to: &Url| to.query_pairs().any(|(_, value)| address(&value) && here(&value));
    matches!(status, 302 | 303 | 307) && to.is_some_and(|to| to.path() != asked.path() && back(&to))
}

/// Whether the edge or the platform refused on its own. Only what cannot be the app's doing counts: a server error never
/// does, for an edge that finds no app (Cloudflare's 52x, Railway's "application failed to respond") tells of the app.
fn blocked(status: u16, headers: &HeaderMap) -> bool {
    if !REFUSALS.contains(&status) || from_app(headers) {
        return false;
    }
    let through_platform = PLATFORM.iter().any(|sign| headers.contains_key(*sign));
    if through_platform {
        // The platform's own limit; an app may refuse with 403 and say nothing else, but Railway does not.
        return status == 429;
    }
    // What the edge asked somebody for it says in its cache status; its own pages have none.
    headers.contains_key("cf-ray") && !headers.contains_key("cf-cache-status")
}

/// Signs that the request came as far as the platform behind the edge.
const PLATFORM: [&str; 4] = ["x-railway-request-id", "x-railway-edge", "x-railway-fallback", "x-amz-request-id"];

/// Signs that the app itself answered.
///
/// Cloudflare's own block pages carry `x-frame-options: SAMEORIGIN` and `referrer-policy`, so these say nothing;
/// Django's default is `DENY`. Its security middleware, its locale middleware and the REST framework leave the others,
/// and only an app varies on a cookie or sets one that is not the edge's. `nginx` says nothing: it serves as an edge, too.
fn from_app(headers: &HeaderMap) -> bool {
    const SIGNS: [&str; 8] = [
        "x-content-type-options",
        "cross-origin-opener-policy",
        "x-ratelimit-limit",
        "www-authenticate",
        "content-language",
        "allow",
        "x-powered-by",
        "x-request-id",
    ];
    let any = |name: &str, is: fn(&str) -> bool| {
        headers.get_all(name).iter().any(|v| v.to_str().is_ok_and(|v| is(&v.to_ascii_lowercase())))
    };
    SIGNS.iter().any(|sign| headers.contains_key(*sign))
        || any("x-frame-options", |v| v.contains("deny"))
        || any("vary", |v| v.contains("cookie") || v.contains("origin"))
        || any("set-cookie", |v| !v.starts_with("__cf") && !v.starts_with("_cf") && !v.starts_with("cf_"))
        || any("server", |v| ["gunicorn", "uvicorn", "daphne", "wsgi", "granian"].iter().any(|s| v.contains(s)))
}

/// The kind of a request that failed, before its headers or within its body.
pub(super) fn failure(fault: &Fault) -> Failure {
    let local = causes(fault).any(|cause| cause.downcast_ref::<io::Error>().is_some_and(exhausted));
    let kind = match fault {
        _ if causes(fault).any(is_tls) => ErrorKind::Tls,
        Fault::Unanswered(error) if error.is_connect() => ErrorKind::Connect,
        _ if is_late(fault) => ErrorKind::Timeout,
        Fault::Unwritten(_) => ErrorKind::Assertion,
        // Closed before the headers were whole, or before the body was.
        _ => ErrorKind::Truncated,
    };
    Failure { kind, local }
}

/// What went wrong in the words of whatever knows best: the innermost cause. Never the address, which may hold keys.
pub(super) fn reason(fault: &Fault) -> String {
    if is_late(fault) {
        return "no whole answer in time".to_owned();
    }
    // The outermost one may name the address; the others do not know it.
    causes(fault).skip(1).last().map_or_else(|| "the request could not be made".to_owned(), ToString::to_string)
}

/// Our own time ran out, or the system's for a connection that had said nothing for long.
fn is_late(fault: &Fault) -> bool {
    let timed_out = |cause: &(dyn Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
    };
    matches!(fault, Fault::Late) || causes(fault).any(timed_out)
}

/// rustls hides inside an `io::Error`, which does not name it as its source but holds it; and so may that one.
fn is_tls(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<rustls::Error>()
        || cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref).is_some_and(|held| is_tls(held))
}

/// No more files (`EMFILE`, `ENFILE`) or no more local ports (`EADDRNOTAVAIL`).
fn exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL].iter().any(|e| errno == Some(e.raw_os_error()))
}

/// The fault's error, its cause, the cause of that one, and so on.
fn causes(fault: &Fault) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let first: Option<&(dyn Error + 'static)> = match fault {
        Fault::Late => None,
        Fault::Unwritten(error) => Some(error),
        Fault::Unanswered(error) => Some(error),
        Fault::Broken(error) => Some(error.as_ref()),
    };
    std::iter::successors(first, |error: &&(dyn Error + 'static)| (*error).source())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(written: &[(&'static str, &'static str)]) -> HeaderMap {
        written.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_redirect_that_comes_back_is_a_login() {
        let asked = Url::parse("https://shop.example/orders/?page=2").unwrap();
        for (status, to, away) in [
            (302, "/login/?next=/orders/%3Fpage%3D2", true),
            (302, "https://id.example/?redirect_url=https%3A%2F%2Fshop.example%2Forders%2F", true),
            (200, "/login/?next=/orders/", false),
            // Another address of the page, another language, another page of the list.
            (301, "https://www.shop.example/orders/?page=2", false),
            (302, "/en/orders/?page=2", false),
            (302, "/orders/?next=/orders/", false),
            (302, "/all-orders/?page=2&next=", false),
            (302, "/login/?next=/basket/", false),
            (302, "http://[", false),
        ] {
            assert_eq!(turned_away(&asked, status, &headers(&[("location", to)])), away, "{status} {to}");
        }
        assert!(!turned_away(&asked, 302, &headers(&[])));
    }

    #[test]
    fn the_edge_s_words_are_known_ones() {
        let word = |text: &'static str| {
            let seen = CacheWord::of(&headers(&[("cf-cache-status", text)])).index();
            CacheWord::words().find(|(index, _)| *index == seen).map(|(_, word)| word)
        };
        assert_eq!((word("HIT"), word("dynamic")), (Some("HIT"), Some("DYNAMIC")));
        assert_eq!((word("evil"), word("")), (Some("OTHER"), Some("OTHER")));
        assert_eq!(CacheWord::of(&headers(&[])).index(), 0);
        let seen = |text| CacheWord::of(&headers(&[("cf-cache-status", text)]));
        let hits = ["hit", "STALE", "REVALIDATED", "UPDATING"].map(|word| seen(word).hit());
        let others = ["MISS", "EXPIRED", "BYPASS", "DYNAMIC", "NONE", "evil"].map(|word| seen(word).hit());
        assert_eq!((hits, others, CacheWord::default().hit()), ([true; 4], [false; 6], false));
        assert!(seen("evil").said() && !CacheWord::default().said());
        assert!(CacheWord::words().all(|(index, _)| index < CacheWord::KINDS));
    }

    #[test]
    fn an_edge_that_answers_for_the_app_is_told_apart() {
        use Outcome::{Blocked, Error, Success};
        let unexpected = Error(ErrorKind::UnexpectedStatus);
        for (name, status, seen, expect, outcome) in [
            ("plain page", 200, &[][..], &[][..], Success),
            ("a redirect is an answer", 302, &[], &[], Success),
            ("through the edge", 200, &[("cf-ray", "1")], &[], Success),
            ("rate limited by the edge", 429, &[("cf-ray", "1"), ("server", "cloudflare")], &[], Blocked),
            ("edge block page", 403, &[("cf-ray", "1"), ("x-frame-options", "SAMEORIGIN")], &[], Blocked),
            ("challenge", 403, &[("cf-mitigated", "challenge"), ("x-content-type-options", "nosniff")], &[], Blocked),
            ("Django's CSRF refusal", 403, &[("cf-ray", "1"), ("x-frame-options", "DENY")], &[], unexpected),
            ("the app's own 429", 429, &[("cf-ray", "1"), ("vary", "Accept, Cookie")], &[], unexpected),
            ("no edge at all", 429, &[], &[], unexpected),
            ("challenge that a flow would take", 403, &[("cf-mitigated", "challenge")], &[403], Blocked),
            ("challenge in the old way", 503, &[("cf-ray", "1"), ("cf-mitigated", "challenge")], &[], Blocked),
            ("the app's 503 behind the edge", 503, &[("cf-ray", "1")], &[], Error(ErrorKind::ServerError)),
            (
                "1015 with its cookie",
                429,
                &[("cf-ray", "1"), ("retry-after", "30"), ("set-cookie", "__cf_bm=1")],
                &[],
                Blocked,
            ),
            ("an app's session", 403, &[("cf-ray", "1"), ("set-cookie", "sessionid=1")], &[], unexpected),
            ("a bare app was asked", 403, &[("cf-ray", "1"), ("cf-cache-status", "DYNAMIC")], &[], unexpected),
            ("REST framework", 429, &[("cf-ray", "1"), ("allow", "GET"), ("retry-after", "9")], &[], unexpected),
            ("the platform's limit", 429, &[("x-railway-edge", "fra1"), ("x-railway-request-id", "1")], &[], Blocked),
            (
                "and behind the edge",
                429,
                &[("cf-ray", "1"), ("cf-cache-status", "DYNAMIC"), ("x-railway-edge", "1")],
                &[],
                Blocked,
            ),
            (
                "the app's limit there",
                429,
                &[("x-railway-edge", "1"), ("x-content-type-options", "nosniff")],
                &[],
                unexpected,
            ),
            ("the app's refusal there", 403, &[("x-railway-edge", "1")], &[], unexpected),
            ("no app at the platform", 502, &[("x-railway-fallback", "true")], &[], Error(ErrorKind::ServerError)),
            (
                "an edge made of nginx",
                429,
                &[("cf-ray", "1"), ("server", "nginx"), ("retry-after", "10")],
                &[],
                Blocked,
            ),
            ("nginx limits", 429, &[("server", "nginx")], &[], unexpected),
            ("asked for", 403, &[("cf-ray", "1")], &[403], Success),
            ("not what was asked for", 200, &[], &[201], unexpected),
            ("origin down behind the edge", 522, &[("cf-ray", "1")], &[], Error(ErrorKind::ServerError)),
        ] {
            assert_eq!(judge(status, &headers(seen), expect), outcome, "{name}");
        }
    }
}
