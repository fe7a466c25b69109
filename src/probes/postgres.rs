//! PostgreSQL: how busy it is, who its clients are, and what its statements cost.
//!
//! Speaks the simple query protocol alone, because a pooler may stand between. Our own statements carry a mark and are
//! left out of every count. Never resets statistics: two snapshots are subtracted.

pub(super) mod address;
mod plan;
mod schema;
mod text;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use crate::domain::measurement::Statement;
use crate::domain::site::Key;
use crate::domain::statement::is_upkeep;
use crate::domain::text::tame;

use super::error::within;
use super::{ProbeError, tls};

use address::Address;

pub use schema::{ForeignKey, IndexState, Readiness, Refusal, reads};

/// Longest wait for a connection or an answer.
pub const LIMIT: Duration = Duration::from_secs(5);
/// The driver's own words for a server that has no TLS.
const NO_TLS: &str = "server does not support TLS";
/// Every statement of ours holds this comment; `pg_stat_statements` keeps it.
pub(super) const MARK: &str = "/* rampup */";
/// Statements of this database, in the view under the name `s`.
const OURS_DB: &str = "s.dbid = (select oid from pg_database where datname = current_database())";
/// Characters kept of a statement's text.
const TEXT: usize = 1200;
/// Characters read of it: a wide table's columns alone fill more than is kept.
const READ: usize = 6000;

/// A connection of our own.
#[derive(Debug)]
pub struct Postgres {
    client: Client,
    system: &'static str,
    variable: String,
    connection: tokio::task::JoinHandle<()>,
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// Connections of other users' clients, by what they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Backends that run a statement.
    pub active: u64,
    /// Backends in all.
    pub backends: u64,
    /// Running backends that wait for a lock, a page or a disk.
    pub waiting: u64,
    /// Of these, waiting for a lock that another transaction holds.
    pub locks: u64,
    /// Of these, waiting for the disk.
    pub io: u64,
    /// `max_connections`.
    pub most: Option<u64>,
    /// Client backends of all databases and roles, our own too: what counts against `max_connections`.
    pub everyone: u64,
    /// Backends whose state we may not see.
    pub hidden: u64,
    /// Sessions opened in this database since its statistics began; none before PostgreSQL 14.
    pub sessions: Option<u64>,
}

/// What the server can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// `max_connections`.
    pub connections: u64,
    /// Of these, kept for superusers and for members of `pg_use_reserved_connections` (PostgreSQL 16).
    pub reserved: u64,
}

/// `pg_stat_statements` at one instant.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    rows: BTreeMap<i64, Statement>,
    /// Changes when the statistics were reset or overflowed: then nothing may be subtracted.
    era: (String, String),
    /// Statements whose text we may not see.
    pub hidden: u64,
}

impl Postgres {
    /// Connects.
    ///
    /// # Errors
    /// A DSN that is none, no connection, no permission, a certificate that is not trusted.
    pub async fn connect(key: &Key, system: &'static str) -> Result<Self, ProbeError> {
        let address = Address::read(key)?;
        let tls = address.tls()?;
        let connecting = async {
            let (client, connection) = address.connect(tls).await.map_err(|e| refusal(&e, key, system))?;
            let connection = tokio::spawn(async move {
                // A connection that breaks is seen by the next question asked through it.
                let _ = connection.await;
            });
            Ok(Self { client, system, variable: key.variable.clone(), connection })
        };
        within(system, LIMIT, connecting).await
    }

    /// Asks one statement, simple protocol; all rows, as text.
    ///
    /// # Errors
    /// No answer in time, a refusal, a broken connection.
    pub async fn rows(&self, sql: &str) -> Result<Vec<SimpleQueryRow>, ProbeError> {
        let asked = async {
            let messages = self.client.simple_query(sql).await.map_err(|e| self.refused(&e))?;
            Ok(messages
                .into_iter()
                .filter_map(|m| if let SimpleQueryMessage::Row(row) = m { Some(row) } else { None })
                .collect())
        };
        within(self.system, LIMIT, asked).await
    }

    fn refused(&self, error: &tokio_postgres::Error) -> ProbeError {
        match error.as_db_error() {
            Some(db) => ProbeError::Refused {
                system: self.system,
                why: tame(db.message(), 200),
                provide: format!("give the user of {} the right to ask this", self.variable),
            },
            None => ProbeError::unreachable(self.system, error),
        }
    }

    /// The driver's own handle.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The server process that answers right now.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn pid(&self) -> Result<u32, ProbeError> {
        let pid = self.one(&format!("select {MARK} pg_backend_pid()")).await?;
        pid.and_then(|pid| pid.parse().ok()).ok_or_else(|| ProbeError::odd(self.system, "no pg_backend_pid()"))
    }

    /// Sessions opened in this database since its statistics began.
    ///
    /// # Errors
    /// PostgreSQL before 14 does not count them; as [`Postgres::rows`] else.
    pub async fn sessions(&self) -> Result<u64, ProbeError> {
        self.activity().await?.sessions.ok_or_else(|| ProbeError::NotGiven {
            what: "this PostgreSQL does not count its sessions (pg_stat_database.sessions came with version 14)"
                .to_owned(),
            provide: "upgrade PostgreSQL to 14 or newer".to_owned(),
        })
    }

    /// Server processes that serve clients of this database under one of these roles; ours and consoles that say who
    /// they are left out.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn clients_of(&self, roles: &[String]) -> Result<Vec<u32>, ProbeError> {
        let rows = self
            .rows(&format!(
                "select {MARK} pid, usename from pg_stat_activity \
                 where datname = current_database() and pid <> pg_backend_pid() \
                 and coalesce(backend_type, 'client backend') = 'client backend' \
                 and coalesce(application_name, '') !~* '^(rampup|psql|pg_dump|pg_restore|pgadmin|dbeaver|datagrip)'"
            ))
            .await?;
        let of_them = |row: &&SimpleQueryRow| {
            row.try_get("usename").ok().flatten().is_some_and(|name| roles.iter().any(|role| role == name))
        };
        Ok(rows.iter().filter(of_them).filter_map(|row| number(row, "pid")?.try_into().ok()).collect())
    }

    /// Server-side cursors that Django has declared since the statistics began.
    ///
    /// # Errors
    /// As [`Postgres::snapshot`].
    pub async fn cursors(&self) -> Result<u64, ProbeError> {
        let view = self.statements_view().await?;
        let sum = self
            .one(&format!(
                "select {MARK} coalesce(sum(s.calls), 0)::bigint from {view} s \
                 where {OURS} and s.query ilike 'declare%_django_curs_%'",
                OURS = ours("s")
            ))
            .await?;
        sum.and_then(|s| s.parse().ok()).ok_or_else(|| ProbeError::odd(self.system, "no sum of cursors"))
    }

    pub(super) async fn one(&self, sql: &str) -> Result<Option<String>, ProbeError> {
        Ok(self.rows(sql).await?.first().and_then(|row| row.try_get(0).ok().flatten()).map(str::to_owned))
    }

    /// The clients of this database besides us.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn activity(&self) -> Result<Activity, ProbeError> {
        // For a user without pg_read_all_stats the rows of others have neither state nor backend type.
        let rows = self
            .rows(&format!(
                "select {MARK} count(*) filter (where state = 'active') as active, count(*) as backends, \
                 count(*) filter (where state = 'active' and wait_event_type in ('Lock', 'LWLock', 'IO', 'BufferPin')) as waiting, \
                 count(*) filter (where state = 'active' and wait_event_type = 'Lock') as locks, \
                 count(*) filter (where state = 'active' and wait_event_type = 'IO') as io, \
                 current_setting('max_connections') as most, \
                 count(*) filter (where query = '<insufficient privilege>') as hidden, \
                 (select count(*) from pg_stat_activity where datname is not null \
                 and coalesce(backend_type, 'client backend') = 'client backend') as everyone, \
                 (select to_jsonb(d) ->> 'sessions' from pg_stat_database d where d.datname = current_database()) as sessions \
                 from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
                 and coalesce(backend_type, 'client backend') = 'client backend' \
                 and coalesce(application_name, '') <> 'rampup'"
            ))
            .await?;
        let row = rows.first().ok_or_else(|| ProbeError::odd(self.system, "no row of pg_stat_activity"))?;
        Ok(Activity {
            active: number(row, "active").unwrap_or(0),
            backends: number(row, "backends").unwrap_or(0),
            waiting: number(row, "waiting").unwrap_or(0),
            locks: number(row, "locks").unwrap_or(0),
            io: number(row, "io").unwrap_or(0),
            most: number(row, "most"),
            everyone: number(row, "everyone").unwrap_or(0),
            hidden: number(row, "hidden").unwrap_or(0),
            sessions: number(row, "sessions"),
        })
    }

    /// How many connections the server takes.
    ///
    /// # Errors
    /// As [`Postgres::rows`].
    pub async fn capacity(&self) -> Result<Capacity, ProbeError> {
        let rows = self
            .rows(&format!(
                "select {MARK} current_setting('max_connections') as connections, \
                 current_setting('superuser_reserved_connections')::int \
                 + coalesce(current_setting('reserved_connections', true)::int, 0) as reserved"
            ))
            .await?;
        let row = rows.first().ok_or_else(|| ProbeError::odd(self.system, "no settings"))?;
        match (number(row, "connections"), number(row, "reserved")) {
            (Some(connections), Some(reserved)) => Ok(Capacity { connections, reserved }),
            _ => Err(ProbeError::odd(self.system, "max_connections is no number")),
        }
    }

    /// Statements executed in this database so far, ours left out.
    ///
    /// # Errors
    /// As [`Postgres::snapshot`].
    pub async fn calls(&self) -> Result<u64, ProbeError> {
        let view = self.statements_view().await?;
        let sum = self
            .one(&format!(
                "select {MARK} coalesce(sum(s.calls), 0)::bigint from {view} s where {OURS}",
                OURS = ours("s")
            ))
            .await?;
        sum.and_then(|s| s.parse().ok()).ok_or_else(|| ProbeError::odd(self.system, "no sum of calls"))
    }

    /// The same without upkeep of connections and transactions; a text that may not be read counts.
    ///
    /// # Errors
    /// As [`Postgres::snapshot`].
    pub async fn page_calls(&self) -> Result<u64, ProbeError> {
        let view = self.statements_view().await?;
        // Upkeep is short: long texts need not travel.
        let rows = self
            .rows(&format!(
                "select {MARK} case when length(s.query) <= 80 then s.query else '' end as query, sum(s.calls)::bigint as calls \
                 from {view} s where {OURS} group by 1",
                OURS = ours("s")
            ))
            .await?;
        let mut sum = 0_u64;
        for row in &rows {
            let text = row.try_get("query").ok().flatten().unwrap_or_default();
            let calls = row.try_get("calls").ok().flatten().and_then(|calls| calls.parse::<u64>().ok());
            if !is_upkeep(text) {
                sum += calls.ok_or_else(|| ProbeError::odd(self.system, "no sum of calls"))?;
            }
        }
        Ok(sum)
    }

    /// All statements of this database, ours left out, by PostgreSQL's own id.
    ///
    /// # Errors
    /// The extension is missing or not loaded; as [`Postgres::rows`] else.
    pub async fn snapshot(&self) -> Result<Snapshot, ProbeError> {
        let view = self.statements_view().await?;
        // Names moved between versions: total_time became total_exec_time, toplevel and the info view came later.
        let rows = self
            .rows(&format!(
                "select {MARK} s.queryid, left(s.query, {READ}) as query, s.calls, s.rows, \
                 coalesce(to_jsonb(s) ->> 'total_exec_time', to_jsonb(s) ->> 'total_time') as total_ms \
                 from {view} s where {OURS} and coalesce((to_jsonb(s) ->> 'toplevel')::boolean, true)",
                OURS = ours("s")
            ))
            .await?;
        let mut snapshot = Snapshot { era: self.era(&view).await?, ..Snapshot::default() };
        for row in &rows {
            let query = row.try_get("query").ok().flatten().unwrap_or_default();
            let Some(queryid) = row.try_get("queryid").ok().flatten().and_then(|id| id.parse().ok()) else {
                snapshot.hidden += 1;
                continue;
            };
            let entry = snapshot.rows.entry(queryid).or_insert_with(|| Statement {
                queryid,
                text: shown(query),
                calls: 0,
                total_ms: 0.0,
                rows: 0,
            });
            entry.calls += number(row, "calls").unwrap_or(0);
            entry.rows += number(row, "rows").unwrap_or(0);
            entry.total_ms += row.try_get("total_ms").ok().flatten().and_then(|t| t.parse().ok()).unwrap_or(0.0);
        }
        Ok(snapshot)
    }

    /// The view's full name: the extension may live in any schema.
    async fn statements_view(&self) -> Result<String, ProbeError> {
        let schema = self
            .one(&format!(
                "select {MARK} quote_ident(n.nspname) from pg_extension e join pg_namespace n on n.oid = e.extnamespace \
                 where e.extname = 'pg_stat_statements'"
            ))
            .await?;
        schema.map(|schema| format!("{schema}.pg_stat_statements")).ok_or_else(|| ProbeError::NotGiven {
            what: "the database does not count its statements: the extension pg_stat_statements is not installed"
                .to_owned(),
            provide:
                "as a superuser: ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements', restart PostgreSQL, \
                      then CREATE EXTENSION pg_stat_statements in the app's database"
                    .to_owned(),
        })
    }

    async fn era(&self, view: &str) -> Result<(String, String), ProbeError> {
        let info = format!("{view}_info");
        if self.one(&format!("select {MARK} to_regclass('{info}')")).await?.is_none() {
            return Ok(Default::default());
        }
        let rows = self.rows(&format!("select {MARK} dealloc, stats_reset from {info}")).await?;
        let text = |name| rows.first().and_then(|r| r.try_get(name).ok().flatten()).unwrap_or_default().to_owned();
        Ok((text("dealloc"), text("stats_reset")))
    }
}

impl Snapshot {
    /// What was executed between this snapshot and a later one, largest total time first.
    ///
    /// # Errors
    /// When statistics were reset or overflowed in between.
    pub fn until(&self, later: &Snapshot) -> Result<Vec<Statement>, ProbeError> {
        // One database's statistics can be reset alone, which the era does not show, and before PostgreSQL 14 nothing tells
        // the era. A snapshot holds all rows, and what ran once stays among them: a row that is gone was taken away.
        let fell = |(id, before): (&i64, &Statement)| later.rows.get(id).is_none_or(|now| now.calls < before.calls);
        if self.era != later.era || self.rows.iter().any(fell) {
            return Err(ProbeError::NotGiven {
                what: "what the statements cost cannot be told: pg_stat_statements was reset meanwhile, or dropped statements for \
                       lack of room"
                    .to_owned(),
                provide: "as a superuser: ALTER SYSTEM SET pg_stat_statements.max = 10000, or more if it is that already (needs a \
                          restart of PostgreSQL), and let nothing reset it while rampup looks; see it yourself, from PostgreSQL 14 \
                          on: SELECT dealloc, stats_reset FROM pg_stat_statements_info"
                    .to_owned(),
            });
        }
        let mut spent: Vec<Statement> = later
            .rows
            .values()
            .filter_map(|now| {
                let before = self.rows.get(&now.queryid);
                let calls = now.calls.saturating_sub(before.map_or(0, |b| b.calls));
                let total_ms = (now.total_ms - before.map_or(0.0, |b| b.total_ms)).max(0.0);
                let rows = now.rows.saturating_sub(before.map_or(0, |b| b.rows));
                (calls > 0).then(|| Statement { calls, total_ms, rows, ..now.clone() })
            })
            .collect();
        spent.sort_by(|a, b| b.total_ms.total_cmp(&a.total_ms));
        Ok(spent)
    }
}

/// A statement's whole text as it may be shown.
#[must_use]
pub fn shown(query: &str) -> String {
    tame(&text::brief(&text::scrub(query)), TEXT)
}

/// Leaves our own statements out. Other users' hidden texts stay in.
fn ours(alias: &str) -> String {
    format!(
        "{alias}.dbid = (select oid from pg_database where datname = current_database()) \
         and position('{MARK}' in {alias}.query) = 0"
    )
}

fn number(row: &SimpleQueryRow, column: &str) -> Option<u64> {
    row.try_get(column).ok().flatten()?.parse().ok()
}

fn refusal(error: &tokio_postgres::Error, key: &Key, system: &'static str) -> ProbeError {
    if let Some(why) = error.as_db_error().map(tokio_postgres::error::DbError::message) {
        return ProbeError::Refused { system, why: tame(why, 200), provide: remedy(why, &key.variable) };
    }
    if let Some(error) = tls::cause(error) {
        return tls::refusal(error, &address::WORDS, system, &key.variable);
    }
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    if cause == NO_TLS {
        return ProbeError::Refused {
            system,
            why: "it speaks no TLS, and its address asks for it".to_owned(),
            provide: format!(
                "switch TLS on at the server, or write sslmode=prefer into {} where the network is yours alone",
                key.variable
            ),
        };
    }
    ProbeError::unreachable(system, cause)
}

/// What to do about the server's own words. Those on encryption are PostgreSQL's since 14 and before it, PgBouncer's,
/// Supabase's and Neon's.
fn remedy(why: &str, variable: &str) -> String {
    let low = why.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| low.contains(word));
    if says(&["no encryption", "ssl off", "ssl required", "ssl connection is required", "sslmode=require"]) {
        format!("it wants TLS: write sslmode=require into {variable}")
    } else if says(&["no pg_hba.conf entry"]) && says(&["ssl encryption", "ssl on"]) {
        format!("it lets nobody in this way: allow it in pg_hba.conf, or write sslmode=disable into {variable}")
    } else if says(&["valid client certificate"]) {
        format!("it wants a certificate of ours: name the files in {variable}: sslcert=FILE, sslkey=FILE")
    } else {
        format!("check user, password and database in {variable}")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Statements with their calls and milliseconds. Of two eras nothing is subtracted.
    pub(crate) fn snapshot(era: &str, rows: &[(i64, u64, f64)]) -> Snapshot {
        Snapshot {
            era: (era.to_owned(), String::new()),
            hidden: 0,
            rows: rows
                .iter()
                .map(|&(queryid, calls, total_ms)| {
                    (queryid, Statement { queryid, text: format!("q{queryid}"), calls, total_ms, rows: 0 })
                })
                .collect(),
        }
    }

    #[test]
    fn two_snapshots_give_what_was_spent_between_them() {
        let before = snapshot("0", &[(1, 10, 5.0), (2, 3, 1.0)]);
        let after = snapshot("0", &[(1, 14, 9.0), (2, 3, 1.0), (3, 1, 50.0)]);
        let spent = before.until(&after).unwrap();
        assert_eq!(
            spent.iter().map(|s| (s.queryid, s.calls, s.total_ms)).collect::<Vec<_>>(),
            [(3, 1, 50.0), (1, 4, 4.0)]
        );
    }

    #[test]
    fn a_reset_in_between_is_no_difference() {
        let before = snapshot("0", &[(1, 10, 5.0), (2, 3, 1.0)]);
        for (case, subtracted, after) in [
            ("nothing ran", true, snapshot("0", &[(1, 10, 5.0), (2, 3, 1.0)])),
            ("all was reset, or rows dropped", false, snapshot("1", &[(1, 11, 6.0), (2, 3, 1.0)])),
            ("one database's was, and it counts anew", false, snapshot("0", &[(1, 4, 2.0), (2, 3, 1.0)])),
            ("one statement's was, or it was dropped", false, snapshot("0", &[(1, 11, 6.0)])),
            ("this database's was, and nothing ran since", false, snapshot("0", &[])),
        ] {
            let told = before.until(&after).map_err(|error| error.to_string());
            assert_eq!(told.is_ok(), subtracted, "{case}: {told:?}");
            if let Err(told) = told {
                for part in ["reset", "lack of room", "pg_stat_statements.max = 10000", "restart", "dealloc"] {
                    assert!(told.contains(part), "{part}: {told}");
                }
            }
        }
    }

    #[test]
    fn what_a_server_says_leads_to_what_to_write() {
        for (said, remedy) in [
            (
                "no pg_hba.conf entry for host \"10.0.0.7\", user \"u\", database \"d\", no encryption",
                "sslmode=require",
            ),
            ("no pg_hba.conf entry for host \"10.0.0.7\", user \"u\", database \"d\", SSL off", "sslmode=require"),
            ("connection is insecure (try using `sslmode=require`)", "sslmode=require"),
            ("SSL connection is required", "sslmode=require"),
            ("SSL required", "sslmode=require"),
            (
                "no pg_hba.conf entry for host \"10.0.0.7\", user \"u\", database \"d\", SSL encryption",
                "sslmode=disable",
            ),
            ("connection requires a valid client certificate", "sslcert=FILE"),
            ("password authentication failed for user \"u\"", "check user, password"),
        ] {
            let told = super::remedy(said, "DATABASE_URL");
            assert!(told.contains(remedy) && told.contains("DATABASE_URL"), "{said}: {told}");
        }
    }
}
