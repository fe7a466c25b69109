//! What an answer counts as: a success, an error and of which kind, or a block by the edge in front of the app.
//!
//! Looks at status, headers and the client's error; the body's own assertions are the flow's.

use std::error::Error;
use std::io;

use reqwest::header::HeaderMap;

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

/// Judges status and headers. Statuses that the flow names are right whoever sent them.
pub(super) fn judge(status: u16, headers: &HeaderMap, expect: &[u16]) -> Outcome {
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

fn blocked(status: u16, headers: &HeaderMap) -> bool {
    headers.contains_key("cf-mitigated")
        || (REFUSALS.contains(&status) && headers.contains_key("cf-ray") && !from_origin(headers))
}

/// Signs that the app or its platform answered and the edge only passed it on.
///
/// Cloudflare's own block pages carry `x-frame-options: SAMEORIGIN` and `referrer-policy`, so these say nothing;
/// Django's default is `DENY`, and only an app varies on a cookie.
fn from_origin(headers: &HeaderMap) -> bool {
    const SIGNS: [&str; 6] = [
        "x-railway-request-id",
        "x-railway-edge",
        "x-amz-request-id",
        "x-content-type-options",
        "cross-origin-opener-policy",
        "x-ratelimit-limit",
    ];
    let says = |name: &str, word: &str| {
        headers.get_all(name).iter().any(|v| v.to_str().is_ok_and(|v| v.to_ascii_lowercase().contains(word)))
    };
    SIGNS.iter().any(|sign| headers.contains_key(*sign)) || says("x-frame-options", "deny") || says("vary", "cookie")
}

/// The kind of a request that failed before its headers, or of a body that broke off (`in_body`).
pub(super) fn failure(error: &reqwest::Error, in_body: bool) -> Failure {
    let local = causes(error).any(|cause| cause.downcast_ref::<io::Error>().is_some_and(exhausted));
    let tls = causes(error).any(|cause| {
        cause.is::<rustls::Error>()
            // rustls hides inside an io::Error, which does not name it as its source but holds it.
            || cause
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref)
                .is_some_and(<dyn Error + Send + Sync>::is::<rustls::Error>)
    });
    let kind = if tls {
        ErrorKind::Tls
    } else if error.is_connect() {
        ErrorKind::Connect
    } else if error.is_timeout() {
        ErrorKind::Timeout
    } else if in_body || !error.is_builder() {
        // Closed before the headers were whole, or before the body was.
        ErrorKind::Truncated
    } else {
        ErrorKind::Assertion
    };
    Failure { kind, local }
}

/// No more files (`EMFILE`, `ENFILE`) or no more local ports (`EADDRNOTAVAIL`).
fn exhausted(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL].iter().any(|e| errno == Some(e.raw_os_error()))
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn Error + 'static)| (*e).source())
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(written: &[(&'static str, &'static str)]) -> HeaderMap {
        written.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
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
            ("asked for", 403, &[("cf-ray", "1")], &[403], Success),
            ("not what was asked for", 200, &[], &[201], unexpected),
            ("origin down behind the edge", 522, &[("cf-ray", "1")], &[], Error(ErrorKind::ServerError)),
        ] {
            assert_eq!(judge(status, &headers(seen), expect), outcome, "{name}");
        }
    }
}
