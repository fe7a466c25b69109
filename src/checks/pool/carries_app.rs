//! `pool.carries-app`: what the app asks its database goes through the pooler, and nothing of the app goes past it.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::pooler;
use crate::probes::{ProbeError, Probes};

use super::counting::{Meter, Rise, around};
use super::{CONFIG, Check, Context, POOLS, Way, at_railway};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CarriesApp {
    /// Requests of the health endpoint, and of each public page, that must show up at the pooler.
    requests: u64,
    /// Public pages asked for, at most.
    pages: usize,
    /// PgBouncer replicas. The console of one does not know the others' server connections.
    poolers: u32,
}

impl Default for CarriesApp {
    fn default() -> Self {
        Self { requests: 20, pages: 2, poolers: 1 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    variable: String,
    /// Queries the pooler passed on around our requests.
    queries: Option<Rise>,
    /// The same around visits of public pages: a health page may use another connection than they do, or none.
    #[serde(default)]
    pages: Vec<Page>,
    /// Connections of the app's role at the server that are not the pooler's; none when nobody could look.
    past: Option<usize>,
    /// Which database addresses the services at Railway refer to, where something went astray.
    #[serde(default)]
    at_railway: Vec<String>,
}

/// What visits of one public page moved.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Page {
    path: String,
    /// Queries the pooler passed on.
    queries: Rise,
    /// Statements the database executed; none when nobody could count them.
    statements: Option<Rise>,
}

/// Each request shows in this counter.
fn shows(rise: Rise) -> bool {
    rise.requests > 0 && !rise.drowned() && rise.per_request() >= 0.9
}

impl Page {
    /// The database worked for it, and at least half of that did not come through the pooler.
    fn astray(&self) -> bool {
        let ran = self.statements.filter(|ran| shows(*ran) && !self.queries.drowned());
        ran.is_some_and(|ran| self.queries.per_request() * 2.0 < ran.per_request())
    }

    fn carried(&self) -> bool {
        shows(self.queries) && !self.astray()
    }

    /// It makes the app ask nothing: all of it is cached.
    fn asks_nothing(&self) -> bool {
        self.statements.is_some_and(|ran| ran.requests > 0 && !ran.drowned() && ran.per_request() < 0.1)
    }
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

/// Asks for a page so often, each time under an address that no cache knows.
async fn visits(probes: &Probes, path: &str, times: u64) -> Result<(), ProbeError> {
    for _ in 0..times {
        probes.http.get_origin(path).nonce(&probes.nonce()).fresh().send().await?;
    }
    Ok(())
}

impl Check for CarriesApp {
    const ID: &'static str = "pool.carries-app";
    const TITLE: &'static str = "the app's queries go through the pooler, and none goes past it";
    const ABOUT: &'static str = "Counts the queries that PgBouncer passes on around requests of the health page and of public pages, above what it \
        passes on when we are silent, and beside them what PostgreSQL executed; then compares PostgreSQL's processes with those that PgBouncer says are its own: whoever \
        of the app's role is left connects directly. Traps: a pooler that is up and unused, an address written out in the settings, a \
        health page on another connection than the pages, and only the web service switched: a worker that keeps a connection open is seen here, one that has not worked yet is seen \
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
        let mut facts = self.look(ctx.probes).await?;
        if matches!(self.judge(&facts), CheckOutcome::Fail(_)) {
            facts.at_railway = at_railway::addresses(ctx.probes).await;
        }
        Ok(facts)
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        match self.seen(facts) {
            CheckOutcome::Fail(mut findings) => {
                findings.extend(at_railway::finding(&facts.at_railway));
                CheckOutcome::Fail(findings)
            }
            other => other,
        }
    }
}

impl CarriesApp {
    async fn look(&self, probes: &Probes) -> Result<Facts, Missing> {
        let (way, variable) = (Way::ask(probes).await?, probes.app_dsn()?.variable.clone());
        let mut facts = Facts { way, variable, queries: None, pages: Vec::new(), past: None, at_railway: Vec::new() };
        // A pooler that runs beside the path is counted too: it shows that nothing passes.
        if matches!(facts.way, Way::Own(_) | Way::Open(_))
            || (facts.way == Way::Direct && probes.access.pooler_console.is_none())
        {
            return Ok(facts);
        }
        let console = probes.pooler().await?;
        let mut meters = vec![Meter::Queries(console)];
        let send = visits(probes, &probes.site.health, self.requests);
        facts.queries = Some(around(&meters, self.requests, send).await?.0[0]);
        // Without its statistics the pooler's counter is left.
        if let Ok(database) = probes.database().await
            && database.calls().await.is_ok()
        {
            meters.push(Meter::Statements(database));
        }
        for path in probes.site.public_pages.iter().take(self.pages) {
            let rises = around(&meters, self.requests, visits(probes, path, self.requests)).await?.0;
            facts.pages.push(Page { path: path.clone(), queries: rises[0], statements: rises.get(1).copied() });
        }
        facts.past = past(probes, self.poolers).await?;
        Ok(facts)
    }

    fn seen(&self, facts: &Facts) -> CheckOutcome {
        if let (Way::Own(_) | Way::Open(_), Some(outcome)) = (&facts.way, facts.way.without_pooler()) {
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
        let carried = facts.pages.iter().any(Page::carried);
        for page in facts.pages.iter().filter(|page| page.astray()) {
            let ran = page.statements.map_or(0, |ran| ran.rise);
            findings.push(Finding {
                seen: format!(
                    "{} requests of {} made PostgreSQL execute {ran} statements, and {} queries passed through PgBouncer: the page asks \
                     past it",
                    page.queries.requests, page.path, page.queries.rise
                ),
                todo: elsewhere(variable),
            });
        }
        // A health page that asks nothing is health.touches-stores' to judge, where a page shows the way.
        if queries.per_request() < 0.9 && !queries.drowned() && !carried && findings.is_empty() {
            findings.push(Finding {
                seen: format!(
                    "{} requests that ask the database passed {} queries through PgBouncer: the app connects elsewhere",
                    queries.requests, queries.rise
                ),
                todo: elsewhere(variable),
            });
        }
        findings.extend(facts.past.filter(|past| *past > 0).map(past_finding));
        match findings {
            findings if !findings.is_empty() => CheckOutcome::Fail(findings),
            _ if carried => CheckOutcome::Pass,
            _ if queries.drowned() => CheckOutcome::Unknown(queries.noise("PgBouncer's query counter")),
            // Only the health page shows at the pooler. Pages that ask nothing leave nothing to see.
            _ if facts.past == Some(0) || facts.pages.iter().all(Page::asks_nothing) => CheckOutcome::Pass,
            _ => CheckOutcome::weak(
                format!(
                    "the health page asks through PgBouncer; whether {} does cannot be told",
                    facts.pages.iter().map(|page| page.path.as_str()).collect::<Vec<_>>().join(", ")
                ),
                "switch pg_stat_statements on and set [services] database_direct_env, or put a page that asks the database for every \
                 visit first in [site] public_pages",
            ),
        }
    }
}

/// What is to be done where the app's queries do not pass.
fn elsewhere(variable: &str) -> String {
    format!(
        "look for a database address written out in the settings, a second entry of DATABASES or one set for the service itself; the \
         app must use {variable}. See it: SHOW STATS on the console, total_query_count before and after a request"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(rise: u64, idle: f64, past: Option<usize>) -> Facts {
        Facts {
            way: Way::Pooled,
            variable: "DATABASE_URL".to_owned(),
            queries: Some(Rise { requests: 20, rise, idle }),
            pages: Vec::new(),
            past,
            at_railway: Vec::new(),
        }
    }

    fn page(queries: u64, statements: Option<u64>) -> Page {
        let rise = |rise| Rise { requests: 20, rise, idle: 0.0 };
        Page { path: "/catalogue".to_owned(), queries: rise(queries), statements: statements.map(rise) }
    }

    #[test]
    fn pages_say_more_than_the_health_page() {
        let seen = |health, past, pages: &[Page]| Facts { pages: pages.to_vec(), ..facts(health, 0.0, past) };
        let busy = Rise { requests: 20, rise: 900, idle: 880.0 };
        for (word, facts) in [
            ("pass", seen(20, None, &[page(60, Some(60))])),
            ("pass", seen(20, None, &[page(60, None)])),
            // The health page is pooled, the pages are not.
            ("fail", seen(20, None, &[page(0, Some(60))])),
            ("fail", seen(20, Some(0), &[page(20, Some(60))])),
            ("fail", seen(20, Some(0), &[page(60, Some(60)), page(0, Some(40))])),
            // It asks nobody, or another database: the pages show the way.
            ("pass", seen(0, Some(0), &[page(60, Some(60))])),
            ("pass", seen(0, None, &[page(60, None)])),
            ("fail", seen(0, Some(2), &[page(60, Some(60))])),
            ("fail", seen(0, None, &[page(0, Some(60))])),
            ("fail", seen(0, None, &[page(0, Some(0))])),
            // All of the page is cached.
            ("pass", seen(20, None, &[page(0, Some(0))])),
            // Nothing counts what the page asks.
            ("weak", seen(20, None, &[page(0, None)])),
            ("pass", seen(20, Some(0), &[page(0, None)])),
            // Others' traffic hides the page.
            ("weak", seen(20, None, &[Page { queries: busy, statements: Some(busy), ..page(0, None) }])),
        ] {
            assert_eq!(CarriesApp::default().judge(&facts).word(), word, "{facts:?}");
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
            ("unknown", Facts { way: Way::Open("made".to_owned()), queries: None, ..facts(0, 0.0, None) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
