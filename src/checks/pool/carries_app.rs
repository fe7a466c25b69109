//! `pool.carries-app`: what the app asks its database goes through the pooler, and nothing of the app goes past it.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::pooler;
use crate::probes::{ProbeError, Probes};

use super::counting::{Meter, Rise, around};
use super::{CONFIG, Check, Context, POOLS, Way};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CarriesApp {
    /// Requests of the health endpoint that must show up at the pooler.
    requests: u64,
    /// PgBouncer replicas. The console of one does not know the others' server connections.
    poolers: u32,
}

impl Default for CarriesApp {
    fn default() -> Self {
        Self { requests: 20, poolers: 1 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    variable: String,
    /// Queries the pooler passed on around our requests.
    queries: Option<Rise>,
    /// Connections of the app's role at the server that are not the pooler's; none when nobody could look.
    past: Option<usize>,
}

/// Connections of the pools' roles at the server that do not belong to the pooler.
pub(super) async fn past(probes: &Probes, poolers: u32) -> Result<Option<usize>, ProbeError> {
    let given = &probes.access.database_direct;
    if poolers > 1 || given.is_none() {
        return Ok(None);
    }
    Ok(Some(pooler::past(&probes.pooler().await?, &probes.database().await?).await?))
}

/// What is said of them.
pub(super) fn past_finding(past: usize) -> Finding {
    Finding {
        seen: format!("{past} connections of the app's database user go to PostgreSQL past the pooler"),
        todo: "give the worker, cron jobs and other services the pooled address too, and restart them; only migrations need the \
               direct one. See them: select pid, application_name, client_addr from pg_stat_activity, without the remote_pid of \
               SHOW SERVERS; a console of your own counts too while it is open"
            .to_owned(),
    }
}

impl Check for CarriesApp {
    const ID: &'static str = "pool.carries-app";
    const TITLE: &'static str = "the app's queries go through the pooler, and none goes past it";
    const ABOUT: &'static str = "Counts the queries that PgBouncer passes on around requests of ours that make the app ask its database, above \
        what it passes on when we are silent; then compares PostgreSQL's processes with those that PgBouncer says are its own: whoever \
        of the app's role is left connects directly. Traps: a pooler that is up and unused, an address written out in the settings, \
        and only the web service switched: a worker that keeps a connection open is seen here, one that has not worked yet is seen \
        after the ramp.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = &[
        "https://www.pgbouncer.org/usage.html#show-stats",
        "https://www.pgbouncer.org/usage.html#show-servers",
        POOLS,
        CONFIG,
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let (way, variable) = (Way::ask(probes).await?, probes.app_dsn()?.variable.clone());
        let mut facts = Facts { way, variable, queries: None, past: None };
        // A pooler that runs beside the path is counted too: it shows that nothing passes.
        if matches!(facts.way, Way::Own(_)) || (facts.way == Way::Direct && probes.access.pooler_console.is_none()) {
            return Ok(facts);
        }
        let console = probes.pooler().await?;
        let send = async {
            for _ in 0..self.requests {
                probes.http.get_origin(&probes.site.health).nonce(&probes.nonce()).fresh().send().await?;
            }
            Ok(())
        };
        facts.queries = Some(around(&[Meter::Queries(console)], self.requests, send).await?.0[0]);
        facts.past = past(probes, self.poolers).await?;
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if let (Way::Own(_), Some(outcome)) = (&facts.way, facts.way.without_pooler()) {
            return outcome;
        }
        let variable = &facts.variable;
        let mut findings = Vec::new();
        let counted = match facts.queries {
            None if facts.way == Way::Direct => {
                return CheckOutcome::fail(
                    format!("{variable} leads straight to PostgreSQL: nothing of the app passes a pooler"),
                    format!(
                        "let {variable} of the web service and of the workers lead to the pooler, and restart both"
                    ),
                );
            }
            None => None,
            Some(queries) if queries.requests == 0 => None,
            Some(queries) => Some(queries),
        };
        let Some(queries) = counted else {
            return CheckOutcome::Unknown(Missing::new("no request was counted at the pooler", super::CONSOLE));
        };
        if queries.per_request() < 0.9 && !queries.drowned() {
            findings.push(Finding {
                seen: format!(
                    "{} requests that ask the database passed {} queries through PgBouncer: the app connects elsewhere",
                    queries.requests, queries.rise
                ),
                todo: format!(
                    "look for a database address written out in the settings or set for the service itself; the app must use {variable}. \
                     See it: SHOW STATS on the console, total_query_count before and after a request"
                ),
            });
        }
        findings.extend(facts.past.filter(|past| *past > 0).map(past_finding));
        match findings {
            findings if !findings.is_empty() => CheckOutcome::Fail(findings),
            _ if queries.drowned() => CheckOutcome::Unknown(queries.noise("PgBouncer's query counter")),
            _ => CheckOutcome::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rise: u64, idle: f64, past: Option<usize>) -> Facts {
        Facts {
            way: Way::Pooled,
            variable: "DATABASE_URL".to_owned(),
            queries: Some(Rise { requests: 20, rise, idle }),
            past,
        }
    }

    #[test]
    fn traps() {
        let check = CarriesApp::default();
        for (word, facts) in [
            ("pass", facts(20, 0.0, Some(0))),
            ("pass", facts(60, 5.0, Some(0))),
            // Nobody can look at the server, or there are several poolers: the counter says enough.
            ("pass", facts(20, 0.0, None)),
            // It runs beside.
            ("fail", facts(0, 0.0, Some(0))),
            ("fail", facts(12, 9.0, None)),
            // Only the web service was switched; also where other traffic drowns the counter.
            ("fail", facts(20, 0.0, Some(2))),
            ("fail", facts(400, 390.0, Some(1))),
            ("unknown", facts(400, 390.0, Some(0))),
            ("unknown", Facts { queries: None, ..facts(0, 0.0, None) }),
            ("unknown", Facts { queries: Some(Rise { requests: 0, rise: 3, idle: 0.0 }), ..facts(0, 0.0, None) }),
            ("fail", Facts { way: Way::Direct, queries: None, ..facts(0, 0.0, None) }),
            ("fail", Facts { way: Way::Direct, ..facts(0, 0.0, Some(9)) }),
            ("n/a", Facts { way: Way::Own("s.py".to_owned()), queries: None, ..facts(0, 0.0, None) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
