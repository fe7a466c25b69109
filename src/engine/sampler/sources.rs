//! The systems that are watched: how each is connected to and what is read of it in one second.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use crate::domain::check::Missing;
use crate::domain::measurement::series;
use crate::domain::ramp::LoadPulse;
use crate::probes::pooler::{Console, past_now};
use crate::probes::postgres::Postgres;
use crate::probes::redis::{Info, Redis};
use crate::probes::{ProbeError, Probes};

use super::next_second;

/// What lets the sampler's user see the others.
pub(super) const GRANT: &str =
    "as a superuser: GRANT pg_monitor TO the user of the DSN in [services] database_direct_env";

/// Time for one reading; a slower one leaves a gap.
pub(super) const READING: Duration = Duration::from_millis(900);
/// Readings that fail in a row before the source is called missing.
const FAILURES: u32 = 3;

/// Values by series name.
pub(super) type Values = Vec<(&'static str, f64)>;

/// What a source sends.
#[derive(Debug)]
pub(super) enum Reading {
    /// One second of one source.
    Values { second: u32, values: Values },
    /// It cannot be read, and why. Once.
    Missing(Missing),
}

/// A system that can be read once a second.
pub(super) trait Source: Send + 'static {
    type Connection: Send;
    fn connect(&self, probes: &Probes) -> impl Future<Output = Result<Self::Connection, ProbeError>> + Send;
    fn read(&mut self, connection: &mut Self::Connection) -> impl Future<Output = Result<Values, ProbeError>> + Send;
    /// A last word when the watching ends.
    fn last(&self) -> Option<Missing> {
        None
    }
}

/// Reads one source every second until told to stop.
pub(super) async fn watch<S: Source>(
    mut source: S,
    probes: Arc<Probes>,
    epoch: Instant,
    out: UnboundedSender<Reading>,
    stop: CancellationToken,
) {
    let (mut failures, mut told) = (0, false);
    let watching = async {
        let mut connection = None;
        loop {
            let second = next_second(epoch);
            let at = epoch + Duration::from_secs(u64::from(second));
            tokio::time::sleep_until(at.into()).await;
            let reading = async {
                let open = match &mut connection {
                    Some(open) => open,
                    none => none.insert(source.connect(&probes).await?),
                };
                let late = || ProbeError::TimedOut { system: "a system behind the app", limit: READING };
                tokio::time::timeout(READING, source.read(open)).await.unwrap_or_else(|_| Err(late()))
            };
            match reading.await {
                Ok(values) => {
                    failures = 0;
                    // The receiver outlives us; when it does not, nobody is interested any more.
                    let _ = out.send(Reading::Values { second, values });
                }
                Err(error) => {
                    connection = None;
                    failures += 1;
                    // What the owner must provide will not come by itself; what is merely down may.
                    let lacking = matches!(error, ProbeError::NotGiven { .. } | ProbeError::Refused { .. });
                    if !told && (lacking || failures >= FAILURES) {
                        told = true;
                        let _ = out.send(Reading::Missing(error.clone().into()));
                    }
                    if matches!(error, ProbeError::NotGiven { .. }) {
                        return;
                    }
                }
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = stop.cancelled() => {}
    }
    if let Some(missing) = source.last().filter(|_| !told) {
        let _ = out.send(Reading::Missing(missing));
    }
}

#[expect(clippy::cast_precision_loss, reason = "series are for curves; counters stay far below 2^52")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

/// The load's own second. A p95 that does not exist leaves a hole.
pub(super) fn of_load(pulse: &LoadPulse) -> Values {
    let mut values = vec![
        (series::LOAD_USERS, f64::from(pulse.users)),
        (series::LOAD_RPS, pulse.rps),
        (series::LOAD_ERRORS, real(pulse.errors)),
        (series::GENERATOR_LAG, pulse.generator.lag_ms),
    ];
    values.extend(pulse.p95_ms.map(|p95| (series::LOAD_P95, p95)));
    if pulse.edge_answers > 0 {
        let said = real(pulse.edge_answers);
        values.push((series::EDGE_ANSWERS, said));
        values.push((series::EDGE_HIT_SHARE, 100.0 * real(pulse.edge_hits) / said));
    }
    if pulse.rps > 0.0 {
        // A second of the ramp may be some ms longer than one of the clock.
        values.push((series::EDGE_BLOCKED_SHARE, (100.0 * real(pulse.blocked) / pulse.rps).min(100.0)));
    }
    values
}

/// PostgreSQL's clients.
#[derive(Debug, Default)]
pub(super) struct Database {
    /// Clients whose state we may not see, at the last reading.
    hidden: u64,
}

impl Source for Database {
    type Connection = Postgres;

    async fn connect(&self, probes: &Probes) -> Result<Postgres, ProbeError> {
        probes.database().await
    }

    async fn read(&mut self, connection: &mut Postgres) -> Result<Values, ProbeError> {
        let activity = connection.activity().await?;
        // How many there are, anyone may see.
        let mut values =
            vec![(series::PG_BACKENDS, real(activity.backends)), (series::PG_EVERYONE, real(activity.everyone))];
        values.extend(activity.most.map(|most| (series::PG_MOST, real(most))));
        values.extend(activity.sessions.map(|sessions| (series::PG_SESSIONS, real(sessions))));
        self.hidden = activity.hidden;
        if activity.hidden == 0 {
            // Half of the truth about what they do would look like an idle server.
            values.extend([
                (series::PG_ACTIVE, real(activity.active)),
                (series::PG_WAITING, real(activity.waiting)),
                (series::PG_LOCKS, real(activity.locks)),
                (series::PG_IO, real(activity.io)),
            ]);
        }
        Ok(values)
    }

    fn last(&self) -> Option<Missing> {
        (self.hidden > 0).then(|| {
            let what = format!("PostgreSQL hides what {} connections of other users do", self.hidden);
            Missing::new(what, GRANT)
        })
    }
}

/// PgBouncer's pools, and who goes past them.
#[derive(Debug)]
pub(super) struct Pooler;

impl Source for Pooler {
    /// The console, and the server behind it where there is an address straight to it.
    type Connection = (Console, Option<Postgres>);

    async fn connect(&self, probes: &Probes) -> Result<Self::Connection, ProbeError> {
        let console = probes.pooler().await?;
        let server = if probes.access.database_direct.is_some() { probes.database().await.ok() } else { None };
        Ok((console, server))
    }

    async fn read(&mut self, (console, server): &mut Self::Connection) -> Result<Values, ProbeError> {
        let (pools, passed) = (console.pools().await?, console.passed().await?);
        let mut values = vec![
            (series::POOL_MOST, real(console.bound().await?)),
            (series::POOL_CLIENTS, real(pools.clients)),
            (series::POOL_WAITING, real(pools.waiting)),
            (series::POOL_SERVERS, real(pools.servers)),
            (series::POOL_MAXWAIT, real(pools.maxwait_us) / 1e6),
            (series::POOL_QUERIES, real(passed.queries)),
            (series::POOL_TRANSACTIONS, real(passed.transactions)),
            (series::POOL_BUSY, real(passed.busy_us) / 1e6),
        ];
        if let Some(server) = server {
            values.push((series::PG_PAST, real(past_now(console, server).await? as u64)));
        }
        Ok(values)
    }
}

/// The cache's Redis: its counters' slope, per second.
#[derive(Debug, Default)]
pub(super) struct Cache {
    before: Option<(Instant, Info)>,
}

impl Source for Cache {
    type Connection = Redis;

    async fn connect(&self, probes: &Probes) -> Result<Redis, ProbeError> {
        probes.cache().await
    }

    async fn read(&mut self, connection: &mut Redis) -> Result<Values, ProbeError> {
        let now = (Instant::now(), connection.info().await?);
        let Some(before) = self.before.replace(now.clone()) else { return Ok(Values::new()) };
        let seconds = now.0.duration_since(before.0).as_secs_f64();
        let slope = |field: &str| {
            let (old, new) = (before.1.count(field)?, now.1.count(field)?);
            // A counter that fell belongs to a restarted server: no slope for this second.
            Some(real(new.checked_sub(old)?) / seconds)
        };
        let names = [
            (series::CACHE_HITS, "keyspace_hits"),
            (series::CACHE_MISSES, "keyspace_misses"),
            (series::CACHE_EVICTED, "evicted_keys"),
        ];
        let levels = [
            (series::CACHE_BLOCKED, "blocked_clients"),
            (series::CACHE_MEMORY, "used_memory"),
            (series::CACHE_MOST, "maxmemory"),
        ];
        let level = |name: &'static str, field: &str| {
            // A maxmemory of 0 is none.
            let value = now.1.count(field).filter(|value| *value > 0 || name != series::CACHE_MOST)?;
            Some((name, real(value)))
        };
        let slopes = names.iter().filter_map(|(name, field)| Some((*name, slope(field)?)));
        Ok(slopes.chain(levels.iter().filter_map(|(name, field)| level(name, field))).collect())
    }
}
