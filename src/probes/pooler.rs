//! PgBouncer's console: pools, totals, sizes. Simple protocol only, columns by name, because versions add columns.

use std::collections::BTreeMap;

use crate::domain::site::Key;

use super::ProbeError;
use super::postgres::Postgres;

/// A connection to the database `pgbouncer`.
#[derive(Debug)]
pub struct Console(Postgres);

/// One line of SHOW POOLS or the sum of several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pools {
    /// Clients linked to a server, or idle between transactions.
    pub clients: u64,
    /// Clients that wait for a server.
    pub waiting: u64,
    /// Server connections of any state.
    pub servers: u64,
    /// How long the oldest of the waiting clients has waited, µs.
    pub maxwait_us: u64,
    /// Pool modes in use: "transaction", "session", "statement".
    pub modes: Vec<String>,
}

/// What PgBouncer has passed on since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Passed {
    /// Queries.
    pub queries: u64,
    /// Transactions (each query is one in statement mode).
    pub transactions: u64,
    /// Time that transactions kept a server connection, idle inside them included, µs.
    pub busy_us: u64,
}

/// One row of a console's table, by column name.
pub type Row = BTreeMap<String, String>;

impl Console {
    /// Connects to the console.
    ///
    /// # Errors
    /// No connection; or what answers is not PgBouncer.
    pub async fn connect(key: &Key) -> Result<Self, ProbeError> {
        let console = Self(Postgres::connect(key, "PgBouncer's console").await?);
        console.version().await?;
        Ok(console)
    }

    /// Its version: "PgBouncer 1.18.0".
    ///
    /// # Errors
    /// When something else answers.
    pub async fn version(&self) -> Result<String, ProbeError> {
        let rows = self.show("VERSION").await?;
        // Since 1.12 a row; before, a notice without rows.
        let version =
            rows.first().and_then(|row| row.get("version")).cloned().unwrap_or_else(|| "PgBouncer".to_owned());
        if version.starts_with("PgBouncer") {
            Ok(version)
        } else {
            Err(ProbeError::odd("PgBouncer's console", version))
        }
    }

    /// The app's pools, summed: all but the console's own.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn pools(&self) -> Result<Pools, ProbeError> {
        Ok(sum_pools(&self.show("POOLS").await?))
    }

    /// What was passed on since PgBouncer started, the console's own left out.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn passed(&self) -> Result<Passed, ProbeError> {
        Ok(sum_passed(&self.show("STATS").await?))
    }

    /// The most server connections the pools may open: size and reserve of every (database, user) pair in use.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn bound(&self) -> Result<u64, ProbeError> {
        Ok(bound(&self.show("DATABASES").await?, &self.show("POOLS").await?))
    }

    async fn show(&self, what: &str) -> Result<Vec<Row>, ProbeError> {
        let rows = self.0.rows(&format!("SHOW {what}")).await?;
        Ok(rows
            .iter()
            .map(|row| {
                let columns = row.columns().iter().enumerate();
                columns.filter_map(|(i, c)| Some((c.name().to_owned(), row.try_get(i).ok()??.to_owned()))).collect()
            })
            .collect())
    }
}

fn number(row: &Row, column: &str) -> u64 {
    row.get(column).and_then(|v| v.parse().ok()).unwrap_or(0)
}

fn of_the_app(row: &&Row, column: &str) -> bool {
    row.get(column).is_some_and(|name| name != "pgbouncer")
}

fn sum_pools(rows: &[Row]) -> Pools {
    let mut sum = Pools::default();
    for row in rows.iter().filter(|r| of_the_app(r, "database")) {
        sum.clients += number(row, "cl_active") + number(row, "cl_waiting");
        sum.waiting += number(row, "cl_waiting");
        // Every server state, also those that newer versions add: sv_active, sv_idle, sv_used, sv_tested, sv_login, …
        sum.servers += row
            .iter()
            .filter(|(name, _)| name.starts_with("sv_"))
            .filter_map(|(_, v)| v.parse::<u64>().ok())
            .sum::<u64>();
        sum.maxwait_us = sum.maxwait_us.max(number(row, "maxwait") * 1_000_000 + number(row, "maxwait_us"));
        if let Some(mode) = row.get("pool_mode").filter(|mode| !sum.modes.contains(mode)) {
            sum.modes.push(mode.clone());
        }
    }
    sum
}

fn sum_passed(rows: &[Row]) -> Passed {
    let sum = |column| rows.iter().filter(|r| of_the_app(r, "database")).map(|row| number(row, column)).sum();
    Passed { queries: sum("total_query_count"), transactions: sum("total_xact_count"), busy_us: sum("total_xact_time") }
}

fn bound(databases: &[Row], pools: &[Row]) -> u64 {
    let app = databases.iter().filter(|r| of_the_app(r, "name"));
    app.map(|database| {
        let name = database.get("name");
        let users = pools.iter().filter(|pool| pool.get("database") == name).count().max(1);
        let reserve = if database.contains_key("reserve_pool_size") { "reserve_pool_size" } else { "reserve_pool" };
        let pair = number(database, "pool_size") + number(database, reserve);
        let most = pair * u64::try_from(users).unwrap_or(u64::MAX);
        match number(database, "max_connections") {
            0 => most,
            limit => most.min(limit),
        }
    })
    .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Captured from PgBouncer 1.18.0: pool_size 3, six clients in pg_sleep.
    const POOLS: &str = "database,user,cl_active,cl_waiting,cl_active_cancel_req,cl_waiting_cancel_req,sv_active,sv_active_cancel,sv_being_canceled,sv_idle,sv_used,sv_tested,sv_login,maxwait,maxwait_us,pool_mode
app,postgres,3,3,0,0,3,0,0,0,0,0,0,1,454161,transaction
apps,postgres,0,0,0,0,0,0,0,0,0,0,0,0,0,session
pgbouncer,pgbouncer,1,0,0,0,0,0,0,0,0,0,0,0,0,statement";
    const STATS: &str = "database,total_xact_count,total_query_count,total_received,total_sent,total_xact_time
app,397,410,26803,5120,4000000
apps,3,3,87,12,900
pgbouncer,23,23,0,0,0";
    const DATABASES: &str = "name,host,port,database,force_user,pool_size,min_pool_size,reserve_pool,pool_mode,max_connections,current_connections,paused,disabled
app,127.0.0.1,55432,postgres,,3,0,0,,0,3,0,0
apps,127.0.0.1,55432,postgres,,3,0,0,session,0,0,0,0
pgbouncer,,56432,pgbouncer,pgbouncer,2,0,0,statement,0,0,0,0";

    fn table(csv: &str) -> Vec<Row> {
        let mut lines = csv.lines().map(|line| line.split(','));
        let names: Vec<&str> = lines.next().unwrap().collect();
        lines.map(|cells| names.iter().map(|n| (*n).to_owned()).zip(cells.map(str::to_owned)).collect()).collect()
    }

    #[test]
    fn the_console_s_own_pool_is_left_out() {
        let pools = sum_pools(&table(POOLS));
        assert_eq!((pools.clients, pools.waiting, pools.servers, pools.maxwait_us), (6, 3, 3, 1_454_161));
        assert_eq!(pools.modes, ["transaction", "session"]);
        assert_eq!(sum_passed(&table(STATS)), Passed { queries: 413, transactions: 400, busy_us: 4_000_900 });
    }

    #[test]
    fn the_bound_counts_every_database_once_per_user() {
        assert_eq!(bound(&table(DATABASES), &table(POOLS)), 6);
        let two_users = format!("{POOLS}\napp,celery,1,0,0,0,1,0,0,0,0,0,0,0,0,transaction");
        assert_eq!(bound(&table(DATABASES), &table(&two_users)), 9);
    }
}
