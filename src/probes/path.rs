//! Who stands behind a database address: PostgreSQL itself, or a pooler that lends its connections.

mod named;

use std::collections::BTreeSet;

use tokio_postgres::Client;

use crate::domain::site::Key;

use super::ProbeError;
use super::error::within;
use super::postgres::address::Address;
use super::postgres::{LIMIT, Postgres};

use named::named;

const SYSTEM: &str = "the app's database";
/// How many connections show whether a pooler shares.
const CONNECTIONS: usize = 8;

/// Who answered behind a DSN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Behind {
    /// PgBouncer's own wording when asked for databases that do not exist.
    pub pgbouncer: bool,
    /// The process that the handshake named is not the one that answers: somebody stands between.
    pub renamed: bool,
    /// Two connections, open at once, had one server process.
    pub shared: bool,
}

impl Behind {
    /// True when something lends server connections here.
    #[must_use]
    pub fn pooled(&self) -> bool {
        self.pgbouncer || self.renamed || self.shared
    }
}

/// How connections that are open at once share server processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sharing {
    /// Connections open at once.
    pub connections: usize,
    /// Different server processes behind them.
    pub backends: usize,
    /// One of them was served by another process at its next question.
    pub moved: bool,
}

impl Sharing {
    /// True when a server connection is lent for less than a session.
    #[must_use]
    pub fn shares(&self) -> bool {
        self.connections > 1 && (self.backends < self.connections || self.moved)
    }
}

/// Tells a pooler from a server by its words, by the handshake, and by two connections. At most two are open at once.
///
/// # Errors
/// When the DSN itself does not connect.
pub async fn behind(key: &Key) -> Result<Behind, ProbeError> {
    let first = Postgres::connect(key, SYSTEM).await?;
    let second = Postgres::connect(key, SYSTEM).await?;
    let (one, two) = (first.pid().await?, second.pid().await?);
    let named = within(SYSTEM, LIMIT, named(first.client())).await?;
    drop(second);
    Ok(Behind { pgbouncer: pgbouncer_words(key).await?, renamed: named != Some(one), shared: one == two })
}

/// Opens eight connections and asks each, twice, which process serves it. The question in between keeps a pooler that
/// goes round its servers from giving everyone the same one again.
///
/// # Errors
/// When the DSN does not connect eight times.
pub async fn sharing(key: &Key) -> Result<Sharing, ProbeError> {
    let mut open = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        open.push(Postgres::connect(key, SYSTEM).await?);
    }
    let first = pids(&open).await?;
    pids(&open[..1]).await?;
    let again = pids(&open).await?;
    let backends = first.iter().collect::<BTreeSet<_>>().len();
    Ok(Sharing { connections: CONNECTIONS, backends, moved: first != again })
}

async fn pids(open: &[Postgres]) -> Result<Vec<u32>, ProbeError> {
    let mut pids = Vec::with_capacity(open.len());
    for connection in open {
        pids.push(connection.pid().await?);
    }
    Ok(pids)
}

async fn pgbouncer_words(key: &Key) -> Result<bool, ProbeError> {
    let mut address = Address::read(key)?;
    let tls = address.tls()?;
    for name in ["pgbouncer", "rampup_no_such_database"] {
        address.config.dbname(name);
        let pgbouncer = match within(SYSTEM, LIMIT, async { Ok(address.connect(tls.clone()).await) }).await? {
            // Only PgBouncer has a database `pgbouncer` that a stats user may enter.
            Ok((client, connection)) => {
                let connection = tokio::spawn(connection);
                let console = name == "pgbouncer" && is_console(&client).await;
                connection.abort();
                console
            }
            Err(error) => {
                let said = error.as_db_error().map(|e| e.message().to_owned()).unwrap_or_default();
                said.contains("no such database") || said.contains("not allowed")
            }
        };
        if pgbouncer {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_console(client: &Client) -> bool {
    matches!(tokio::time::timeout(LIMIT, client.simple_query("SHOW VERSION")).await, Ok(Ok(_)))
}

/// The database's name in an address; the role's when it names none, as every client reads it.
///
/// # Errors
/// When it is no address.
pub fn database_of(key: &Key) -> Result<String, ProbeError> {
    let config = Address::read(key)?.config;
    Ok(config.get_dbname().or(config.get_user()).unwrap_or_default().to_owned())
}
