//! `pool.conn-reuse`: without a pooler, the app does not connect anew for each request.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

use super::counting::{Meter, Rise, around};
use super::{Check, Context, DJANGO, Way};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConnReuse {
    /// Requests of the health endpoint, after as many that open what is to be kept.
    requests: u64,
    /// Sessions for each request at most.
    sessions_per_request: f64,
}

impl Default for ConnReuse {
    fn default() -> Self {
        Self { requests: 30, sessions_per_request: 0.3 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    /// Sessions opened at the server around our requests.
    sessions: Option<Rise>,
}

impl Check for ConnReuse {
    const ID: &'static str = "pool.conn-reuse";
    const TITLE: &'static str = "the app keeps its database connections from request to request";
    const ABOUT: &'static str = "Where the app connects directly, counts the sessions that PostgreSQL opens around thirty requests of ours, \
        after thirty that warmed it up: one for each request means that every request pays for a connection. Traps: xact_commit \
        (lags while sessions stay open), a pooled address (the pooler keeps its sessions whatever the app does: not applicable), the \
        first request of each worker.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] =
        &[DJANGO, "https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-DATABASE-VIEW"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let way = Way::ask(probes).await?;
        if way == Way::Pooled {
            return Ok(Facts { way, sessions: None });
        }
        let server = probes.database().await?;
        server.sessions().await?;
        let send = async || {
            for _ in 0..self.requests {
                probes.http.get_origin(&probes.site.health).nonce(&probes.nonce()).fresh().send().await?;
            }
            Ok(())
        };
        send().await?;
        let sessions = around(&[Meter::Sessions(server)], self.requests, send()).await?.0[0];
        Ok(Facts { way, sessions: Some(sessions) })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        match facts.sessions {
            _ if facts.way == Way::Pooled => CheckOutcome::NotApplicable(
                "the app connects to a pooler, which keeps the server's connections whatever the app does".to_owned(),
            ),
            None => CheckOutcome::Unknown(Missing::new("no sessions were counted", "verify again")),
            Some(sessions) if sessions.requests == 0 => {
                CheckOutcome::Unknown(Missing::new("no request was sent", "requests = 30"))
            }
            Some(sessions) if sessions.drowned() => CheckOutcome::Unknown(sessions.noise("the sessions counter")),
            Some(sessions) if sessions.per_request() <= self.sessions_per_request => CheckOutcome::Pass,
            Some(sessions) => CheckOutcome::fail(
                format!(
                    "{} requests opened {} sessions at PostgreSQL: the app connects anew for each request",
                    sessions.requests, sessions.rise
                ),
                "write CONN_MAX_AGE = 60 and CONN_HEALTH_CHECKS = True inside DATABASES[\"default\"] (at the top level they are ignored), \
                 or give Django a pool: OPTIONS = {\"pool\": True}. See it: select sessions from pg_stat_database before and after",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps() {
        let check = ConnReuse::default();
        let facts = |way, rise: Option<(u64, f64)>| Facts {
            way,
            sessions: rise.map(|(rise, idle)| Rise { requests: 30, rise, idle }),
        };
        let own = || Way::Own("s.py".to_owned());
        for (word, facts) in [
            ("pass", facts(Way::Direct, Some((1, 0.0)))),
            ("pass", facts(own(), Some((0, 0.0)))),
            // A worker's first request of the day.
            ("pass", facts(Way::Direct, Some((6, 0.0)))),
            ("fail", facts(Way::Direct, Some((30, 0.0)))),
            // A pool in the text that is not in force.
            ("fail", facts(own(), Some((30, 0.0)))),
            ("unknown", facts(Way::Direct, Some((50, 30.0)))),
            ("unknown", facts(Way::Direct, None)),
            ("n/a", facts(Way::Pooled, None)),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
