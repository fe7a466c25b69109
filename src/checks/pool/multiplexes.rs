//! `pool.multiplexes`: under load many clients share few server connections, at half the users and at all of them.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::{FarSide, series};

use super::carries_app::{past, past_finding};
use super::{CONFIG, Check, Context, POOLS, Way, coverage, peak, ramp, thin, unwatched};

/// Seconds with somebody beside the pooler that are no accident, such as a person's look at the database.
const PAST: usize = 3;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Multiplexes {
    /// Queries for each request of the hold that must pass the pooler at least; caches answer the rest.
    queries_per_request: f64,
    /// Connections beside the pooler's that may go straight to the server (an exporter, a console).
    beside: f64,
    /// PgBouncer replicas. The console of one does not know the others' server connections.
    poolers: u32,
}

impl Default for Multiplexes {
    fn default() -> Self {
        Self { queries_per_request: 0.05, beside: 5.0, poolers: 1 }
    }
}

/// The pools at one number of users: medians over its seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Level {
    users: f64,
    clients: f64,
    servers: f64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    requests: u64,
    hold_seconds: usize,
    /// Seconds of the hold with figures of the pools.
    covered: usize,
    peak_clients: f64,
    peak_servers: f64,
    /// The pools at about half the users, on the way up, and in the hold; none when the climb left no such seconds.
    half: Option<Level>,
    full: Option<Level>,
    /// Queries that passed the pooler in the hold.
    queries: f64,
    /// Sessions opened at the server in the hold; none before PostgreSQL 14.
    sessions: Option<f64>,
    /// Median of server connections beside the pooler's; none without the database's series.
    beside: Option<f64>,
    /// Connections of the app's role past the pooler, right after the ramp; none when nobody could look.
    past: Option<usize>,
    /// Seconds of the hold with such a connection, of those with a look for it.
    #[serde(default)]
    past_seconds: (usize, usize),
    /// Server connections the pools may open.
    bound: u64,
}

impl Check for Multiplexes {
    const ID: &'static str = "pool.multiplexes";
    const TITLE: &'static str = "under load many clients share few server connections";
    const ABOUT: &'static str = "Reads the ramp's own series at half the users and at all of them: more clients than servers at the pooler (or, \
        for clients that come and go with every request, far fewer new server sessions than requests), servers that do not grow as \
        clients do, the app's queries really passing through, and nobody of the app's role beside it. Traps: a pooler that is up and \
        unused, workers that still connect directly (looked for in every second and right after the load, for some keep a connection and \
        some do not), an idle moment taken for the peak.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[POOLS, "https://www.pgbouncer.org/features.html", CONFIG];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let way = Way::ask(ctx.probes).await?;
        let pooled = way == Way::Pooled;
        let far_side = &ramp.far_side;
        let (hold_seconds, covered) = coverage(far_side, series::POOL_CLIENTS);
        Ok(Facts {
            requests: ramp.measurement.requests,
            hold_seconds,
            covered,
            peak_clients: peak(far_side, series::POOL_CLIENTS),
            peak_servers: peak(far_side, series::POOL_SERVERS),
            half: level(far_side, f64::from(ramp.plan.users) * 0.5),
            full: level(far_side, f64::from(ramp.plan.users)),
            queries: far_side.rise(series::POOL_QUERIES).unwrap_or(0.0),
            sessions: far_side.rise(series::PG_SESSIONS),
            beside: beside(far_side),
            past: if pooled { past(ctx.probes, self.poolers).await? } else { None },
            past_seconds: if self.poolers == 1 { past_seconds(far_side) } else { (0, 0) },
            bound: if pooled { ctx.probes.pooler().await?.bound().await? } else { 0 },
            way,
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        match &facts.way {
            Way::Own(_) | Way::Open(_) => return facts.way.without_pooler().unwrap_or(CheckOutcome::Pass),
            Way::Direct => {
                return CheckOutcome::fail(
                    "the app's address leads straight to PostgreSQL: every client has a server process of its own",
                    "put a pooler in transaction mode between the two; pool.in-path says how",
                );
            }
            Way::Pooled if facts.requests == 0 || thin(facts.hold_seconds, facts.covered) => {
                return unwatched(facts.hold_seconds, facts.covered);
            }
            Way::Pooled => {}
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
        } else if let Some(unshared) = facts.unshared() {
            wrong(
                unshared,
                "set pool_mode = transaction for this database in pgbouncer.ini and RELOAD; see it during a ramp: SHOW POOLS, cl_active \
                 above sv_active + sv_idle",
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
        if let Some(beside) = facts.beside.filter(|beside| *beside > self.beside) {
            wrong(
                format!("{beside:.0} connections go to the server beside PgBouncer's"),
                "give the workers and other services the pooled address too; only migrations need the direct one",
            );
        }
        match (facts.past, facts.past_seconds) {
            (Some(past @ 1..), _) => findings.push(past_finding(past)),
            // A worker that connects for each task is there for a moment only.
            (_, (seen @ PAST.., looked)) => {
                let finding = past_finding(1);
                let often = format!(
                    "in {seen} of {looked} s of the hold, somebody went past the pooler as the app's database user"
                );
                findings.push(Finding { seen: often, ..finding });
            }
            _ => {}
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

impl Facts {
    /// Why connections are not shared; none when they are. Clients that stay show it by their number, clients that come
    /// and go by sessions that are not opened, a growing crowd by servers that do not grow with it.
    fn unshared(&self) -> Option<String> {
        let requests = self.requests as f64;
        let few_sessions = self.sessions.is_some_and(|opened| opened < 0.05 * requests);
        if let (Some(half), Some(full)) = (self.half, self.full) {
            let (clients, servers) = (full.clients - half.clients, full.servers - half.servers);
            // One server more for each client more is no sharing, however few they are.
            if servers >= 3.0 && servers >= 0.8 * clients && full.servers >= 0.9 * full.clients && !few_sessions {
                return Some(format!(
                    "from {:.0} to {:.0} users, server connections grew from {:.0} to {:.0} as clients did ({:.0} to {:.0})",
                    half.users, full.users, half.servers, full.servers, half.clients, full.clients
                ));
            }
            if clients >= 3.0 && servers <= 0.2 * clients {
                return None;
            }
        }
        (self.peak_clients <= self.peak_servers && !few_sessions).then(|| {
            format!(
                "at most {:.0} clients used {:.0} server connections: nothing is shared",
                self.peak_clients, self.peak_servers
            )
        })
    }
}

/// The pools in the seconds with about so many users. A rung of the climb holds them for a while; a climb in one go
/// passes by.
fn level(far_side: &FarSide, users: f64) -> Option<Level> {
    let near = |now: f64| (now - users).abs() <= 0.15 * users;
    let seconds: Vec<_> = far_side
        .samples
        .iter()
        .filter(|s| s.values.get(series::LOAD_USERS).is_some_and(|now| near(*now)))
        .filter_map(|s| {
            let value = |name| s.values.get(name).copied();
            Some((value(series::LOAD_USERS)?, value(series::POOL_CLIENTS)?, value(series::POOL_SERVERS)?))
        })
        .collect();
    Some(Level {
        users: median(seconds.iter().map(|s| s.0))?,
        clients: median(seconds.iter().map(|s| s.1))?,
        servers: median(seconds.iter().map(|s| s.2))?,
    })
}

/// In how many seconds of the hold somebody went past the pooler, and in how many that was looked for.
fn past_seconds(far_side: &FarSide) -> (usize, usize) {
    let values = || far_side.held(series::PG_PAST).map(|(_, past)| past);
    (values().filter(|past| *past > 0.0).count(), values().count())
}

/// Median over the hold's seconds of server connections that are not the pooler's.
fn beside(far_side: &FarSide) -> Option<f64> {
    let held = far_side.hold?;
    median(
        far_side
            .samples
            .iter()
            .filter(|s| (held.0..held.1).contains(&s.second))
            .filter_map(|s| Some(s.values.get(series::PG_BACKENDS)? - s.values.get(series::POOL_SERVERS)?)),
    )
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ramp::ServerSample;

    fn load() -> Facts {
        Facts {
            way: Way::Pooled,
            requests: 1000,
            hold_seconds: 60,
            covered: 60,
            peak_clients: 18.0,
            peak_servers: 5.0,
            half: None,
            full: None,
            queries: 3000.0,
            sessions: Some(1.0),
            beside: Some(0.0),
            past: Some(0),
            past_seconds: (0, 60),
            bound: 8,
        }
    }

    fn levels(half: (f64, f64), full: (f64, f64), facts: Facts) -> Facts {
        let level = |users, (clients, servers)| Some(Level { users, clients, servers });
        Facts { half: level(50.0, half), full: level(100.0, full), ..facts }
    }

    #[test]
    fn traps() {
        let check = Multiplexes::default();
        let equal = || Facts { peak_clients: 12.0, peak_servers: 12.0, sessions: None, ..load() };
        for (word, facts) in [
            ("pass", load()),
            // CONN_MAX_AGE = 0 behind PgBouncer: clients come and go.
            ("pass", Facts { peak_clients: 2.0, ..load() }),
            ("pass", Facts { sessions: None, beside: None, past: None, ..load() }),
            ("fail", Facts { peak_clients: 2.0, sessions: None, ..load() }),
            ("fail", Facts { peak_clients: 5.0, sessions: Some(900.0), ..load() }),
            // Twice the users: servers stay, or grow a little, or grow as clients do.
            ("pass", levels((6.0, 4.0), (12.0, 4.0), load())),
            ("pass", levels((6.0, 2.0), (18.0, 5.0), load())),
            ("pass", levels((6.0, 12.0), (12.0, 12.0), equal())),
            ("fail", levels((6.0, 6.0), (12.0, 12.0), equal())),
            ("fail", levels((6.0, 6.0), (12.0, 12.0), Facts { peak_clients: 13.0, ..equal() })),
            // Threads, not users, bound the clients: nothing grows, and the hold alone decides.
            ("pass", levels((12.0, 3.0), (12.0, 4.0), load())),
            // Up and unused.
            ("fail", Facts { queries: 12.0, peak_clients: 0.0, peak_servers: 0.0, ..load() }),
            // Only the web service was switched.
            ("fail", Facts { beside: Some(16.0), ..load() }),
            ("fail", Facts { sessions: Some(190.0), beside: Some(1.0), ..load() }),
            ("fail", Facts { past: Some(2), ..load() }),
            // A worker that connects anew for each task.
            ("fail", Facts { past_seconds: (7, 60), ..load() }),
            ("pass", Facts { past_seconds: (2, 60), ..load() }),
            ("pass", Facts { sessions: Some(20.0), beside: Some(1.0), ..load() }),
            ("unknown", Facts { covered: 20, ..load() }),
            ("unknown", Facts { hold_seconds: 0, covered: 0, ..load() }),
            ("unknown", Facts { requests: 0, ..load() }),
            ("fail", Facts { way: Way::Direct, covered: 0, ..load() }),
            ("n/a", Facts { way: Way::Own("s.py".to_owned()), covered: 0, ..load() }),
            ("unknown", Facts { way: Way::Open("made".to_owned()), covered: 0, ..load() }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }

    fn sample(second: u32, values: &[(&str, f64)]) -> ServerSample {
        ServerSample { second, values: values.iter().map(|(name, v)| ((*name).to_owned(), *v)).collect() }
    }

    #[test]
    fn a_level_is_the_median_of_its_seconds() {
        let at = |second, users, clients, servers| {
            let names = [(series::LOAD_USERS, users), (series::POOL_CLIENTS, clients), (series::POOL_SERVERS, servers)];
            sample(second, &names)
        };
        let samples = vec![
            at(0, 20.0, 1.0, 1.0),
            at(1, 48.0, 5.0, 2.0),
            at(2, 50.0, 7.0, 3.0),
            at(3, 52.0, 6.0, 2.0),
            at(4, 100.0, 12.0, 4.0),
            // A second without the pools says nothing.
            sample(5, &[(series::LOAD_USERS, 100.0)]),
        ];
        let far_side = FarSide { samples, ..FarSide::default() };
        let half = level(&far_side, 50.0).unwrap();
        assert_eq!(half, Level { users: 50.0, clients: 6.0, servers: 2.0 });
        assert_eq!(level(&far_side, 100.0).map(|l| l.servers), Some(4.0));
        assert_eq!(level(&far_side, 200.0), None);
    }

    #[test]
    fn a_counter_that_restarts_counts_on() {
        let samples = [(0, 100.0), (1, 110.0), (2, 4.0), (3, 10.0), (9, 999.0)];
        let samples = samples.map(|(second, v)| sample(second, &[("x", v)])).to_vec();
        let far_side = FarSide { samples, hold: Some((0, 4)), ..FarSide::default() };
        assert_eq!(far_side.rise("x"), Some(20.0));
        assert_eq!(far_side.rise("y"), None);
    }
}
