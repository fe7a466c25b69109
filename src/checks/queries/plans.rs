//! `queries.plans`: how would PostgreSQL answer the costliest statements? Planned, never run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::text::tame;
use crate::probes::postgres::Postgres;

use super::{BIG, Check, Context, SHOWN, remedy};

/// Levels of a plan that are looked at.
const DEEP: usize = 40;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Plans {
    /// How many of the costliest statements are planned.
    top: usize,
    /// Rows from which reading or sorting them all is worth a word.
    rows: u64,
}

impl Default for Plans {
    fn default() -> Self {
        Self { top: 5, rows: BIG }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Of the server.
    version: u64,
    plans: Vec<Plan>,
    /// Statements that could not be planned, with the server's words.
    refused: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    text: String,
    /// The largest table that is read whole although a filter keeps few of its rows, and its rows.
    reads: Option<(String, u64)>,
    /// Rows that are sorted to show a few of them.
    sorts: Option<u64>,
}

impl Check for Plans {
    const ID: &'static str = "queries.plans";
    const TITLE: &'static str = "the costliest queries have a plan that an index carries";
    const ABOUT: &'static str = "Lets PostgreSQL 16 and newer plan the five costliest SELECTs of the statistics with EXPLAIN (GENERIC_PLAN), under the \
        app's own user, in a transaction that cannot write: reading ten thousand rows to keep a few, and sorting as many under a LIMIT, want an index. \
        Traps: EXPLAIN ANALYZE runs what it explains; a small table is rightly read whole; a report that needs all rows needs no index.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://www.postgresql.org/docs/current/sql-explain.html"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let database = ctx.probes.database().await?;
        let mut facts = Facts { version: database.version().await?, plans: Vec::new(), refused: Vec::new() };
        if facts.version < 160_000 {
            return Ok(facts);
        }
        let top = database.costliest(self.top.min(20)).await?;
        let tables = database.tables().await?;
        // Only the app's own user may read its tables.
        let app = Postgres::connect(ctx.probes.app_dsn()?, "PostgreSQL").await?;
        for queryid in top {
            let Some(text) = database.text_of(queryid).await? else { continue };
            match app.generic_plan(&text).await {
                Ok(Some(plan)) => {
                    let rows = |table: &str| tables.get(table).map_or(0, |t| t.rows);
                    facts.plans.push(look(&plan, tame(&text, 400), &rows));
                }
                Ok(None) => {}
                Err(why) => facts.refused.push(format!("{}: {}", tame(&text, SHOWN), Missing::from(why).what)),
            }
        }
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if facts.version < 160_000 {
            return CheckOutcome::Unknown(Missing::new(
                format!("PostgreSQL {} cannot plan a statement without its values", facts.version / 10_000),
                "upgrade to PostgreSQL 16 or newer, or EXPLAIN the statements of queries.top-improved by hand with real values",
            ));
        }
        let mut findings = Vec::new();
        for plan in &facts.plans {
            if let Some((table, rows)) = plan.reads.as_ref().filter(|(_, rows)| *rows >= self.rows) {
                findings.push(Finding {
                    seen: format!("all {rows} rows of {table} are read to keep a few: {}", tame(&plan.text, SHOWN)),
                    todo: remedy::slow(&plan.text),
                });
            } else if let Some(rows) = plan.sorts.filter(|rows| *rows >= self.rows) {
                findings.push(Finding {
                    seen: format!("{rows} rows are sorted to show a few of them: {}", tame(&plan.text, SHOWN)),
                    todo: remedy::slow(&plan.text),
                });
            }
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if facts.plans.is_empty() {
            let why = if facts.refused.is_empty() {
                "there was no SELECT among them".to_owned()
            } else {
                facts.refused.join("; ")
            };
            return CheckOutcome::Unknown(Missing::new(
                format!("none of the costliest statements could be planned: {why}"),
                "let the user of [services] database_env be the app's own, and run a ramp first so that there are statements",
            ));
        }
        CheckOutcome::Pass
    }
}

fn look(plan: &Value, text: String, rows_of: &dyn Fn(&str) -> u64) -> Plan {
    let mut seen = Plan { text, reads: None, sorts: None };
    walk(plan, false, 0, rows_of, &mut seen);
    seen
}

fn walk(node: &Value, limited: bool, depth: usize, rows_of: &dyn Fn(&str) -> u64, seen: &mut Plan) {
    if depth > DEEP {
        return;
    }
    let kind = node.get("Node Type").and_then(Value::as_str).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "estimates of rows")]
    let rows = |node: &Value| node.get("Plan Rows").and_then(Value::as_f64).unwrap_or(0.0) as u64;
    let children = || node.get("Plans").and_then(Value::as_array).into_iter().flatten();
    if kind == "Seq Scan" && node.get("Filter").is_some() {
        let table = node.get("Relation Name").and_then(Value::as_str).unwrap_or_default();
        let all = rows_of(table);
        if rows(node) * 20 <= all && seen.reads.as_ref().is_none_or(|(_, most)| all > *most) {
            seen.reads = Some((table.to_owned(), all));
        }
    }
    if limited && kind == "Sort" {
        let sorted = children().map(rows).max().unwrap_or(0);
        seen.sorts = seen.sorts.max(Some(sorted));
    }
    // A sort anywhere below LIMIT with nothing but a join in between; a GROUP BY needs all its rows.
    let limited =
        kind == "Limit" || (limited && matches!(kind, "Nested Loop" | "Gather Merge" | "Result" | "Hash Join"));
    children().for_each(|child| walk(child, limited, depth + 1, rows_of, seen));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(plan: Value) -> Facts {
        let rows = |table: &str| if table == "shop_order" { 60_000 } else { 50 };
        let text = r#"SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."email" = $1"#.to_owned();
        Facts { version: 160_002, plans: vec![look(&plan, text, &rows)], refused: vec![] }
    }

    #[test]
    fn plan_traps() {
        let scan = |table: &str, rows: u64| json!({ "Node Type": "Seq Scan", "Relation Name": table, "Plan Rows": rows, "Filter": "x" });
        let whole = json!({ "Node Type": "Seq Scan", "Relation Name": "shop_order", "Plan Rows": 60_000 });
        let sort = |below: &Value| {
            json!({ "Node Type": "Limit", "Plan Rows": 10, "Plans": [
            { "Node Type": "Sort", "Plan Rows": 60_000, "Plans": [below] }] })
        };
        let index = json!({ "Node Type": "Index Scan", "Relation Name": "shop_order", "Plan Rows": 10 });
        for (word, facts) in [
            ("pass", facts(index.clone())),
            ("fail", facts(scan("shop_order", 300))),
            ("fail", facts(sort(&whole))),
            // Small, or all of it is wanted.
            ("pass", facts(scan("shop_vendor", 1))),
            ("pass", facts(whole.clone())),
            ("pass", facts(scan("shop_order", 30_000))),
            ("pass", facts(sort(&index))),
            ("unknown", Facts { version: 150_004, plans: vec![], refused: vec![] }),
            ("unknown", Facts { plans: vec![], refused: vec!["permission denied".to_owned()], ..facts(index) }),
        ] {
            assert_eq!(Plans::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
