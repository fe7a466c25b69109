//! PostgreSQL's own word on tables, keys and indexes. Reads catalogues and statistics; runs none of the app's statements.

use std::collections::BTreeMap;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use crate::domain::measurement::TableReads;
use crate::domain::text::tame;
use crate::probes::ProbeError;
use crate::probes::error::within;

use super::{LIMIT, MARK, OURS_DB, Postgres, number};

/// Rows of a catalogue that are kept.
const MOST: usize = 200;

/// May the database's statements be counted?
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// `CREATE EXTENSION` was done in this database.
    pub created: bool,
    /// The schema that holds its view, quoted where it must be.
    pub schema: String,
    /// The statements it counts: the library is loaded. Otherwise why it said nothing; none when it was not asked.
    pub loaded: Option<Result<u64, Refusal>>,
    /// Statements whose text or id we may not see.
    pub hidden: u64,
    /// Our role, to be named in a GRANT.
    pub role: String,
}

/// Why the server gave no answer from its statistics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Its own words, tamed.
    pub why: String,
    /// We lack a right (SQLSTATE 42501). Its words are in the server's language.
    pub denied: bool,
}

/// An index that is there and not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexState {
    /// Its name.
    pub name: String,
    /// Its table.
    pub table: String,
    /// `indisvalid`.
    pub valid: bool,
    /// `indisready`.
    pub ready: bool,
    /// It is being built right now.
    pub building: bool,
    /// Times it was used since the statistics began.
    pub scans: u64,
    /// It holds keys unique.
    pub unique: bool,
    /// Bytes.
    pub bytes: u64,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The table that holds it.
    pub table: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Where it leads.
    pub to: String,
    /// Rows of `table`, roughly.
    pub rows: u64,
    /// A whole, valid index begins with its columns.
    pub indexed: bool,
}

impl Postgres {
    /// Whether statements may be counted. Never an error because they may not.
    ///
    /// # Errors
    /// No answer; as [`Postgres::rows`].
    pub async fn readiness(&self) -> Result<Readiness, ProbeError> {
        let role = self.one(&format!("select {MARK} current_user")).await?.unwrap_or_default();
        let mut found = Readiness { role, ..Readiness::default() };
        let view = match self.statements_view().await {
            Ok(view) => view,
            Err(ProbeError::NotGiven { .. }) => return Ok(found),
            Err(other) => return Err(other),
        };
        found.created = true;
        found.schema = view.rsplit_once('.').map_or_else(String::new, |(schema, _)| schema.to_owned());
        let (counted, hidden) = match self.counted(&view).await? {
            Ok((counted, hidden)) => (Ok(counted), hidden),
            Err(refusal) => (Err(refusal), 0),
        };
        (found.loaded, found.hidden) = (Some(counted), hidden);
        Ok(found)
    }

    /// Statements in the view, and those of them that are hidden from us; or the server's refusal.
    async fn counted(&self, view: &str) -> Result<Result<(u64, u64), Refusal>, ProbeError> {
        let sql = format!(
            "select {MARK} count(*) as rows, count(*) filter (where s.queryid is null \
             or s.query = '<insufficient privilege>') as hidden from {view} s where {OURS_DB}"
        );
        let asked = async {
            let messages = match self.client.simple_query(&sql).await {
                Ok(messages) => messages,
                Err(error) => {
                    return match error.as_db_error() {
                        Some(db) => {
                            let denied = *db.code() == SqlState::INSUFFICIENT_PRIVILEGE;
                            Ok(Err(Refusal { why: tame(db.message(), 200), denied }))
                        }
                        None => Err(ProbeError::unreachable(self.system, &error)),
                    };
                }
            };
            let row = messages.iter().find_map(|m| if let SimpleQueryMessage::Row(row) = m { Some(row) } else { None });
            let count = |name| row.and_then(|row| number(row, name)).unwrap_or(0);
            Ok(Ok((count("rows"), count("hidden"))))
        };
        within(self.system, LIMIT, asked).await
    }

    /// Every index of the app's own tables.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn indexes(&self) -> Result<Vec<IndexState>, ProbeError> {
        let rows = self
            .rows(&format!(
                "select {MARK} i.relname as name, t.relname as tab, x.indisvalid::text as valid, x.indisready::text as ready, \
                 coalesce(s.idx_scan, 0) as scans, x.indisunique::text as uniq, pg_relation_size(i.oid) as bytes, \
                 exists (select from pg_stat_progress_create_index p where p.index_relid = i.oid)::text as building \
                 from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid \
                 join pg_namespace n on n.oid = t.relnamespace \
                 left join pg_stat_user_indexes s on s.indexrelid = x.indexrelid \
                 where n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast') \
                 order by x.indisvalid and x.indisready, bytes desc limit {MOST}"
            ))
            .await?;
        let text = |row: &_, name| word(row, name);
        Ok(rows
            .iter()
            .map(|row| IndexState {
                name: text(row, "name"),
                table: text(row, "tab"),
                valid: text(row, "valid") == "true",
                ready: text(row, "ready") == "true",
                building: text(row, "building") == "true",
                scans: number(row, "scans").unwrap_or(0),
                unique: text(row, "uniq") == "true",
                bytes: number(row, "bytes").unwrap_or(0),
            })
            .collect())
    }

    /// Indexes that hold only some rows: table, name and condition, which may hold a value. It is to be looked at, not kept.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn partial_indexes(&self) -> Result<Vec<(String, String, String)>, ProbeError> {
        let rows = self
            .rows(&format!(
                "select {MARK} t.relname as tab, i.relname as name, pg_get_expr(x.indpred, x.indrelid) as condition \
                 from pg_index x join pg_class i on i.oid = x.indexrelid join pg_class t on t.oid = x.indrelid \
                 where x.indpred is not null and x.indisvalid order by t.reltuples desc limit {MOST}"
            ))
            .await?;
        Ok(rows.iter().map(|row| (word(row, "tab"), word(row, "name"), word(row, "condition"))).collect())
    }

    /// Every foreign key of the app's own tables, the largest tables first.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn foreign_keys(&self) -> Result<Vec<ForeignKey>, ProbeError> {
        // An index helps when the key's columns are its first ones, in whatever order, and it is whole: no condition.
        let rows = self
            .rows(&format!(
                "select {MARK} t.relname as tab, f.relname as target, \
                 greatest(t.reltuples, coalesce(s.n_live_tup, 0), 0)::bigint as rows, \
                 (select string_agg(a.attname, ',' order by k.at) from unnest(c.conkey) with ordinality k(num, at) \
                 join pg_attribute a on a.attrelid = c.conrelid and a.attnum = k.num) as columns, \
                 exists (select from pg_index x where x.indrelid = c.conrelid and x.indisvalid and x.indpred is null \
                 and (string_to_array(x.indkey::text, ' ')::int2[])[1:cardinality(c.conkey)] @> c.conkey)::text as indexed \
                 from pg_constraint c join pg_class t on t.oid = c.conrelid join pg_class f on f.oid = c.confrelid \
                 join pg_namespace n on n.oid = t.relnamespace \
                 left join pg_stat_user_tables s on s.relid = t.oid \
                 where c.contype = 'f' and n.nspname not in ('pg_catalog', 'information_schema') \
                 order by 3 desc limit {MOST}"
            ))
            .await?;
        Ok(rows
            .iter()
            .map(|row| ForeignKey {
                table: word(row, "tab"),
                columns: word(row, "columns").split(',').map(str::to_owned).collect(),
                to: word(row, "target"),
                rows: number(row, "rows").unwrap_or(0),
                indexed: word(row, "indexed") == "true",
            })
            .collect())
    }

    /// How the app's tables were read since the statistics began. One that the search path does not find (another tenant's)
    /// has its schema before its name.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn tables(&self) -> Result<BTreeMap<String, TableReads>, ProbeError> {
        let rows = self
            .rows(&format!(
                "select {MARK} case when pg_table_is_visible(s.relid) then s.relname \
                 else s.schemaname || '.' || s.relname end as tab, greatest(c.reltuples, s.n_live_tup, 0)::bigint as rows, s.seq_scan as scans, \
                 s.seq_tup_read as read, coalesce(s.idx_scan, 0) as by_index \
                 from pg_stat_user_tables s join pg_class c on c.oid = s.relid order by 2 desc limit {MOST}"
            ))
            .await?;
        Ok(rows
            .iter()
            .map(|row| {
                let count = |name| number(row, name).unwrap_or(0);
                let table = word(row, "tab");
                let reads = TableReads {
                    table: table.clone(),
                    rows: count("rows"),
                    scans: count("scans"),
                    rows_read: count("read"),
                    by_index: count("by_index"),
                };
                (table, reads)
            })
            .collect())
    }

    /// The server's version: 160004 is 16.4.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn version(&self) -> Result<u64, ProbeError> {
        let version = self.one(&format!("select {MARK} current_setting('server_version_num')")).await?;
        version.and_then(|v| v.parse().ok()).ok_or_else(|| ProbeError::odd(self.system, "no server_version_num"))
    }

    /// PostgreSQL's ids of the SELECTs that took most time since the statistics began.
    ///
    /// # Errors
    /// As [`Postgres::snapshot`].
    pub async fn costliest(&self, most: usize) -> Result<Vec<i64>, ProbeError> {
        let view = self.statements_view().await?;
        let rows = self
            .rows(&format!(
                "select {MARK} s.queryid from {view} s where {OURS_DB} and s.query ~* '^(\\s|/[*].*?[*]/)*select\\s' \
                 and position('{MARK}' in s.query) = 0 and s.queryid is not null group by s.queryid \
                 order by sum(coalesce(to_jsonb(s) ->> 'total_exec_time', to_jsonb(s) ->> 'total_time')::float8) desc limit {most}"
            ))
            .await?;
        Ok(rows.iter().filter_map(|row| row.try_get(0).ok().flatten()?.parse().ok()).collect())
    }

    /// The whole normalised text of one statement.
    ///
    /// # Errors
    /// As [`Postgres::snapshot`].
    pub async fn text_of(&self, queryid: i64) -> Result<Option<String>, ProbeError> {
        let view = self.statements_view().await?;
        self.one(&format!("select {MARK} s.query from {view} s where s.queryid = {queryid} and {OURS_DB} limit 1"))
            .await
    }
}

fn word(row: &tokio_postgres::SimpleQueryRow, name: &str) -> String {
    tame(row.try_get(name).ok().flatten().unwrap_or_default(), 100)
}

/// What was read between two looks. A table whose counters fell was reset in between, and is left out.
#[must_use]
pub fn reads(before: &BTreeMap<String, TableReads>, after: &BTreeMap<String, TableReads>) -> Vec<TableReads> {
    let less = |(name, now): (&String, &TableReads)| {
        let (scans, rows_read, by_index) = before.get(name).map_or((0, 0, 0), |b| (b.scans, b.rows_read, b.by_index));
        Some(TableReads {
            scans: now.scans.checked_sub(scans)?,
            rows_read: now.rows_read.checked_sub(rows_read)?,
            by_index: now.by_index.checked_sub(by_index)?,
            ..now.clone()
        })
    };
    let mut reads: Vec<TableReads> = after.iter().filter_map(less).collect();
    reads.sort_by_key(|t| std::cmp::Reverse(t.rows_read));
    reads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_differences_and_a_reset_is_left_out() {
        let table = |table: &str, scans, rows_read| {
            let reads = TableReads { table: table.to_owned(), rows: 9, scans, rows_read, by_index: 0 };
            (table.to_owned(), reads)
        };
        let before = BTreeMap::from([table("a", 5, 50), table("b", 9, 90)]);
        let after = BTreeMap::from([table("a", 7, 70), table("b", 1, 10), table("new", 2, 4)]);
        let left: Vec<_> = reads(&before, &after).into_iter().map(|t| (t.table, t.scans, t.rows_read)).collect();
        assert_eq!(left, [("a".to_owned(), 2, 20), ("new".to_owned(), 2, 4)]);
    }
}
