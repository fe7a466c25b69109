//! k6's summary (`--summary-export`, or `data.metrics` of `handleSummary`). Knows its names alone.

use serde_json::Value;

use crate::exchange::ExchangeError;

use super::{Line, Results};

pub(super) fn summary(value: &Value) -> Result<Results, ExchangeError> {
    let no = |what: &str| ExchangeError::NoResults(format!("no metrics.{what}"));
    let metrics = value.get("metrics").ok_or_else(|| no("*"))?;
    // handleSummary nests the figures in `values`.
    let figure = |metric: &str, name: &str| {
        let metric = metrics.get(metric)?;
        metric.get("values").unwrap_or(metric).get(name)?.as_f64()
    };
    let requests = figure("http_reqs", "count").ok_or_else(|| no("http_reqs"))?;
    // A rate counts what is true: "passes" are the failed requests.
    let failed = figure("http_req_failed", "passes").ok_or_else(|| no("http_req_failed"))?;
    let total = Line {
        name: "all".to_owned(),
        requests: count(requests),
        failed: count(failed),
        p95_ms: figure("http_req_duration", "p(95)"),
    };
    let users = figure("vus_max", "max").or_else(|| figure("vus", "max")).map(count);
    let notes = vec!["a k6 summary has no figures by endpoint".to_owned()];
    Ok(Results { source: "k6 summary", total, lines: Vec::new(), users, notes })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts, not below zero")]
fn count(value: f64) -> u64 {
    value.max(0.0) as u64
}
