//! PgBouncer's console: pools, totals, sizes. Simple protocol only, columns by name, because versions add columns.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

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

/// What the pools may open at the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// The database's name at PgBouncer.
    pub database: String,
    /// Server connections for each user, and those added when clients wait.
    pub size: u64,
    /// See `size`.
    pub reserve: u64,
    /// Users with a pool of their own.
    pub users: u64,
    /// `max_db_connections`; 0 for none.
    pub limit: u64,
}

impl Size {
    /// The most server connections this database's pools may open.
    #[must_use]
    pub fn most(&self) -> u64 {
        let most = (self.size + self.reserve) * self.users;
        if self.limit == 0 { most } else { most.min(self.limit) }
    }
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
        Ok(self.sizes().await?.iter().map(Size::most).sum())
    }

    /// The sizes of the app's databases, each with the users it has pools for.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn sizes(&self) -> Result<Vec<Size>, ProbeError> {
        Ok(sizes(&self.show("DATABASES").await?, &self.show("POOLS").await?))
    }

    /// Pool mode by database: what is in force, not what the configuration's default says.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn modes(&self) -> Result<BTreeMap<String, String>, ProbeError> {
        Ok(modes(&self.show("POOLS").await?))
    }

    /// A value of its configuration, as SHOW CONFIG says it.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, ProbeError> {
        let rows = self.show("CONFIG").await?;
        Ok(rows.iter().find(|row| row.get("key").is_some_and(|key| key == name)).and_then(|r| r.get("value").cloned()))
    }

    /// PostgreSQL's processes behind its server connections.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn server_pids(&self) -> Result<Vec<u32>, ProbeError> {
        let pid = |row: &Row| row.get("remote_pid")?.parse().ok();
        Ok(self.show("SERVERS").await?.iter().filter_map(pid).collect())
    }

    /// Roles that its pools connect as, the console's own left out.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn roles(&self) -> Result<Vec<String>, ProbeError> {
        let rows = self.show("POOLS").await?;
        let mut roles: Vec<String> =
            rows.iter().filter(|r| of_the_app(r, "database")).filter_map(|r| r.get("user").cloned()).collect();
        roles.sort_unstable();
        roles.dedup();
        Ok(roles)
    }

    /// Clients of the app's databases that are connected now, by an id of their own; ours left out.
    ///
    /// # Errors
    /// As any question to it.
    pub async fn clients(&self) -> Result<Vec<String>, ProbeError> {
        let rows = self.show("CLIENTS").await?;
        let theirs = rows.iter().filter(|r| of_the_app(r, "database"));
        let theirs = theirs.filter(|r| r.get("application_name").is_none_or(|name| name != "rampup"));
        // A place in memory may be used again; the time of connecting tells the two apart.
        let id = |row: &Row| Some(format!("{} {}", row.get("connect_time")?, row.get("ptr")?));
        Ok(theirs.filter_map(id).collect())
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

fn sizes(databases: &[Row], pools: &[Row]) -> Vec<Size> {
    let app = databases.iter().filter(|r| of_the_app(r, "name"));
    app.map(|database| {
        let name = database.get("name");
        let users = pools.iter().filter(|pool| pool.get("database") == name).count().max(1);
        let reserve = if database.contains_key("reserve_pool_size") { "reserve_pool_size" } else { "reserve_pool" };
        Size {
            database: name.cloned().unwrap_or_default(),
            size: number(database, "pool_size"),
            reserve: number(database, reserve),
            users: u64::try_from(users).unwrap_or(u64::MAX),
            limit: number(database, "max_connections"),
        }
    })
    .collect()
}

fn modes(pools: &[Row]) -> BTreeMap<String, String> {
    let app = pools.iter().filter(|r| of_the_app(r, "database"));
    app.filter_map(|row| Some((row.get("database")?.clone(), row.get("pool_mode")?.clone()))).collect()
}

/// Looks at a connection that seems to go past the pooler, and the pause between: PostgreSQL ends one a moment after the
/// pooler closed it.
const LOOKS: u32 = 3;
const BETWEEN_LOOKS: Duration = Duration::from_millis(400);

/// How many connections of the pools' roles at this server are not the pooler's, at this instant.
///
/// # Errors
/// As any question to either.
pub async fn past_now(console: &Console, server: &Postgres) -> Result<usize, ProbeError> {
    Ok(strays(console, server).await?.len())
}

/// The same, without those that the pooler has just closed: they are gone a moment later.
///
/// # Errors
/// As any question to either.
pub async fn past(console: &Console, server: &Postgres) -> Result<usize, ProbeError> {
    let mut suspects = strays(console, server).await?;
    for _ in 1..LOOKS {
        if suspects.is_empty() {
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let now = strays(console, server).await?;
        suspects = match staying(&suspects, &now) {
            // Others came in their place: somebody connects anew each time.
            None => return Ok(now.len()),
            Some(staying) => staying,
        };
    }
    Ok(suspects.len())
}

/// Those that were there before and still are; none when there are new ones.
fn staying(before: &[u32], now: &[u32]) -> Option<Vec<u32>> {
    now.iter().all(|pid| before.contains(pid)).then(|| now.to_vec())
}

async fn strays(console: &Console, server: &Postgres) -> Result<Vec<u32>, ProbeError> {
    // Asked before and after: one that is opened or closed meanwhile is in one of the two.
    let mut own = console.server_pids().await?;
    let mut clients = server.clients_of(&console.roles().await?).await?;
    own.extend(console.server_pids().await?);
    clients.retain(|pid| !own.contains(pid));
    Ok(clients)
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
    fn one_that_ends_is_forgiven_and_one_that_comes_is_not() {
        assert_eq!(staying(&[7, 8], &[8]), Some(vec![8]));
        assert_eq!(staying(&[7], &[]), Some(vec![]));
        assert_eq!(staying(&[7], &[9]), None);
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
        let bound = |databases: &str, pools: &str| -> u64 {
            sizes(&table(databases), &table(pools)).iter().map(Size::most).sum()
        };
        assert_eq!(bound(DATABASES, POOLS), 6);
        let two_users = format!("{POOLS}\napp,celery,1,0,0,0,1,0,0,0,0,0,0,0,0,transaction");
        assert_eq!(bound(DATABASES, &two_users), 9);
        let limited = DATABASES.replace("3,0,0,,0,3,0,0", "3,0,0,,4,3,0,0");
        assert_eq!(bound(&limited, &two_users), 7);
    }

    #[test]
    fn the_mode_is_each_database_s_own() {
        let modes = modes(&table(POOLS));
        assert_eq!(
            modes.iter().map(|(d, m)| (d.as_str(), m.as_str())).collect::<Vec<_>>(),
            [("app", "transaction"), ("apps", "session")]
        );
    }
}
