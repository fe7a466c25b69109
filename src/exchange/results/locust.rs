//! Locust's `PREFIX_stats.csv` and `--json`. Knows their names alone.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::exchange::ExchangeError;

use super::{Line, Results};

/// Rows that are read.
const MOST: usize = 10_000;

pub(super) fn csv(text: &str) -> Result<Results, ExchangeError> {
    let no = |what: &str| ExchangeError::NoResults(format!("the CSV has no {what}"));
    let mut rows = text.lines().take(MOST).map(cells);
    let head = rows.next().unwrap_or_default();
    let column = |name: &str| head.iter().position(|cell| cell == name).ok_or_else(|| no(name));
    let (method, name, requests, failed, p95) =
        (column("Type")?, column("Name")?, column("Request Count")?, column("Failure Count")?, column("95%")?);
    let line = |row: &Vec<String>| {
        let cell = |at: usize| row.get(at).map(String::as_str).unwrap_or_default();
        Some(Line {
            name: format!("{} {}", cell(method), cell(name)).trim().to_owned(),
            requests: cell(requests).parse().ok()?,
            failed: cell(failed).parse().ok()?,
            p95_ms: cell(p95).parse().ok(),
        })
    };
    let mut lines: Vec<Line> = rows.filter_map(|row| line(&row)).collect();
    let at = lines.iter().position(|line| line.name == "Aggregated").ok_or_else(|| no("row Aggregated"))?;
    let total = lines.remove(at);
    Ok(Results { source: "Locust CSV", total, lines, users: None, notes: vec![USERS.to_owned()] })
}

const USERS: &str = "the file does not say how many users there were";

/// One line's cells; quotes may hold commas, and doubled they are one.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cells.last_mut().into_iter().for_each(|cell| cell.push('"'));
            }
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            other => cells.last_mut().into_iter().for_each(|cell| cell.push(other)),
        }
    }
    cells
}

pub(super) fn json(value: &Value) -> Result<Results, ExchangeError> {
    let mut all: BTreeMap<u64, u64> = BTreeMap::new();
    let mut lines = Vec::new();
    for row in value.as_array().into_iter().flatten().take(MOST) {
        let no = || ExchangeError::NoResults("a row has no num_requests or num_failures".to_owned());
        let count = |name: &str| row.get(name).and_then(Value::as_u64).ok_or_else(no);
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut times: BTreeMap<u64, u64> = BTreeMap::new();
        for (ms, times_seen) in row.get("response_times").and_then(Value::as_object).into_iter().flatten() {
            let (Some(ms), Some(seen)) = (whole(ms), times_seen.as_u64()) else { continue };
            *times.entry(ms).or_default() += seen;
            *all.entry(ms).or_default() += seen;
        }
        lines.push(Line {
            name: format!("{} {}", text("method"), text("name")),
            requests: count("num_requests")?,
            failed: count("num_failures")?,
            p95_ms: p95(&times),
        });
    }
    if lines.is_empty() {
        return Err(ExchangeError::NoResults("the list is empty".to_owned()));
    }
    let sum = |of: fn(&Line) -> u64| lines.iter().map(of).sum();
    let total =
        Line { name: "all".to_owned(), requests: sum(|l| l.requests), failed: sum(|l| l.failed), p95_ms: p95(&all) };
    Ok(Results { source: "Locust JSON", total, lines, users: None, notes: vec![USERS.to_owned()] })
}

/// Locust's buckets are whole ms, written as text, some with ".0".
fn whole(ms: &str) -> Option<u64> {
    ms.split('.').next()?.parse().ok()
}

fn p95(times: &BTreeMap<u64, u64>) -> Option<f64> {
    let all: u64 = times.values().sum();
    let rank = (all * 95).div_ceil(100);
    let mut seen = 0;
    times
        .iter()
        .find(|(_, count)| {
            seen += **count;
            seen >= rank
        })
        .filter(|_| all > 0)
        .map(|(ms, _)| *ms as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_names_keep_their_commas() {
        assert_eq!(cells(r#"GET,"/a,""b""",3"#), ["GET", r#"/a,"b""#, "3"]);
    }
}
