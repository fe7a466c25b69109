//! `queries.indexes-valid`: is there an index that exists and is not used, because its build broke off?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};

use super::{Check, Context, INDEXES};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct IndexesValid {}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// All indexes of the app's tables.
    indexes: u64,
    broken: Vec<Broken>,
    /// Large ones that nobody used since the statistics began: worth a look, no fault.
    unused: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Broken {
    name: String,
    table: String,
    building: bool,
}

impl Check for IndexesValid {
    const ID: &'static str = "queries.indexes-valid";
    const TITLE: &'static str = "every index that exists is valid";
    const ABOUT: &'static str = "Reads indisvalid and indisready of every index: a CREATE INDEX CONCURRENTLY that broke off leaves an index that \
        costs at each write and that no query uses. Traps: migrations count as applied, \\d shows it in the middle of good ones; one \
        that is being built right now is not broken. Unused indexes are noted in the facts, never a failure.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] =
        &["https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY", INDEXES];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let indexes = ctx.probes.database().await?.indexes().await?;
        let unused = indexes.iter().filter(|i| i.valid && !i.unique && i.scans == 0 && i.bytes > 1 << 20);
        Ok(Facts {
            indexes: indexes.len() as u64,
            unused: unused.map(|i| i.name.clone()).take(20).collect(),
            broken: indexes
                .into_iter()
                .filter(|i| !i.valid || !i.ready)
                .map(|i| Broken { name: i.name, table: i.table, building: i.building })
                .collect(),
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let findings: Vec<Finding> = facts
            .broken
            .iter()
            .filter(|index| !index.building)
            .map(|Broken { name, table, .. }| Finding {
                seen: format!("the index {name} on {table} exists and is invalid: each write pays for it and no query uses it"),
                todo: format!(
                    "by the direct address: REINDEX INDEX CONCURRENTLY {name} (or DROP INDEX CONCURRENTLY and run the migration \
                     again); see it yourself: SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid"
                ),
            })
            .collect();
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if let Some(index) = facts.broken.first() {
            return CheckOutcome::Unknown(Missing::new(
                format!("the index {} is being built right now", index.name),
                "verify again when it is done (pg_stat_progress_create_index shows how far it is)",
            ));
        }
        if facts.indexes == 0 {
            return CheckOutcome::Unknown(Missing::new(
                "there is no index at all in this database",
                "check that [services] database_direct_env leads to the app's own database",
            ));
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_traps() {
        let broken = |building| Broken { name: "order_email".to_owned(), table: "shop_order".to_owned(), building };
        let facts = |indexes, broken| Facts { indexes, broken, unused: vec!["old".to_owned()] };
        for (word, facts) in [
            // Unused is no fault.
            ("pass", facts(9, vec![])),
            ("fail", facts(9, vec![broken(false)])),
            ("fail", facts(9, vec![broken(true), broken(false)])),
            ("unknown", facts(9, vec![broken(true)])),
            ("unknown", facts(0, vec![])),
        ] {
            assert_eq!(IndexesValid {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
