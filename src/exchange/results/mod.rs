//! Results of other load engines, read so that they can be shown: *client side only*. They were made by another generator,
//! with other pauses and without a look at the far side, so no step is ever proven by them.

mod k6;
mod locust;

use std::fmt::Write;

use crate::domain::text::tame;

use super::ExchangeError;

/// What is said beside every imported figure.
pub const CLIENT_SIDE: &str =
    "client side only: nobody watched the generator or the app's side, so this proves no step";

/// Rows of endpoints that are shown.
const ROWS: usize = 20;

/// What another engine measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// "k6 summary", "Locust CSV", "Locust JSON".
    pub source: &'static str,
    /// Everything together.
    pub total: Line,
    /// By endpoint, where the file says so.
    pub lines: Vec<Line>,
    /// Most users at once, where the file says so.
    pub users: Option<u64>,
    /// What the file cannot say.
    pub notes: Vec<String>,
}

/// One endpoint's figures.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Method and path as the engine names them.
    pub name: String,
    /// Requests.
    pub requests: u64,
    /// Failed ones, by that engine's own rules.
    pub failed: u64,
    /// 95th percentile, ms; the engines count failed requests too.
    pub p95_ms: Option<f64>,
}

/// Reads a k6 summary (`--summary-export`), Locust's `_stats.csv` or its `--json`.
///
/// # Errors
/// When it is none of them.
pub fn read(text: &str) -> Result<Results, ExchangeError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.starts_with("Type,Name,") {
        return locust::csv(text);
    }
    let value = serde_json::from_str::<serde_json::Value>(text).map_err(|e| ExchangeError::NoResults(e.to_string()))?;
    if value.is_array() { locust::json(&value) } else { k6::summary(&value) }
}

impl Results {
    /// For people: the figures, and what they are not.
    #[must_use]
    pub fn show(&self) -> String {
        let mut out = format!("{}, {CLIENT_SIDE}\n", self.source);
        if let Some(users) = self.users {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "at most {users} users at once");
        }
        for line in std::iter::once(&self.total).chain(self.lines.iter().take(ROWS)) {
            let percent = if line.requests == 0 { 0.0 } else { 100.0 * line.failed as f64 / line.requests as f64 };
            let p95 = line.p95_ms.map_or("p95 unknown".to_owned(), |p95| format!("p95 {p95:.0} ms"));
            let _ = writeln!(
                out,
                "{}: {} requests, {} failed ({percent:.2} %), {p95}",
                tame(&line.name, 100),
                line.requests,
                line.failed
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_recordings_are_read() {
        let k6 = read(include_str!("../../../tests/fixtures/results/k6-summary.json")).unwrap();
        assert_eq!((k6.total.requests, k6.total.failed, k6.users), (60, 0, Some(5)));
        assert!(k6.total.p95_ms.is_some_and(|p95| p95 > 800.0), "{k6:?}");
        let csv = read(include_str!("../../../tests/fixtures/results/locust_stats.csv")).unwrap();
        assert_eq!((csv.total.requests, csv.total.failed, csv.total.p95_ms), (65, 29, Some(130.0)));
        assert_eq!(csv.lines.len(), 2);
        let json = read(include_str!("../../../tests/fixtures/results/locust.json")).unwrap();
        assert_eq!(
            json.lines.iter().find(|l| l.name.contains("no-such-page")).map(|l| (l.requests, l.failed)),
            Some((31, 31))
        );
        assert!(json.total.p95_ms.is_some_and(|p95| p95 > 60.0), "{json:?}");
        for shown in [k6.show(), csv.show(), json.show()] {
            assert!(shown.contains("client side only"), "{shown}");
        }
    }

    #[test]
    fn what_is_no_result_is_refused() {
        for text in ["", "{}", "[]", "[1]", "Type,Name,\n", r#"{"log": {"entries": []}}"#, r#"{"metrics": {}}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
