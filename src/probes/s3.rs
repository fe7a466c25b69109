//! Upload tickets, presigned POST forms and presigned PUT addresses: what they allow, and what the bucket does with a file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::domain::text::tame;

use super::http::Http;
use super::http::answer::Answer;
use super::{ProbeError, base64, put};

const SYSTEM: &str = "the upload endpoint";

/// A form for the bucket itself, or an address that was signed for one PUT. Holds a signature, so it is never stored or
/// shown.
pub struct Ticket {
    url: Url,
    /// Fields of the form; headers to send for a PUT.
    fields: BTreeMap<String, String>,
    put: bool,
    /// The file that it was asked for.
    content_type: String,
    bytes: u64,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket([redacted])")
    }
}

/// What a ticket allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
    /// It is a presigned PUT: bound by the headers that are signed, not by a policy.
    #[serde(default)]
    pub put: bool,
    /// Seconds from now to its end.
    pub valid_seconds: i64,
    /// A fixed key.
    pub key_fixed: bool,
    /// The prefix a key must have, where it is not fixed; empty allows any key.
    pub key_prefix: Option<String>,
    /// A fixed content type.
    pub content_type: Option<String>,
    /// The prefix of the content type, where it is not fixed; empty allows any type.
    pub content_type_prefix: Option<String>,
    /// Bytes allowed, from and to.
    pub length: Option<(u64, u64)>,
    /// An ACL that opens the object to the world.
    pub public_acl: bool,
}

/// What the bucket answered to an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// Status.
    pub status: u16,
    /// S3's own error code: "EntityTooLarge".
    pub code: Option<String>,
}

impl Ticket {
    /// Reads an endpoint's JSON: `url` and `fields` of a form, or a signed address (with `headers` to send, if it says so);
    /// or these below one more name.
    ///
    /// # Errors
    /// When neither is there.
    pub fn read(body: &[u8]) -> Result<Self, ProbeError> {
        let odd = |saw: &str| ProbeError::odd(SYSTEM, saw);
        let json: Value = serde_json::from_slice(body).map_err(|_| odd("no JSON"))?;
        let places = [&json, &json["post"], &json["put"], &json["data"], &json["upload"], &json["presigned"]];
        let texts = |value: &Value| {
            let pairs = value.as_object().into_iter().flatten();
            pairs.filter_map(|(n, v)| Some((n.clone(), v.as_str()?.to_owned()))).collect::<BTreeMap<_, _>>()
        };
        let made = |url, fields, put| Self { url, fields, put, content_type: String::new(), bytes: 0 };
        for place in places {
            let addresses = ["url", "upload_url", "uploadUrl", "signed_url", "signedUrl", "presigned_url"];
            let address = addresses.into_iter().find_map(|name| place[name].as_str());
            let Some(url) = address.and_then(|address| Url::parse(address).ok()) else { continue };
            let fields = texts(&place["fields"]);
            if put::signed(&url) {
                return Ok(made(url, texts(&place["headers"]), true));
            }
            if place["fields"].is_object() {
                return Ok(made(url, fields, false));
            }
        }
        Err(odd("JSON without `url` and `fields`, and without a signed address: no ticket"))
    }

    /// The ticket with the file that it was asked for: a signed address names the headers that are signed, not their values.
    #[must_use]
    pub fn meant_for(self, content_type: &str, bytes: u64) -> Self {
        Self { content_type: content_type.to_owned(), bytes, ..self }
    }

    /// The method that an upload uses.
    #[must_use]
    pub fn method(&self) -> Method {
        if self.put { Method::PUT } else { Method::POST }
    }

    /// The region and whatever else the signature was made for: "AKID/20261126/eu-central-1/s3/aws4_request".
    #[must_use]
    pub fn scope(&self) -> String {
        let field = self.field("x-amz-credential").map(str::to_owned);
        field.or_else(|| put::parameter(&self.url, "x-amz-credential")).unwrap_or_default()
    }

    /// Where the file would go.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// A field of the form, whatever its capitals.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// What the ticket allows.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn policy(&self, now: Timestamp) -> Result<Policy, ProbeError> {
        if self.put {
            let said = self.field("content-type").unwrap_or(&self.content_type);
            let bytes = self.field("content-length").and_then(|bytes| bytes.parse().ok()).unwrap_or(self.bytes);
            let odd = || ProbeError::odd(SYSTEM, "a signed address without a date, a lifetime and signed headers");
            return put::policy(&self.url, said, bytes, now).ok_or_else(odd);
        }
        let odd = || ProbeError::odd(SYSTEM, "fields without a policy that can be read");
        let policy = self.field("policy").ok_or_else(odd)?;
        let json: Value = serde_json::from_slice(&base64::decode(policy).ok_or_else(odd)?).map_err(|_| odd())?;
        read_policy(&json, now).ok_or_else(odd)
    }

    /// Sends a file of so many bytes, as a browser would.
    ///
    /// # Errors
    /// No answer in time. A refusal is an answer.
    pub async fn upload(&self, http: &Http, bytes: usize, content_type: Option<&str>) -> Result<Uploaded, ProbeError> {
        if self.put {
            return self.put(http, bytes, content_type).await;
        }
        let mut fields: Vec<(String, String)> = self.fields.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        if let Some(wanted) = content_type {
            fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            fields.insert(0, ("Content-Type".to_owned(), wanted.to_owned()));
        }
        let answer =
            http.ask(Method::POST, Ok(self.url.clone())).bare().upload(fields, vec![b'x'; bytes]).send().await?;
        Ok(Uploaded::read(&answer))
    }

    async fn put(&self, http: &Http, bytes: usize, content_type: Option<&str>) -> Result<Uploaded, ProbeError> {
        let own = content_type.or_else(|| self.field("content-type")).unwrap_or(&self.content_type);
        let mut ask = http.ask(Method::PUT, Ok(self.url.clone())).bare().body(vec![b'x'; bytes]);
        for (name, value) in &self.fields {
            if !["host", "content-length", "content-type"].contains(&name.to_ascii_lowercase().as_str()) {
                ask = ask.header(name, value);
            }
        }
        Ok(Uploaded::read(&ask.header("content-type", own).send().await?))
    }
}

impl Uploaded {
    fn read(answer: &Answer) -> Self {
        let text = answer.text();
        let code =
            text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| tame(code, 60));
        Self { status: answer.status, code }
    }
}

fn read_policy(json: &Value, now: Timestamp) -> Option<Policy> {
    let expiration: Timestamp = json["expiration"].as_str()?.parse().ok()?;
    let mut policy = Policy { valid_seconds: expiration.as_second() - now.as_second(), ..Policy::default() };
    for condition in json["conditions"].as_array()? {
        for (operator, field, value) in flatten(condition) {
            match (operator.as_str(), field.as_str()) {
                ("content-length-range", _) => {
                    let bounds = condition.as_array()?;
                    policy.length = Some((whole(&bounds[1])?, whole(&bounds[2])?));
                }
                ("eq", "key") => policy.key_fixed = true,
                ("starts-with", "key") => policy.key_prefix = Some(value),
                ("eq", "content-type") => policy.content_type = Some(value),
                ("starts-with", "content-type") => policy.content_type_prefix = Some(value),
                (_, "acl" | "x-amz-acl") => policy.public_acl |= value.starts_with("public") || value.is_empty(),
                _ => {}
            }
        }
    }
    Some(policy)
}

/// A condition as (operator, field, value): `{"field": "value"}` is the same as `["eq", "$field", "value"]`.
fn flatten(condition: &Value) -> Vec<(String, String, String)> {
    let name = |text: &str| text.trim_start_matches('$').to_ascii_lowercase();
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    match condition {
        Value::Object(map) => map.iter().map(|(f, v)| ("eq".to_owned(), name(f), tame(&text(v), 200))).collect(),
        Value::Array(parts) if parts.len() == 3 => {
            vec![(text(&parts[0]).to_ascii_lowercase(), name(&text(&parts[1])), tame(&text(&parts[2]), 200))]
        }
        _ => Vec::new(),
    }
}

/// A number, or a number in quotes: both are accepted by S3.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_in_both_spellings() {
        let now: Timestamp = "2026-11-23T04:00:00Z".parse().unwrap();
        let json = serde_json::json!({ "expiration": "2026-11-23T04:01:00Z", "conditions": [
            { "bucket": "media" }, ["starts-with", "$key", "uploads/7/"], { "Content-Type": "image/jpeg" },
            ["content-length-range", 1, "5242880"], { "acl": "public-read" } ] });
        let policy = read_policy(&json, now).unwrap();
        assert_eq!(policy.valid_seconds, 60);
        assert_eq!(policy.key_prefix.as_deref(), Some("uploads/7/"));
        assert_eq!(policy.content_type.as_deref(), Some("image/jpeg"));
        assert_eq!((policy.length, policy.public_acl), (Some((1, 5_242_880)), true));
        assert!(read_policy(&serde_json::json!({ "conditions": [] }), now).is_none());
    }

    #[test]
    fn tickets_need_url_and_fields() {
        assert!(Ticket::read(br#"{"url": "https://b.test/", "fields": {"key": "k", "policy": "e30="}}"#).is_ok());
        let put =
            Ticket::read(br#"{"data": {"upload_url": "https://b.test/k?X-Amz-Signature=1", "fields": {}}}"#).unwrap();
        assert_eq!(put.method(), Method::PUT);
        for none in
            [&b"<html>"[..], br#"{"url": "https://b.test/k"}"#, br#"{"fields": {}}"#, br#"{"url": "k", "fields": {}}"#]
        {
            assert!(Ticket::read(none).is_err());
        }
    }
}
