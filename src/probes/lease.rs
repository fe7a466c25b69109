//! One measurement at a time at a target, whoever drives it: two loads at once measure each other.
//!
//! What two engineers on two machines share is the target. PostgreSQL's advisory lock needs nothing written there, and goes
//! with the connection that holds it, however that ends. Over a transaction pooler it would stay with another's
//! connection, so only the direct address is asked.

use super::postgres::{MARK, Postgres};
use super::{ProbeError, Probes};
use crate::domain::text::tame;

/// The lock's name among those of a database: "ramp" in ASCII, and the first of its kind.
const KEY: (u32, u32) = (0x7261_6d70, 1);

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Lease(Postgres);

impl Lease {
    /// Whether it was ours until now.
    ///
    /// # Errors
    /// Its connection broke meanwhile, and the lock went with it.
    pub async fn holds(&self) -> Result<(), ProbeError> {
        self.0.one(&format!("select {MARK} 1")).await.map(|_| ())
    }
}

/// How it went.
#[derive(Debug)]
pub enum Taken {
    /// It is ours.
    Ours(Lease),
    /// Somebody else drives the target: "run 20261127T120000Z-51a7 since 12:00:03 UTC".
    By(String),
    /// No direct address is known, so nobody can be asked.
    Unasked,
}

/// Takes the lease of the target for a run.
///
/// # Errors
/// The database cannot be asked.
pub async fn take(probes: &Probes) -> Result<Taken, ProbeError> {
    let Some(key) = &probes.access.database_direct else { return Ok(Taken::Unasked) };
    let database = Postgres::connect(key, "PostgreSQL").await?;
    let (kind, number) = KEY;
    // A machine that vanishes must not hold it for hours, and an idle connection must not lose it. What a server does not
    // know of these, it refuses, and that is all.
    for setting in [
        "tcp_keepalives_idle = 30",
        "tcp_keepalives_interval = 10",
        "tcp_keepalives_count = 3",
        "idle_session_timeout = 0",
    ] {
        let _ = database.rows(&format!("set {MARK} {setting}")).await;
    }
    // The last statement of a session stays visible beside the lock: it says whose it is.
    let sql = format!("select {MARK} pg_try_advisory_lock({kind}, {number})::text as got /* run {} */", probes.run);
    let taken = database.one(&sql).await?;
    if taken.as_deref() == Some("true") {
        return Ok(Taken::Ours(Lease(database)));
    }
    let holder = format!(
        "select {MARK} coalesce(substring(a.query from '/[*] (run [^ ]+) [*]/'), 'process ' || a.pid) \
         || coalesce(' since ' || to_char(a.query_start at time zone 'UTC', 'HH24:MI:SS') || ' UTC', '') \
         from pg_locks l join pg_stat_activity a using (pid) \
         where l.locktype = 'advisory' and l.database = a.datid and a.datname = current_database() \
         and l.classid = {kind} and l.objid = {number} and l.granted"
    );
    let holder = database.one(&holder).await?;
    Ok(Taken::By(tame(&holder.unwrap_or_else(|| "whose, it does not tell".to_owned()), 80)))
}
