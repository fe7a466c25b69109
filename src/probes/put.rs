//! Presigned PUT addresses: what their signature covers. S3 says the rest by refusing what was not signed.

use jiff::Timestamp;
use jiff::fmt::strtime;
use url::Url;

use super::s3::Policy;

/// True for an address that was signed for one request: AWS's signature, version 4.
pub(super) fn signed(url: &Url) -> bool {
    parameter(url, "x-amz-signature").is_some()
}

/// What an upload to this address is bound to. The address names the headers that are signed, not their values: those are
/// what the ticket says to send, or what was asked for.
pub(super) fn policy(url: &Url, content_type: &str, bytes: u64, now: Timestamp) -> Option<Policy> {
    let made = strtime::parse("%Y%m%dT%H%M%SZ%z", parameter(url, "x-amz-date")? + "+0000").ok()?.to_timestamp().ok()?;
    let valid: i64 = parameter(url, "x-amz-expires")?.parse().ok()?;
    let headers = parameter(url, "x-amz-signedheaders")?.to_ascii_lowercase();
    let covers = |name: &str| headers.split(';').any(|header| header == name);
    let acl = parameter(url, "x-amz-acl").unwrap_or_default();
    Some(Policy {
        put: true,
        valid_seconds: made.as_second() + valid - now.as_second(),
        key_fixed: true,
        content_type: covers("content-type").then(|| content_type.to_owned()),
        length: covers("content-length").then_some((bytes, bytes)),
        public_acl: acl.starts_with("public"),
        ..Policy::default()
    })
}

/// A parameter of the address, whatever its capitals.
pub(super) fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(headers: &str, more: &str) -> Url {
        let query = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKID%2F20261126%2Fus-east-1%2Fs3%2Faws4_request";
        Url::parse(&format!(
            "https://b.s3.test/uploads/7/a.jpg?{query}&X-Amz-Date=20261126T120000Z&X-Amz-Expires=60&X-Amz-SignedHeaders={headers}\
             &X-Amz-Signature=0{more}"
        ))
        .unwrap()
    }

    #[test]
    fn only_what_is_signed_binds() {
        let now: Timestamp = "2026-11-26T12:00:10Z".parse().unwrap();
        let read = |url: &Url| policy(url, "image/jpeg", 1024, now).unwrap();
        let bound = read(&url("content-length%3Bcontent-type%3Bhost", ""));
        assert_eq!((bound.valid_seconds, bound.length), (50, Some((1024, 1024))));
        assert_eq!(bound.content_type.as_deref(), Some("image/jpeg"));
        assert!(bound.key_fixed && bound.put && !bound.public_acl);
        let loose = read(&url("host", "&x-amz-acl=public-read"));
        assert_eq!((loose.length, loose.content_type, loose.public_acl), (None, None, true));
        assert!(signed(&url("host", "")) && !signed(&Url::parse("https://b.s3.test/a").unwrap()));
        let undated = Url::parse("https://b.s3.test/a?X-Amz-Signature=0&X-Amz-SignedHeaders=host").unwrap();
        assert_eq!(policy(&undated, "image/jpeg", 1, now), None);
    }
}
