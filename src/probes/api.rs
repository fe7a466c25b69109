//! A vendor's JSON API, asked with a token: what is common to those of the clouds, whatever their answers mean.
//!
//! An answer is read only when it is JSON and whole. What the JSON parser says of it is cut down to our own words: its
//! messages quote values, and a value may be a secret.

pub(super) mod graphql;

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use url::Url;

use super::error::within;
use super::http::Ask;
use super::http::answer::Answer;
use super::{Key, ProbeError};
use crate::domain::clouds::may_have_token;
use crate::domain::secret::mask;
use crate::domain::text::tame;

/// Longest wait for one answer; tests have no time for the real one.
pub(super) const LIMIT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// Why a vendor refuses for a while.
pub(super) const TOO_MANY: &str = "too many were asked";
/// Most characters of a text that are kept.
const TEXT: usize = 300;
/// Longest wait that a vendor may ask for and is believed.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

/// The address of a path of the API. A token never leaves for a host that is neither the vendor's nor this machine.
pub(super) fn address(api: &Url, vendor: &str, path: &str) -> Result<Url, ProbeError> {
    let refused = || ProbeError::NotGiven {
        what: format!(
            "{api} is neither https://{vendor} nor an address of this machine, and the token goes nowhere else"
        ),
        provide: "leave api out in rampup.toml".to_owned(),
    };
    if !may_have_token(api, vendor) {
        return Err(refused());
    }
    let url = api.join(path).map_err(|_| refused())?;
    if url.origin() == api.origin() { Ok(url) } else { Err(refused()) }
}

/// The token, or the sentence that asks for it.
pub(super) fn token<'a>(key: Option<&'a Key>, vendor: &str, section: &str) -> Result<&'a Key, ProbeError> {
    let key = key.ok_or_else(|| ProbeError::NotGiven {
        what: format!("{vendor}'s API needs a token"),
        provide: format!(
            "put one into an environment variable and name that variable in rampup.toml: [site.{section}] token_env = \"...\""
        ),
    })?;
    if key.secret.expose().chars().all(|c| c.is_ascii_graphic()) {
        Ok(key)
    } else {
        Err(ProbeError::NotGiven {
            what: format!("{} holds more than a token", key.variable),
            provide: "give it the token alone, without blanks and line breaks".to_owned(),
        })
    }
}

/// Asks, and gives back an answer that is whole and neither a page, a redirect, a "later" nor the vendor's own trouble.
pub(super) async fn ask(system: &'static str, request: Ask<'_>) -> Result<Answer, ProbeError> {
    let answer = within(system, LIMIT, async { request.bare().send_raw().await.map_err(|e| e.at(system)) }).await?;
    match answer.status {
        429 => {
            return Err(ProbeError::Busy {
                system,
                why: TOO_MANY.to_owned(),
                when: when(answer.header("retry-after").as_deref(), Timestamp::now()),
            });
        }
        300..=399 => return Err(ProbeError::odd(system, format!("a redirect (status {})", answer.status))),
        500.. => {
            return Err(ProbeError::busy(system, format!("it has trouble of its own (status {})", answer.status)));
        }
        _ => {}
    }
    let json = answer.header("content-type").is_some_and(|kind| kind.contains("json"));
    if !json {
        let kind = answer.header("content-type").unwrap_or_else(|| "no content type".to_owned());
        return Err(ProbeError::odd(system, format!("status {} with {kind} instead of JSON", answer.status)));
    }
    if !answer.whole {
        return Err(ProbeError::odd(system, format!("more than {} MiB", super::http::BODY_LIMIT >> 20)));
    }
    Ok(answer)
}

/// The answer's JSON as facts.
pub(super) fn read<T: DeserializeOwned>(system: &'static str, answer: &Answer) -> Result<T, ProbeError> {
    serde_json::from_slice(&answer.body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ProbeError::Changed { system, saw: fault(&error) },
        _ => ProbeError::odd(system, "JSON that is cut off or broken"),
    })
}

/// What the parser missed, in our own words only: which field, or which type it should have.
fn fault(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    match text.rsplit_once(", expected ") {
        Some((_, expected)) => format!("a field is not {expected}"),
        None if text.starts_with("missing field") => text.to_owned(),
        None => "a field of another form".to_owned(),
    }
}

/// From when on to ask again, by `Retry-After`: seconds, or a date.
fn when(retry_after: Option<&str>, now: Timestamp) -> String {
    let seconds = |text: &str| text.trim().parse().ok().map(Duration::from_secs);
    let date = |text: &str| {
        let at = rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
        Duration::try_from(at.duration_since(now)).ok()
    };
    match retry_after.and_then(|text| seconds(text).or_else(|| date(text))).filter(|wait| *wait <= LONGEST_WAIT) {
        Some(wait) => {
            let at = now + wait;
            format!("after {} UTC, in {} s", at.strftime("%H:%M:%S"), wait.as_secs())
        }
        None => "in a few minutes".to_owned(),
    }
}

/// Reads a text that may be shown.
pub(super) fn tamed<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(tame(&String::deserialize(from)?, TEXT))
}

/// Reads a text that may be missing.
pub(super) fn tamed_option<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|text| tame(&text, TEXT)))
}

/// The same for a command, which may hold an address with a password.
pub(super) fn masked<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(|text| tame(&mask(&text), TEXT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    #[test]
    fn a_vendor_says_when_to_come_back() {
        let now: Timestamp = "2026-11-27T12:00:00Z".parse().unwrap();
        for (said, when) in [
            (Some("30"), "after 12:00:30 UTC, in 30 s"),
            (Some("Fri, 27 Nov 2026 12:05:00 GMT"), "after 12:05:00 UTC, in 300 s"),
            (Some("Fri, 27 Nov 2020 12:05:00 GMT"), "in a few minutes"),
            (Some("99999999999999"), "in a few minutes"),
            (Some("soon"), "in a few minutes"),
            (None, "in a few minutes"),
        ] {
            assert_eq!(super::when(said, now), when, "{said:?}");
        }
    }

    #[test]
    fn a_token_is_one_word() {
        let key = |value: &str| Key { variable: "TOKEN".to_owned(), secret: Secret::new(value.to_owned()) };
        assert!(token(Some(&key("5f3c0a1e-hunter2")), "Railway", "railway").is_ok());
        for value in ["hunter2\n", "Bearer hunter2", "h\u{fc}nter2"] {
            let told = token(Some(&key(value)), "Railway", "railway").unwrap_err().to_string();
            assert!(told.contains("TOKEN holds more than a token") && !told.contains("hunter2"), "{told}");
        }
        assert!(token(None, "Railway", "railway").unwrap_err().to_string().contains("[site.railway] token_env"));
    }

    #[test]
    fn what_the_parser_missed_is_told_without_a_value() {
        #[derive(Debug, serde::Deserialize)]
        struct Facts {
            #[expect(dead_code, reason = "only its type counts")]
            count: u32,
        }
        for (text, said) in [
            (r#"{}"#, "missing field `count`"),
            (r#"{"count": "hunter2, expected x"}"#, "a field is not u32"),
            (r#"{"count": -2}"#, "a field is not u32"),
            (r#"{"count": 1, "count": 2}"#, "a field of another form"),
        ] {
            assert_eq!(fault(&serde_json::from_str::<Facts>(text).unwrap_err()), said, "{text}");
        }
    }
}
