//! Presigned POST forms: what their policy allows, and what the bucket does with a file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::domain::text::tame;

use super::http::Http;
use super::{ProbeError, base64};

const SYSTEM: &str = "the upload endpoint";

/// A form for the bucket itself. Holds a signature, so it is never stored or shown.
pub struct Ticket {
    url: Url,
    fields: BTreeMap<String, String>,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket([redacted])")
    }
}

/// What a form's policy allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Policy {
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
    /// Reads an endpoint's JSON: `url` and `fields`, or these below one more name.
    ///
    /// # Errors
    /// When they are not there, or there is no policy among the fields.
    pub fn read(body: &[u8]) -> Result<Self, ProbeError> {
        let odd = |saw: &str| ProbeError::odd(SYSTEM, saw);
        let json: Value = serde_json::from_slice(body).map_err(|_| odd("no JSON"))?;
        let form = [&json, &json["post"], &json["data"], &json["upload"], &json["presigned"]]
            .into_iter()
            .find(|v| v["url"].is_string() && v["fields"].is_object())
            .ok_or_else(|| odd("JSON without `url` and `fields`: not a presigned POST"))?;
        let url = form["url"].as_str().and_then(|u| Url::parse(u).ok()).ok_or_else(|| odd("a `url` that is none"))?;
        let fields = form["fields"].as_object().into_iter().flatten();
        let fields = fields.filter_map(|(n, v)| Some((n.clone(), v.as_str()?.to_owned()))).collect();
        Ok(Self { url, fields })
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

    /// What the policy allows.
    ///
    /// # Errors
    /// When there is no policy or it cannot be read.
    pub fn policy(&self, now: Timestamp) -> Result<Policy, ProbeError> {
        let odd = || ProbeError::odd(SYSTEM, "fields without a policy that can be read");
        let policy = self.field("policy").ok_or_else(odd)?;
        let json: Value = serde_json::from_slice(&base64::decode(policy).ok_or_else(odd)?).map_err(|_| odd())?;
        read_policy(&json, now).ok_or_else(odd)
    }

    /// Posts a file of so many bytes, as a browser would.
    ///
    /// # Errors
    /// No answer in time. A refusal is an answer.
    pub async fn upload(&self, http: &Http, bytes: usize, content_type: Option<&str>) -> Result<Uploaded, ProbeError> {
        let mut fields: Vec<(String, String)> = self.fields.iter().map(|(n, v)| (n.clone(), v.clone())).collect();
        if let Some(wanted) = content_type {
            fields.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            fields.insert(0, ("Content-Type".to_owned(), wanted.to_owned()));
        }
        let answer =
            http.ask(Method::POST, Ok(self.url.clone())).bare().upload(fields, vec![b'x'; bytes]).send().await?;
        let text = answer.text();
        let code =
            text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map(|(code, _)| tame(code, 60));
        Ok(Uploaded { status: answer.status, code })
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
        assert!(Ticket::read(br#"{"url": "https://b.test/?X-Amz-Signature=1"}"#).is_err());
        assert!(Ticket::read(b"<html>").is_err());
    }
}
