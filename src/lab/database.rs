//! The practice database: cluster, roles, extension, and statements of a remedy. Starts no process that stays.

use std::time::Duration;

use tokio_postgres::{Config, NoTls};

use super::command::Task;
use super::error::{LabError, Result, file};
use super::files;
use super::progress::Progress;
use super::setup::Setup;

/// Nothing on loopback takes longer to say that it is there.
const CONNECT: Duration = Duration::from_secs(3);

/// The superuser over the Unix socket, which only the lab's account (and root) can reach.
pub(crate) fn superuser(setup: &Setup, database: &str) -> Config {
    let mut config = Config::new();
    config.host_path(setup.layout.run()).port(setup.port("postgres")).user("postgres").dbname(database);
    config.connect_timeout(CONNECT);
    config
}

/// The shop's own role through PgBouncer.
pub(crate) fn through_pooler(setup: &Setup) -> Config {
    let mut config = Config::new();
    config.host("127.0.0.1").port(setup.port("pgbouncer")).user("shop").dbname("shop");
    config.password(setup.secret("db")).connect_timeout(CONNECT);
    config
}

/// `select 1`: an open port answers too early.
pub(crate) async fn answers(config: &Config) -> std::result::Result<(), String> {
    run(config, &["select 1"]).await.map_err(|e| e.to_string())
}

/// Each statement on its own, outside a transaction, so that `CREATE INDEX CONCURRENTLY` is possible.
async fn run(config: &Config, statements: &[&str]) -> std::result::Result<(), Reason> {
    let (client, connection) = config.connect(NoTls).await.map_err(Reason)?;
    let connection = tokio::spawn(connection);
    let mut done = Ok(());
    for statement in statements {
        done = client.batch_execute(statement).await.map_err(Reason);
        if done.is_err() {
            break;
        }
    }
    drop(client);
    // Ends by itself once the client is gone; whatever it says now is of no interest.
    let _ = connection.await;
    done
}

/// An error of PostgreSQL in the server's own words (the driver's `Display` says only "db error").
struct Reason(tokio_postgres::Error);

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use std::error::Error as _;
        match (self.0.as_db_error(), self.0.source()) {
            (Some(error), _) => f.write_str(error.message()),
            (None, Some(cause)) => write!(f, "{cause}"),
            (None, None) => write!(f, "{}", self.0),
        }
    }
}

/// Runs a remedy's statements as the superuser in the shop's database.
pub(crate) async fn apply(setup: &Setup, statements: &[String]) -> Result<()> {
    for statement in statements {
        run(&superuser(setup, "shop"), &[statement])
            .await
            .map_err(|why| LabError::Database { what: statement.clone(), why: why.to_string() })?;
    }
    Ok(())
}

/// Makes the cluster if there is none: beside its place first, so that half a cluster is never taken for a whole one.
pub(crate) async fn make_cluster(setup: &Setup, progress: &Progress) -> Result<()> {
    let cluster = setup.layout.cluster();
    if cluster.join("PG_VERSION").exists() {
        return Ok(());
    }
    progress.say("making a database cluster");
    let draft = cluster.with_extension("new");
    if draft.exists() {
        std::fs::remove_dir_all(&draft).map_err(file("remove", &draft))?;
    }
    let path = draft.to_string_lossy().into_owned();
    let arguments = ["-D", &path, "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth-local=trust"];
    let arguments = arguments.into_iter().chain(["--auth-host=scram-sha-256", "--no-sync", "--no-instructions"]);
    Task {
        what: "making the database cluster (initdb)".into(),
        program: setup.tools.postgres("initdb"),
        arguments: arguments.map(str::to_owned).collect(),
        env: setup.bare_env(),
        inherits: false,
        folder: setup.layout.run(),
        account: setup.account.clone(),
        limit: Duration::from_secs(120),
    }
    .run(&Progress::silent())
    .await?;
    let own = draft.join("postgresql.conf");
    let mut text = std::fs::read_to_string(&own).map_err(file("read", &own))?;
    text.push_str(&format!("\ninclude '{}'\n", setup.layout.conf().join("postgresql.conf").display()));
    files::write(&own, text.as_bytes(), 0o600, setup.account.as_ref())?;
    std::fs::rename(&draft, &cluster).map_err(file("name", &cluster))
}

/// Removes the locks of a server that was killed. It would remove them itself, but takes a dead process that nobody has
/// buried (a container's first process often buries none) for a living server. Only once every process of this lab
/// that works in the cluster is gone for sure.
pub(crate) fn remove_stale_locks(setup: &Setup) -> Result<()> {
    let socket = setup.layout.run().join(format!(".s.PGSQL.{}.lock", setup.port("postgres")));
    for lock in [setup.layout.cluster().join("postmaster.pid"), socket] {
        match std::fs::remove_file(&lock) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(file("remove", &lock)(e)),
            _ => {}
        }
    }
    Ok(())
}

/// Makes the shop's roles, database and extension where they do not exist yet.
pub(crate) async fn make_roles(setup: &Setup) -> Result<()> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |why: Reason| LabError::Database { what, why: why.to_string() }
    };
    let admin = superuser(setup, "postgres");
    for role in ["shop", "shop_monitor"] {
        // Hexadecimal digits need no quoting.
        let password = setup.secret("db");
        let statement = format!(
            "DO $$ BEGIN CREATE ROLE {role} LOGIN PASSWORD '{password}'; \
             EXCEPTION WHEN duplicate_object THEN ALTER ROLE {role} PASSWORD '{password}'; END $$"
        );
        run(&admin, &[&statement]).await.map_err(failed("to make its roles"))?;
    }
    // There is no CREATE DATABASE IF NOT EXISTS.
    if run(&superuser(setup, "shop"), &["select 1"]).await.is_err() {
        run(&admin, &["CREATE DATABASE shop OWNER shop"]).await.map_err(failed("to make the shop's database"))?;
    }
    run(&superuser(setup, "shop"), &["CREATE EXTENSION IF NOT EXISTS pg_stat_statements"])
        .await
        .map_err(failed("to count statements (is PostgreSQL's contrib package installed?)"))
}
