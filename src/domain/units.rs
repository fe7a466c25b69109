//! Durations as people write them (`90s`, `1m30s`, `250ms`) and as files keep them (seconds), and sizes.

use std::time::Duration;

/// A duration that could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is not a duration; write for example 250ms, 60s, 1m30s or 2h")]
pub struct BadDuration(pub String);

/// Reads `250ms`, `60s`, `1.5s`, `1m30s`, `2h`. Units: h, m, s, ms.
///
/// # Errors
/// When a part has no number, no unit or an unknown unit, or when the text is empty.
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.to_owned());
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        let tail = &rest[digits..];
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        total += number
            * match tail[..unit].trim() {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return Err(bad()),
            };
        rest = &tail[unit..];
    }
    Duration::try_from_secs_f64(total).map_err(|_| bad())
}

/// The same words back: `1m30s`, `60s`, `250ms`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1000 || !millis.is_multiple_of(1000) {
        return if millis < 1000 { format!("{millis}ms") } else { format!("{:.1}s", duration.as_secs_f64()) };
    }
    let seconds = millis / 1000;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, 0) => format!("{m}m"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, s) => format!("{h}h{m:02}m{s:02}s"),
    }
}

/// `#[serde(with = "units::seconds")]`: a `Duration` as a number of seconds, for files machines write.
pub mod seconds {
    use super::Duration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(missing_docs, reason = "serde's own shape")]
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(duration.as_secs_f64())
    }

    #[expect(missing_docs, reason = "serde's own shape")]
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// `#[serde(with = "units::words")]`: a `Duration` in words, for files people write.
pub mod words {
    use super::Duration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(missing_docs, reason = "serde's own shape")]
    pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&super::show_duration(*duration))
    }

    #[expect(missing_docs, reason = "serde's own shape")]
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        super::parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

/// Bytes as whole mebibytes, rounded up: `200 MiB`.
#[must_use]
pub fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, millis) in [("250ms", 250), ("60s", 60_000), ("1m30s", 90_000), ("1.5s", 1500), ("2h", 7_200_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "5 parsecs", "s", "-1s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_in_the_words_that_are_read() {
        for text in ["250ms", "59s", "1m", "1m30s", "1h00m05s"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
    }
}
