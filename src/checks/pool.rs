//! The pooler: is it in the app's path, and does it share few server connections among many clients under load?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::{FarSide, series};
use crate::probes::postgres;

use super::counting::{Meter, Rise, around};
use super::{Check, Context, Entry, ramp};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[Entry::of::<InPath>(), Entry::of::<Multiplexes>()];

const DOCS: &[&str] = &[
    "https://www.pgbouncer.org/features.html",
    "https://www.pgbouncer.org/usage.html#show-pools",
    "https://docs.djangoproject.com/en/5.2/ref/databases/#transaction-pooling-and-server-side-cursors",
];

/// `pool.in-path`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct InPath {
    /// Requests of the health endpoint that must show up at the pooler.
    requests: u64,
}

impl Default for InPath {
    fn default() -> Self {
        Self { requests: 20 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct PathFacts {
    /// The variable that holds the app's database address.
    variable: String,
    /// PgBouncer's own wording for databases that do not exist.
    pgbouncer: bool,
    /// Connections open at once, and the server processes behind them.
    connections: usize,
    backends: usize,
    /// Pool modes in use, from the console.
    modes: Vec<String>,
    /// Queries the pooler passed on around our requests; none without a console.
    queries: Option<Rise>,
}

impl Check for InPath {
    const ID: &'static str = "pool.in-path";
    const TITLE: &'static str = "the app reaches its database through a pooler in transaction mode";
    const ABOUT: &'static str = "Asks the app's own database address for databases that do not exist (PgBouncer says so in other words than \
        PostgreSQL) and opens eight connections at once: behind a transaction pooler they share server processes, directly or in \
        session mode each has its own. Then counts the pooler's queries around requests of ours. Traps: a pooler that runs beside an \
        app which still connects directly, session mode (the upstream default), CONN_MAX_AGE outside DATABASES.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Caused;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = PathFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<PathFacts, Missing> {
        let probes = ctx.probes;
        let key = probes.app_dsn()?;
        let behind = postgres::behind(key).await?;
        let mut facts = PathFacts {
            variable: key.variable.clone(),
            pgbouncer: behind.pgbouncer,
            connections: behind.connections,
            backends: behind.backends,
            modes: Vec::new(),
            queries: None,
        };
        if direct(&facts) || probes.access.pooler_console.is_none() {
            return Ok(facts);
        }
        let console = probes.pooler().await?;
        facts.modes = console.pools().await?.modes;
        let send = async {
            for _ in 0..self.requests {
                probes.http.get_origin(&probes.site.health).nonce(&probes.nonce()).fresh().send().await?;
            }
            Ok(())
        };
        facts.queries = Some(around(&[Meter::Queries(console)], self.requests, send).await?.0[0]);
        Ok(facts)
    }

    fn judge(&self, facts: &PathFacts) -> CheckOutcome {
        let variable = &facts.variable;
        if facts.connections < 2 || facts.backends == 0 {
            return CheckOutcome::Unknown(Missing::new("no connections were compared", "verify again"));
        }
        if direct(facts) {
            return CheckOutcome::fail(
                format!(
                    "{variable} leads straight to PostgreSQL: {} connections have {} server processes",
                    facts.connections, facts.backends
                ),
                format!(
                    "start PgBouncer with pool_mode = transaction, let {variable} of the app and its workers lead to it, and set DISABLE_SERVER_SIDE_CURSORS in DATABASES"
                ),
            );
        }
        if facts.backends >= facts.connections {
            return CheckOutcome::fail(
                format!(
                    "PgBouncer is there, but every connection keeps a server process of its own (modes: {})",
                    words(&facts.modes)
                ),
                "set pool_mode = transaction in pgbouncer.ini, also for this database's own line, and reload; the upstream default is session",
            );
        }
        match facts.queries {
            None => CheckOutcome::Unknown(Missing::new(
                format!(
                    "{variable} leads to a pooler, but without its console nobody can say that the app's requests pass through it"
                ),
                "give a user of stats_users a DSN of the database pgbouncer and name its variable in rampup.toml: [services] pooler_console_env",
            )),
            Some(queries) if queries.requests == 0 => {
                CheckOutcome::Unknown(Missing::new("no request was sent", "requests = 20"))
            }
            Some(queries) if queries.drowned() => CheckOutcome::Unknown(queries.noise("PgBouncer's query counter")),
            Some(queries) if queries.per_request() < 0.9 => CheckOutcome::fail(
                format!(
                    "{} requests that ask the database passed {:.0} queries through PgBouncer: the app connects elsewhere",
                    queries.requests,
                    queries.per_request() * queries.requests as f64
                ),
                format!(
                    "look for a database address written out in the settings or set for the service itself; the app must use {variable}"
                ),
            ),
            Some(_) => CheckOutcome::Pass,
        }
    }
}

fn direct(facts: &PathFacts) -> bool {
    !facts.pgbouncer && facts.backends >= facts.connections
}

fn words(modes: &[String]) -> String {
    if modes.is_empty() { "not known".to_owned() } else { modes.join(", ") }
}

/// `pool.multiplexes`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Multiplexes {
    /// Share of the hold's seconds in which clients may wait for a server.
    waiting_share: f64,
    /// Queries for each request of the hold that must pass the pooler at least; caches answer the rest.
    queries_per_request: f64,
    /// Connections beside the pooler's that may go straight to the server (an exporter, a console).
    beside: f64,
}

impl Default for Multiplexes {
    fn default() -> Self {
        Self { waiting_share: 0.1, queries_per_request: 0.05, beside: 5.0 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct LoadFacts {
    users: u32,
    requests: u64,
    hold_seconds: usize,
    /// Seconds of the hold with figures of the pools.
    covered: usize,
    peak_clients: f64,
    peak_servers: f64,
    /// Share of the covered seconds with a waiting client, and the longest wait, seconds.
    waiting_share: f64,
    longest_wait: f64,
    /// Queries that passed the pooler in the hold.
    queries: f64,
    /// Sessions opened at the server in the hold; none before PostgreSQL 14.
    sessions: Option<f64>,
    /// Median of server connections beside the pooler's; none without the database's series.
    beside: Option<f64>,
    /// Server connections the pools may open, and those the server has for them.
    bound: u64,
    capacity: u64,
}

impl Check for Multiplexes {
    const ID: &'static str = "pool.multiplexes";
    const TITLE: &'static str = "under load many clients share few server connections, and none waits";
    const ABOUT: &'static str = "Reads the hold's own series: more clients than servers at the pooler (or, for clients that come and go \
        with every request, far fewer new server sessions than requests), hardly anyone waiting, the app's queries really passing \
        through, and no crowd of connections beside it. Traps: a pooler that is up and unused, workers that still connect directly, \
        an idle moment taken for the peak, pool sizes that add up to more than the server has. A worker that connects directly but \
        rarely is not seen here.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = DOCS;
    type Facts = LoadFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<LoadFacts, Missing> {
        let ramp = ramp(ctx)?;
        let (bound, capacity) =
            (ctx.probes.pooler().await?.bound().await?, ctx.probes.database().await?.capacity().await?);
        let far_side = &ramp.far_side;
        let peak = |name| far_side.held(name).map(|(_, v)| v).fold(0.0, f64::max);
        let waiting: Vec<f64> = far_side.held(series::POOL_WAITING).map(|(_, v)| v).collect();
        let (from, to) = far_side.hold.unwrap_or((0, 0));
        Ok(LoadFacts {
            users: ramp.plan.users,
            requests: ramp.measurement.requests,
            hold_seconds: to.saturating_sub(from) as usize,
            covered: waiting.len(),
            peak_clients: peak(series::POOL_CLIENTS),
            peak_servers: peak(series::POOL_SERVERS),
            waiting_share: waiting.iter().filter(|w| **w > 0.0).count() as f64 / waiting.len().max(1) as f64,
            longest_wait: peak(series::POOL_MAXWAIT),
            queries: far_side.rise(series::POOL_QUERIES).unwrap_or(0.0),
            sessions: far_side.rise(series::PG_SESSIONS),
            beside: beside(far_side),
            bound,
            capacity: capacity.connections.saturating_sub(capacity.reserved),
        })
    }

    fn judge(&self, facts: &LoadFacts) -> CheckOutcome {
        if facts.hold_seconds == 0 || facts.requests == 0 || (facts.covered as f64) < 0.9 * facts.hold_seconds as f64 {
            return CheckOutcome::Unknown(Missing::new(
                format!("the pools were seen in {} of {} s of the hold", facts.covered, facts.hold_seconds),
                "name PgBouncer's console in rampup.toml: [services] pooler_console_env, and check that its user is in stats_users",
            ));
        }
        let mut findings = Vec::new();
        let mut wrong = |seen: String, todo: &str| findings.push(Finding { seen, todo: todo.to_owned() });
        let requests = facts.requests as f64;
        if facts.queries < self.queries_per_request * requests {
            wrong(
                format!(
                    "{:.0} queries passed PgBouncer during {} requests: the app's work goes elsewhere",
                    facts.queries, facts.requests
                ),
                "let the database address of the app and of its workers lead to PgBouncer, then restart both",
            );
        } else {
            // Clients that stay show it by their number; clients that come and go by sessions that are not opened.
            let few_sessions = facts.sessions.is_some_and(|opened| opened < 0.05 * requests);
            if facts.peak_clients <= facts.peak_servers && !few_sessions {
                wrong(
                    format!(
                        "at most {:.0} clients used {:.0} server connections: nothing is shared",
                        facts.peak_clients, facts.peak_servers
                    ),
                    "set pool_mode = transaction for this database in pgbouncer.ini and reload",
                );
            }
        }
        if facts.waiting_share > self.waiting_share || facts.longest_wait >= 1.0 {
            wrong(
                format!(
                    "clients waited for a server connection in {:.0} % of the seconds, up to {:.1} s",
                    facts.waiting_share * 100.0,
                    facts.longest_wait
                ),
                "raise default_pool_size a little (2 to 4 for each core of the database), and shorten transactions and slow queries",
            );
        }
        if facts.bound > facts.capacity {
            wrong(
                format!(
                    "the pools may open {} server connections, the server has {} for them",
                    facts.bound, facts.capacity
                ),
                "lower default_pool_size until pools × sizes fit under max_connections, with some left for migrations",
            );
        }
        // A pool opens its servers once; sessions that keep coming are somebody who connects anew for each piece of work.
        if let Some(opened) = facts.sessions.filter(|opened| *opened > facts.bound as f64 + 0.05 * requests) {
            wrong(
                format!(
                    "{opened:.0} sessions were opened at the server during {} requests: something connects past PgBouncer, again and again",
                    facts.requests
                ),
                "give the workers and other services the pooled address too; only migrations need the direct one",
            );
        }
        if facts.beside.is_some_and(|beside| beside > self.beside) {
            wrong(
                format!("{:.0} connections go to the server beside PgBouncer's", facts.beside.unwrap_or_default()),
                "give the workers and other services the pooled address too; only migrations need the direct one",
            );
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

/// Median over the hold's seconds of server connections that are not the pooler's.
fn beside(far_side: &FarSide) -> Option<f64> {
    let held = far_side.hold?;
    let mut beside: Vec<f64> = far_side
        .samples
        .iter()
        .filter(|s| (held.0..held.1).contains(&s.second))
        .filter_map(|s| Some(s.values.get(series::PG_BACKENDS)? - s.values.get(series::POOL_SERVERS)?))
        .collect();
    beside.sort_by(f64::total_cmp);
    beside.get(beside.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ramp::ServerSample;

    fn path(pgbouncer: bool, backends: usize, queries: Option<(u64, f64)>) -> PathFacts {
        PathFacts {
            variable: "DATABASE_URL".to_owned(),
            pgbouncer,
            connections: 8,
            backends,
            modes: vec!["transaction".to_owned()],
            queries: queries.map(|(rise, idle)| Rise { requests: 20, rise, idle }),
        }
    }

    #[test]
    fn path_traps() {
        let check = InPath::default();
        for (word, facts) in [
            ("pass", path(true, 1, Some((20, 0.0)))),
            // A busy pool gives several servers, still fewer than clients; another pooler has other words.
            ("pass", path(true, 5, Some((60, 5.0)))),
            ("pass", path(false, 1, Some((20, 0.0)))),
            ("fail", path(false, 8, None)),
            // Session mode.
            ("fail", path(true, 8, Some((20, 0.0)))),
            // It runs beside.
            ("fail", path(true, 1, Some((0, 0.0)))),
            ("fail", path(true, 1, Some((12, 9.0)))),
            ("unknown", path(true, 1, None)),
            ("unknown", path(true, 1, Some((400, 390.0)))),
            ("unknown", PathFacts { backends: 0, ..path(true, 1, Some((20, 0.0))) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }

    fn load() -> LoadFacts {
        LoadFacts {
            users: 100,
            requests: 1000,
            hold_seconds: 60,
            covered: 60,
            peak_clients: 18.0,
            peak_servers: 5.0,
            waiting_share: 0.0,
            longest_wait: 0.0,
            queries: 3000.0,
            sessions: Some(1.0),
            beside: Some(0.0),
            bound: 8,
            capacity: 37,
        }
    }

    #[test]
    fn load_traps() {
        let check = Multiplexes::default();
        for (word, facts) in [
            ("pass", load()),
            // CONN_MAX_AGE = 0 behind PgBouncer: clients come and go.
            ("pass", LoadFacts { peak_clients: 2.0, ..load() }),
            ("pass", LoadFacts { sessions: None, beside: None, ..load() }),
            ("fail", LoadFacts { peak_clients: 2.0, sessions: None, ..load() }),
            ("fail", LoadFacts { peak_clients: 5.0, sessions: Some(900.0), ..load() }),
            // Up and unused.
            ("fail", LoadFacts { queries: 12.0, peak_clients: 0.0, peak_servers: 0.0, ..load() }),
            ("fail", LoadFacts { waiting_share: 0.4, ..load() }),
            ("fail", LoadFacts { longest_wait: 1.4, ..load() }),
            ("fail", LoadFacts { bound: 60, ..load() }),
            // Only the web service was switched.
            ("fail", LoadFacts { beside: Some(16.0), ..load() }),
            ("fail", LoadFacts { sessions: Some(190.0), beside: Some(1.0), ..load() }),
            ("pass", LoadFacts { sessions: Some(20.0), beside: Some(1.0), ..load() }),
            ("unknown", LoadFacts { covered: 20, ..load() }),
            ("unknown", LoadFacts { hold_seconds: 0, covered: 0, ..load() }),
            ("unknown", LoadFacts { requests: 0, ..load() }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn a_counter_that_restarts_counts_on() {
        let samples = [(0, 100.0), (1, 110.0), (2, 4.0), (3, 10.0), (9, 999.0)];
        let samples = samples.map(|(second, v)| ServerSample { second, values: [("x".to_owned(), v)].into() }).to_vec();
        let far_side = FarSide { samples, hold: Some((0, 4)), ..FarSide::default() };
        assert_eq!(far_side.rise("x"), Some(20.0));
        assert_eq!(far_side.rise("y"), None);
    }
}
