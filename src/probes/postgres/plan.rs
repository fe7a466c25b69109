//! How PostgreSQL would answer a normalised statement: planned, never run. EXPLAIN without ANALYZE, of a SELECT alone, in
//! a transaction that cannot write.

use serde_json::Value;

use crate::probes::ProbeError;

use super::text::uncommented;
use super::{MARK, Postgres};

/// Longest statement that is explained, bytes.
const LONGEST: usize = 20_000;
/// Rows of a page, where a statement's LIMIT was taken out of it.
const PAGE: u64 = 20;

impl Postgres {
    /// The plan of a normalised SELECT without its values; none for what is no single SELECT. Works on PostgreSQL 12 and
    /// newer: a statement is prepared, planned for any values, and forgotten again.
    ///
    /// # Errors
    /// The server cannot plan it, or we may not read its tables; as [`Postgres::rows`] else.
    pub async fn generic_plan(&self, sql: &str) -> Result<Option<Value>, ProbeError> {
        let sql = uncommented(sql);
        let select = sql.get(..7).is_some_and(|w| w.eq_ignore_ascii_case("select "));
        if !select || sql.contains(';') || sql.len() > LONGEST {
            return Ok(None);
        }
        let sql = first_page(&sql);
        // One transaction, so that a pooler leaves us the same server from the first word to the last.
        self.rows(&format!("begin {MARK} read only")).await?;
        let planned = self.planned(&sql).await;
        // Also after an error: the connection is given back as it was.
        self.rows(&format!("rollback {MARK}")).await?;
        let text = planned?;
        let plan = serde_json::from_str::<Value>(&text).map_err(|e| ProbeError::odd(self.system, e))?;
        Ok(plan.get(0).and_then(|p| p.get("Plan")).cloned())
    }

    async fn planned(&self, sql: &str) -> Result<String, ProbeError> {
        self.rows(&format!("set {MARK} local statement_timeout = '2s'")).await?;
        self.rows(&format!("set {MARK} local plan_cache_mode = force_generic_plan")).await?;
        self.rows(&format!("prepare rampup_plan as {MARK} {sql}")).await?;
        self.rows(&format!("savepoint {MARK} rampup_plan")).await?;
        let nulls = vec!["null"; parameters(sql)].join(", ");
        let values = if nulls.is_empty() { nulls } else { format!("({nulls})") };
        let asked = self.rows(&format!("explain {MARK} (format json) execute rampup_plan{values}")).await;
        // What is prepared outlives a rollback.
        self.rows(&format!("rollback {MARK} to savepoint rampup_plan")).await?;
        self.rows(&format!("deallocate {MARK} rampup_plan")).await?;
        Ok(asked?.iter().filter_map(|row| row.try_get(0).ok().flatten()).collect())
    }
}

/// The statement as its first page would be asked for. Without a number PostgreSQL expects a tenth of all rows behind
/// LIMIT, and plans for those.
fn first_page(sql: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    let parameter = |word: &str| word.strip_prefix('$').is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()));
    let upper: Vec<String> = words.iter().rev().take(4).map(|word| word.to_ascii_uppercase()).collect();
    let tail: Vec<&str> = upper.iter().map(String::as_str).collect();
    // Backwards: it must be the last thing said, so that no parameter is left without a use.
    let (dropped, put) = match tail.as_slice() {
        [m, "OFFSET", n, "LIMIT"] if parameter(m) && parameter(n) => (4, format!("LIMIT {PAGE} OFFSET 0")),
        [n, "LIMIT", ..] if parameter(n) => (2, format!("LIMIT {PAGE}")),
        _ => return sql.to_owned(),
    };
    format!("{} {put}", words[..words.len() - dropped].join(" "))
}

/// The highest `$n`.
fn parameters(sql: &str) -> usize {
    let number = |rest: &str| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    };
    sql.split('$').skip(1).filter_map(number).max().unwrap_or(0).min(2000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_planned_as_a_page() {
        for (sql, planned, values) in [
            ("SELECT a FROM b WHERE c = $1 ORDER BY d LIMIT $2", "SELECT a FROM b WHERE c = $1 ORDER BY d LIMIT 20", 1),
            ("select a from b limit $1 offset $2", "select a from b LIMIT 20 OFFSET 0", 0),
            ("SELECT a FROM b WHERE c = $1", "SELECT a FROM b WHERE c = $1", 1),
            // Not the last thing said: what comes after it keeps its number.
            (
                "SELECT a FROM (SELECT a FROM b LIMIT $1) x WHERE a > $2",
                "SELECT a FROM (SELECT a FROM b LIMIT $1) x WHERE a > $2",
                2,
            ),
        ] {
            assert_eq!(first_page(sql), planned);
            assert_eq!(parameters(&first_page(sql)), values, "{sql}");
        }
    }
}
