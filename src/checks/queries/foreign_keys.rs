//! `queries.foreign-keys-indexed`: does every foreign key of a large table have an index?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};

use super::{BIG, Check, Context, INDEXES, remedy};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ForeignKeysIndexed {
    /// Rows from which a table counts.
    rows: u64,
}

impl Default for ForeignKeysIndexed {
    fn default() -> Self {
        Self { rows: BIG }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    keys: u64,
    bare: Vec<Bare>,
}

/// A key without an index.
#[derive(Debug, Serialize, Deserialize)]
struct Bare {
    table: String,
    columns: Vec<String>,
    to: String,
    rows: u64,
}

impl Check for ForeignKeysIndexed {
    const ID: &'static str = "queries.foreign-keys-indexed";
    const TITLE: &'static str = "foreign keys of large tables have an index";
    const ABOUT: &'static str = "Looks in PostgreSQL's catalogue for foreign keys of tables with ten thousand rows and more that no valid index \
        begins with: each join and each delete of a parent then reads the whole table. Traps: db_index=False and tables made by hand, an \
        index under another name or with more columns (that one counts), one with a condition or an invalid one (that does not).";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://www.postgresql.org/docs/current/ddl-constraints.html#DDL-CONSTRAINTS-FK",
        "https://docs.djangoproject.com/en/5.2/ref/models/fields/#foreignkey",
        INDEXES,
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let keys = ctx.probes.database().await?.foreign_keys().await?;
        let all = keys.len() as u64;
        let bare = keys.into_iter().filter(|key| !key.indexed);
        let bare = bare.map(|key| Bare { table: key.table, columns: key.columns, to: key.to, rows: key.rows });
        Ok(Facts { keys: all, bare: bare.collect() })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let findings: Vec<Finding> = facts
            .bare
            .iter()
            .filter(|key| key.rows >= self.rows)
            .map(|key| Finding {
                seen: format!(
                    "{}.{} leads to {} and has no index, with about {} rows: each join and each delete of a {} row reads them all",
                    key.table, key.columns.join("+"), key.to, key.rows, key.to
                ),
                todo: format!(
                    "take db_index=False out, or {}; see it yourself: \\d {} in psql",
                    remedy::index_on(&key.table, &key.columns),
                    key.table
                ),
            })
            .collect();
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if facts.keys == 0 {
            return CheckOutcome::NotApplicable("no table of this database has a foreign key".to_owned());
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_traps() {
        let bare = |rows| Bare {
            table: "shop_orderitem".to_owned(),
            columns: vec!["product_id".to_owned()],
            to: "shop_product".to_owned(),
            rows,
        };
        let check = ForeignKeysIndexed::default();
        for (word, facts) in [
            ("pass", Facts { keys: 7, bare: vec![] }),
            // A small table is read whole anyway.
            ("pass", Facts { keys: 7, bare: vec![bare(300)] }),
            ("fail", Facts { keys: 7, bare: vec![bare(50_000)] }),
            ("n/a", Facts { keys: 0, bare: vec![] }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
        let CheckOutcome::Fail(said) = check.judge(&Facts { keys: 1, bare: vec![bare(50_000)] }) else { panic!() };
        assert!(said[0].todo.contains(r#"fields=["product"]"#), "{}", said[0].todo);
    }
}
