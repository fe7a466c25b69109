//! `queries.sequential-scans`: was a big table read whole, again and again, while the users were in?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::{Statement, TableReads};
use crate::domain::text::tame;

use super::{BIG, Check, Context, OFTEN, SHOWN, ramp, remedy};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SequentialScans {
    /// Rows from which a table is big.
    rows: u64,
    /// Scans for each request of the hold that are still nobody's page: a job, an autovacuum's ANALYZE.
    share: f64,
}

impl Default for SequentialScans {
    fn default() -> Self {
        Self { rows: BIG, share: 0.005 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    requests: u64,
    tables: Vec<TableReads>,
    /// The costliest statements of the hold, to name a suspect.
    statements: Vec<Statement>,
    missing: Vec<Missing>,
}

impl Check for SequentialScans {
    const ID: &'static str = "queries.sequential-scans";
    const TITLE: &'static str = "no big table is read whole for the pages";
    const ABOUT: &'static str = "Subtracts pg_stat_user_tables before the hold from after it: a table of ten thousand rows and more that was read \
        whole for one request in two hundred, or more often, lacks an index. Traps: small tables are rightly read whole, one nightly job reads a big one \
        once, counters since last year say nothing of today.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ALL-TABLES-VIEW",
        "https://docs.djangoproject.com/en/5.2/topics/db/optimization/",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        Ok(Facts {
            requests: ramp.measurement.requests,
            tables: ramp.far_side.tables.clone(),
            statements: ramp.far_side.statements.clone(),
            missing: ramp.far_side.missing.clone(),
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if facts.tables.is_empty() || facts.requests == 0 {
            let (what, provide): (Vec<_>, Vec<_>) =
                facts.missing.iter().map(|m| (m.what.as_str(), m.provide.as_str())).unzip();
            return CheckOutcome::Unknown(Missing::new(
                format!("how tables were read over the hold was not recorded. {}", what.join("; ")),
                format!("name a direct DSN in rampup.toml: [services] database_direct_env. {}", provide.join("; ")),
            ));
        }
        let often = |t: &&TableReads| {
            t.rows >= self.rows
                && t.scans >= OFTEN
                && whole(t) >= (OFTEN as f64).max(self.share * facts.requests as f64)
        };
        let findings: Vec<Finding> = facts.tables.iter().filter(often).map(|t| self.finding(t, facts)).collect();
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        // Where nothing is big, a missing index cannot show.
        let largest = facts.tables.iter().max_by_key(|t| t.rows).filter(|t| t.rows < self.rows);
        largest.map_or(CheckOutcome::Pass, |t| {
            CheckOutcome::weak(
                format!(
                    "the largest table that was read, {}, has {} rows: whether an index is missing does not show before {} rows",
                    t.table, t.rows, self.rows
                ),
                "ramp against a copy with as many rows as production, or as it will have in a year; see it yourself: SELECT \
                 relname, n_live_tup FROM pg_stat_user_tables ORDER BY 2 DESC",
            )
        })
    }
}

/// How many times over the table was read. A scan that a LIMIT cut short reads little and costs little, and each worker of a
/// parallel scan is counted as a scan by itself.
fn whole(t: &TableReads) -> f64 {
    (t.rows_read as f64 / t.rows.max(1) as f64).min(t.scans as f64)
}

impl SequentialScans {
    fn finding(&self, t: &TableReads, facts: &Facts) -> Finding {
        let reads = |s: &&Statement| remedy::table(&s.text).as_deref() == Some(t.name());
        let suspect = facts.statements.iter().find(reads);
        let named =
            suspect.map_or(String::new(), |s| format!("; the costliest statement on it: {}", tame(&s.text, SHOWN)));
        let todo = suspect.map_or_else(
            || {
                format!(
                    "find the statement by EXPLAIN, and add the index that its WHERE or ORDER BY on {} needs",
                    t.table
                )
            },
            |s| remedy::slow(&s.text),
        );
        Finding {
            seen: format!(
                "{} ({} rows) was read whole {:.0} times during {} requests, {} rows in all{named}",
                t.table,
                t.rows,
                whole(t),
                facts.requests,
                t.rows_read
            ),
            todo: format!(
                "{todo}; see it yourself: SELECT seq_scan, seq_tup_read FROM pg_stat_user_tables WHERE relname = '{}'",
                t.name()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rows: u64, scans: u64, rows_read: u64) -> Facts {
        let table = "shop_order".to_owned();
        let text = r#"SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."email" = $1"#.to_owned();
        Facts {
            requests: 4000,
            tables: vec![TableReads { table, rows, scans, rows_read, by_index: 9 }],
            statements: vec![Statement { queryid: 1, text, calls: 400, total_ms: 900.0, rows: 0 }],
            missing: vec![],
        }
    }

    #[test]
    fn scan_traps() {
        let check = SequentialScans::default();
        for (word, facts) in [
            ("pass", facts(60_000, 0, 0)),
            ("fail", facts(60_000, 400, 24_000_000)),
            // Small tables are read whole, and rightly; where all are small, nothing shows.
            (
                "pass",
                Facts {
                    tables: [facts(50, 90_000, 4_500_000).tables, facts(60_000, 0, 0).tables].concat(),
                    ..facts(1, 1, 1)
                },
            ),
            ("weak", facts(50, 90_000, 4_500_000)),
            ("weak", facts(9000, 4000, 36_000_000)),
            // One batch job beside the hold.
            ("pass", facts(60_000, 2, 120_000)),
            ("pass", facts(60_000, 12, 720_000)),
            // The same job beside a small hold, where it is one in a hundred.
            ("pass", Facts { requests: 900, ..facts(60_000, 9, 540_000) }),
            ("fail", Facts { requests: 900, ..facts(60_000, 15, 900_000) }),
            // Nine runs of a job by three workers each are 27 scans.
            ("pass", Facts { requests: 900, ..facts(60_000, 27, 540_000) }),
            // Statistics that lag behind a growing table.
            ("fail", facts(60_000, 400, 30_000_000)),
            // LIMIT without ORDER BY stops after some rows.
            ("pass", facts(60_000, 4000, 80_000)),
            ("unknown", Facts { tables: vec![], ..facts(1, 1, 1) }),
            ("unknown", Facts { requests: 0, ..facts(1, 1, 1) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
        let CheckOutcome::Fail(said) = check.judge(&facts(60_000, 400, 24_000_000)) else { panic!() };
        assert!(said[0].todo.contains("shop.Order") && said[0].todo.contains("email"), "{}", said[0].todo);
    }
}
