//! From Sentry's JSON to facts. Pure; knows no address and no token.

use serde_json::Value;

use crate::domain::text::tame;
use crate::probes::ProbeError;

use super::{ClientKey, Occurrence, Outcome, SYSTEM, Trace};

/// Longest title and word that is kept.
const TITLE: usize = 120;
const WORD: usize = 60;
/// Most rows that are read of any list.
const ROWS: usize = 500;

/// `trace-meta`
pub(super) fn meta(meta: &Value) -> Trace {
    // Older versions wrote snake_case.
    let field = |new: &str, old: &str| if meta[new].is_null() { meta[old].clone() } else { meta[new].clone() };
    let by_operation = field("spansCountMap", "span_count_map");
    Trace {
        spans: number(&field("spansCount", "span_count")),
        errors: number(&field("errorsCount", "errors")),
        by_operation: by_operation
            .as_object()
            .map(|map| map.iter().take(50).map(|(op, n)| (tame(op, WORD), number(n))).collect())
            .unwrap_or_default(),
        projects: Vec::new(),
    }
}

/// `trace`
pub(super) fn projects(items: &Value) -> Vec<String> {
    let mut slugs: Vec<String> =
        rows(items).iter().filter_map(|item| item["project_slug"].as_str().map(|s| tame(s, 100))).collect();
    slugs.sort();
    slugs.dedup();
    slugs
}

/// `events` of the dataset `errors`
pub(super) fn occurrences(table: &Value) -> Vec<Occurrence> {
    let row = |row: &Value| Occurrence { title: word(&row["title"], TITLE), project: word(&row["project"], 100) };
    rows(&table["data"]).iter().take(ROWS).map(row).collect()
}

/// `keys`
pub(super) fn keys(list: &Value) -> Result<Vec<ClientKey>, ProbeError> {
    let list = list.as_array().ok_or_else(|| ProbeError::odd(SYSTEM, "no list of keys"))?;
    let key = |key: &Value| {
        Some(ClientKey {
            label: word(&key["label"], WORD),
            public: word(&key["public"], 100),
            project: key["projectId"].as_u64().map_or_else(|| word(&key["projectId"], WORD), |id| id.to_string()),
            active: key["isActive"].as_bool()?,
            limit: key["rateLimit"].is_object().then(|| {
                let limit = &key["rateLimit"];
                (number(&limit["count"]), number(&limit["window"]))
            }),
        })
    };
    let read = list.iter().take(ROWS).map(|k| key(k).ok_or_else(|| ProbeError::odd(SYSTEM, "a key without its words")));
    read.collect()
}

/// `stats_v2` by category, outcome and reason
pub(super) fn outcomes(stats: &Value) -> Result<Vec<Outcome>, ProbeError> {
    let groups = stats["groups"].as_array().ok_or_else(|| ProbeError::odd(SYSTEM, "statistics without groups"))?;
    let outcome = |group: &Value| Outcome {
        category: word(&group["by"]["category"], WORD),
        outcome: word(&group["by"]["outcome"], WORD),
        reason: word(&group["by"]["reason"], WORD),
        quantity: number(&group["totals"]["sum(quantity)"]),
    };
    Ok(groups.iter().take(ROWS).map(outcome).filter(|outcome| outcome.quantity > 0).collect())
}

fn rows(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn word(value: &Value, most: usize) -> String {
    value.as_str().map(|text| tame(text, most)).unwrap_or_default()
}

/// Numbers may come as floats.
fn number(value: &Value) -> u64 {
    value.as_u64().or_else(|| value.as_f64().filter(|f| *f >= 0.0).map(|f| f as u64)).unwrap_or(0)
}
