//! `queries.plans`: how would PostgreSQL answer the statements of the named pages, and the costliest ones? Planned, never
//! run.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::text::tame;
use crate::probes::postgres::{Postgres, shown};
use crate::probes::{ProbeError, Probes};

use super::{BIG, Check, Context, SHOWN, remedy, shape};

/// Levels of a plan that are looked at.
const DEEP: usize = 40;
/// The oldest server that plans a statement without its values (plan_cache_mode).
const OLDEST: u64 = 120_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Plans {
    /// How many of the costliest statements are planned.
    top: usize,
    /// How many of the statements that the named pages run are planned, costliest first.
    of_pages: usize,
    /// Rows from which reading or sorting them all is worth a word.
    rows: u64,
}

impl Default for Plans {
    fn default() -> Self {
        Self { top: 5, of_pages: 30, rows: BIG }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Of the server.
    version: u64,
    plans: Vec<Plan>,
    /// The largest table and its rows.
    largest: Option<(String, u64)>,
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
    /// An index that holds only the rows of one value of a column this statement compares: planned for any value, it is not
    /// used, and for that one it is.
    #[serde(default)]
    partial: Option<String>,
    /// It ran while we looked. PostgreSQL remembers the others since its statistics began: the code may have changed since.
    ran: bool,
}

impl Check for Plans {
    const ID: &'static str = "queries.plans";
    const TITLE: &'static str = "the pages' and the costliest queries have a plan that an index carries";
    const ABOUT: &'static str = "Asks for each named page once, under a new address so that no cache answers, and lets PostgreSQL (12 and newer) \
        plan the SELECTs that ran, and the five costliest of its statistics, for any values and never run, under the app's own user, in a \
        transaction that cannot write: reading ten thousand rows to keep a few, and sorting as many under a LIMIT, want an index. Traps: \
        a statement that is remembered and gone, because the code was mended, is weak and no fault; EXPLAIN ANALYZE runs what it explains; a page that a cache holds costs all the same when it falls out of it; a small table is \
        rightly read whole; a report that needs all rows needs no index; a deep page by OFFSET is planned as the first one.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://www.postgresql.org/docs/current/sql-explain.html"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let database = ctx.probes.database().await?;
        let mut facts =
            Facts { version: database.version().await?, plans: Vec::new(), largest: None, refused: Vec::new() };
        if facts.version < OLDEST {
            return Ok(facts);
        }
        let pages = self.of_pages(ctx.probes, &database).await.unwrap_or_default();
        let mut ids: Vec<(i64, bool)> = pages.into_iter().map(|queryid| (queryid, true)).collect();
        for queryid in database.costliest(self.top.min(20)).await? {
            if ids.iter().all(|(known, _)| *known != queryid) {
                ids.push((queryid, false));
            }
        }
        let partial = database.partial_indexes().await?;
        let tables = database.tables().await?;
        facts.largest = tables.values().max_by_key(|t| t.rows).map(|t| (t.table.clone(), t.rows));
        // Only the app's own user may read its tables.
        let app = Postgres::connect(ctx.probes.app_dsn()?, "PostgreSQL").await?;
        for (queryid, ran) in ids {
            let Some(text) = database.text_of(queryid).await? else { continue };
            match app.generic_plan(&text).await {
                Ok(Some(plan)) => {
                    let rows =
                        |table: &str| tables.values().filter(|t| t.name() == table).map(|t| t.rows).max().unwrap_or(0);
                    let partial = shape::in_part(&shown(&text), &partial);
                    facts.plans.push(Plan { ran, partial, ..look(&plan, shown(&text), &rows) });
                }
                Ok(None) => {}
                Err(why) => facts.refused.push(format!("{}: {}", tame(&shown(&text), SHOWN), Missing::from(why).what)),
            }
        }
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if facts.version < OLDEST {
            return CheckOutcome::Unknown(Missing::new(
                format!("PostgreSQL {} cannot plan a statement without its values", facts.version / 10_000),
                "upgrade to PostgreSQL 12 or newer, or EXPLAIN the statements of queries.top-improved by hand with real values",
            ));
        }
        let found = |ran: bool| -> Vec<Finding> {
            let sure = |plan: &&Plan| (plan.ran && plan.partial.is_none()) == ran;
            facts.plans.iter().filter(sure).filter_map(|plan| self.finding(plan)).collect()
        };
        let findings = found(true);
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        let remembered = found(false);
        if !remembered.is_empty() {
            return CheckOutcome::Weak(remembered);
        }
        if facts.plans.is_empty() {
            let why = if facts.refused.is_empty() {
                "there was no SELECT among them".to_owned()
            } else {
                facts.refused.join("; ")
            };
            return CheckOutcome::Unknown(Missing::new(
                format!("none of the pages' and the costliest statements could be planned: {why}"),
                "let the user of [services] database_env be the app's own, and run a ramp first so that there are statements",
            ));
        }
        if !facts.refused.is_empty() {
            return CheckOutcome::weak(
                format!(
                    "{} of {} statements could not be planned: {}",
                    facts.refused.len(),
                    facts.refused.len() + facts.plans.len(),
                    facts.refused.join("; ")
                ),
                "let the user of [services] database_env be the app's own; see it yourself: EXPLAIN them with real values in psql",
            );
        }
        if !facts.plans.iter().any(|plan| plan.ran) {
            return CheckOutcome::weak(
                "no named page made the database run a SELECT, so only what PostgreSQL remembers as costliest was planned",
                "name pages that ask the database in rampup.toml: [site] public_pages and private_pages; let a cache's key hold the \
                 query string, or name the app's own address: [site] origin",
            );
        }
        match facts.largest.as_ref().filter(|(_, rows)| *rows < self.rows) {
            // Where nothing is big, a missing index cannot show.
            Some((table, rows)) => CheckOutcome::weak(
                format!(
                    "the largest table, {table}, has {rows} rows: whether an index is missing does not show before {}",
                    self.rows
                ),
                "verify against a copy with as many rows as production has, or will have in a year; see it yourself: SELECT \
                 relname, n_live_tup FROM pg_stat_user_tables ORDER BY 2 DESC",
            ),
            None => CheckOutcome::Pass,
        }
    }
}

impl Plans {
    /// What is wrong about a plan.
    fn finding(&self, plan: &Plan) -> Option<Finding> {
        let text = tame(&plan.text, SHOWN);
        let read = plan.reads.as_ref().filter(|(_, rows)| *rows >= self.rows);
        let sorted = plan.sorts.filter(|rows| *rows >= self.rows);
        let seen = match (read, sorted) {
            (Some((table, rows)), _) => format!("all {rows} rows of {table} would be read to keep a few: {text}"),
            (None, Some(rows)) => format!("{rows} rows would be sorted to show a few of them: {text}"),
            (None, None) => return None,
        };
        let gone = if let Some(index) = &plan.partial {
            format!(
                "planned for any value; {index} holds only some rows, by a column that it compares, and may carry it for the value \
                 your code asks for: then nothing is left to do. If not: "
            )
        } else if plan.ran {
            String::new()
        } else {
            "no named page ran it just now, so it may be a job's, or gone: when you have mended it, nothing is left to do. If not: "
                .to_owned()
        };
        let todo = remedy::slow(&plan.text);
        let see = "see it yourself: EXPLAIN it with real values in psql, or .explain() on the QuerySet";
        Some(Finding { seen, todo: format!("{gone}{todo}; {see}") })
    }

    /// PostgreSQL's ids of the SELECTs that ran while each named page was asked for once, costliest first. What others ran
    /// meanwhile is among them, and worth a plan as well.
    async fn of_pages(&self, probes: &Probes, database: &Postgres) -> Result<Vec<i64>, ProbeError> {
        let site = &probes.site;
        let session = if site.private_pages.is_empty() { None } else { probes.sign_in().await.ok() };
        let before = database.snapshot().await?;
        let private = site.private_pages.iter().filter(|_| session.is_some()).map(|path| (path, session.as_ref()));
        for (path, session) in site.public_pages.iter().map(|path| (path, None)).chain(private) {
            // A page that does not open is another check's business.
            let _ = probes.http.get_origin(path).nonce(&probes.nonce()).session(session).send().await;
        }
        let ran = before.until(&database.snapshot().await?)?;
        let selects = ran.iter().filter(|s| shape::is_select(&s.text)).map(|s| s.queryid);
        Ok(selects.take(self.of_pages.min(100)).collect())
    }
}

fn look(plan: &Value, text: String, rows_of: &dyn Fn(&str) -> u64) -> Plan {
    let mut seen = Plan { text, reads: None, sorts: None, partial: None, ran: true };
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
        let largest = Some(("shop_order".to_owned(), 60_000));
        Facts { version: 150_002, plans: vec![look(&plan, text, &rows)], largest, refused: vec![] }
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
        let gone = |mut facts: Facts| {
            facts.plans.iter_mut().for_each(|plan| plan.ran = false);
            facts
        };
        let in_part_of = |mut facts: Facts| {
            facts.plans.iter_mut().for_each(|plan| plan.partial = Some("order_open".to_owned()));
            facts
        };
        for (word, facts) in [
            ("pass", facts(index.clone())),
            ("fail", facts(scan("shop_order", 300))),
            ("fail", facts(sort(&whole))),
            // Small, or all of it is wanted.
            ("pass", facts(scan("shop_vendor", 1))),
            ("pass", facts(whole.clone())),
            ("pass", facts(scan("shop_order", 30_000))),
            ("pass", facts(sort(&index))),
            // Nothing is large: nothing shows.
            ("weak", Facts { largest: Some(("shop_order".to_owned(), 900)), ..facts(index.clone()) }),
            // Remembered, and perhaps mended since.
            ("weak", gone(facts(sort(&whole)))),
            // Nothing ran, nothing of the pages was planned.
            ("weak", gone(facts(index.clone()))),
            ("weak", in_part_of(facts(scan("shop_order", 300)))),
            ("pass", in_part_of(facts(index.clone()))),
            // Some of them only.
            ("weak", Facts { refused: vec!["permission denied".to_owned()], ..facts(index.clone()) }),
            ("fail", Facts { refused: vec!["permission denied".to_owned()], ..facts(scan("shop_order", 300)) }),
            ("unknown", Facts { version: 110_004, plans: vec![], largest: None, refused: vec![] }),
            ("unknown", Facts { plans: vec![], refused: vec!["permission denied".to_owned()], ..facts(index) }),
        ] {
            assert_eq!(Plans::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
