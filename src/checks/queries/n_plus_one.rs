//! Queries: does a page ask row by row?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::Statement;
use crate::domain::text::tame;
use crate::probes::http::session::Session;
use crate::probes::postgres::Postgres;
use crate::probes::{ProbeError, Probes};

use super::{Check, Context, SHOWN, remedy};

/// `queries.no-n-plus-one`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoNPlusOne {
    /// Requests for each page and round.
    requests: u32,
    /// Rounds; the quietest one counts, because other people's traffic only adds.
    rounds: u32,
    /// Runs of one SELECT for one request that are too many.
    limit: f64,
    /// How long the database is watched without us first, ms: what runs anyway is nobody's page.
    idle_ms: u64,
}

impl Default for NoNPlusOne {
    fn default() -> Self {
        Self { requests: 3, rounds: 2, limit: 10.0, idle_ms: 1500 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct PageFacts {
    pages: Vec<Page>,
    /// Pages we may not see the statements of, with the reason.
    hidden: Option<Missing>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Page {
    path: String,
    status: u16,
    signed_in: bool,
    /// A cache answered at least once in spite of a new address.
    from_cache: bool,
    /// Runs of all statements for one request.
    statements: f64,
    /// The SELECT that ran most often for one request.
    most: Option<Repeated>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Repeated {
    /// Runs for one request, in the quietest round.
    runs: f64,
    text: String,
}

impl Check for NoNPlusOne {
    const ID: &'static str = "queries.no-n-plus-one";
    const TITLE: &'static str = "no page runs the same query row by row";
    const ABOUT: &'static str = "Asks for each named page a few times, private ones as the test user, always under a new address so that no \
        cache answers, and counts per statement what the database ran around them: one SELECT that runs ten times and more for one \
        request is an N+1. Traps: a cached page that hides its queries, batch jobs that run meanwhile (the quietest of several rounds \
        counts), statements whose text may not be seen.";
    const PHASE: Phase = Phase::Before;
    const ALONE: bool = true;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = &[
        "https://docs.djangoproject.com/en/5.2/ref/models/querysets/#select-related",
        "https://docs.djangoproject.com/en/5.2/topics/db/optimization/",
        "https://www.postgresql.org/docs/current/pgstatstatements.html",
    ];
    type Facts = PageFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<PageFacts, Missing> {
        let probes = ctx.probes;
        let database = probes.database().await?;
        let site = &probes.site;
        if site.public_pages.is_empty() && site.private_pages.is_empty() {
            return Err(Missing::new(
                "no page is named",
                "name pages in rampup.toml: [site] public_pages and private_pages",
            ));
        }
        let session = if site.private_pages.is_empty() { None } else { Some(probes.sign_in().await?) };
        let mut facts = PageFacts { pages: Vec::new(), hidden: None };
        let others = Others::watch(&database, self.idle_ms).await?;
        let public = site.public_pages.iter().map(|p| (p, None));
        for (path, session) in public.chain(site.private_pages.iter().map(|p| (p, session.as_ref()))) {
            facts.pages.push(self.page(probes, &database, &others, path, session).await?);
        }
        let snapshot = database.snapshot().await?;
        if snapshot.hidden > 0 {
            facts.hidden = Some(Missing::new(
                format!("{} statements of other users are hidden from us", snapshot.hidden),
                "as a superuser: GRANT pg_monitor TO the user in [services] database_direct_env",
            ));
        }
        Ok(facts)
    }

    fn judge(&self, facts: &PageFacts) -> CheckOutcome {
        let mut findings = Vec::new();
        for page in &facts.pages {
            let Some(most) = page.most.as_ref().filter(|most| most.runs >= self.limit) else { continue };
            findings.push(Finding {
                seen: format!(
                    "{} runs one query {:.0} times for one request: {}",
                    page.path,
                    most.runs,
                    tame(&most.text, SHOWN)
                ),
                todo: format!(
                    "in the view behind {} (or its template or serializer), {}",
                    page.path,
                    remedy::repeated(&most.text)
                ),
            });
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if let Some(hidden) = &facts.hidden {
            return CheckOutcome::Unknown(hidden.clone());
        }
        // A private page may well turn the test user away (the admin does): then it runs no query of its own. But one must
        // open, or nobody is signed in.
        let opens = facts.pages.iter().any(|p| p.signed_in && p.status == 200);
        let unseen = |p: &&Page| p.status != 200 && !(p.signed_in && opens && matches!(p.status, 302 | 403));
        if let Some(page) = facts.pages.iter().find(unseen) {
            return CheckOutcome::Unknown(Missing::new(
                format!("{} answers {}, so its queries were not seen", page.path, page.status),
                "name pages that answer 200 (private ones to the test user) in rampup.toml: [site] public_pages and private_pages",
            ));
        }
        if let Some(page) = facts.pages.iter().find(|p| p.from_cache) {
            return CheckOutcome::Unknown(Missing::new(
                format!("{} came out of a cache under an address nobody had asked for", page.path),
                "let the cache's key hold the query string, or name the app's own address in rampup.toml: [site] origin",
            ));
        }
        // A page or two may need no query; all of them without one means that we look at the wrong database.
        if !facts.pages.iter().any(|p| p.statements >= 1.0) {
            return CheckOutcome::Unknown(Missing::new(
                "no named page made the database run anything",
                "check that [services] database_direct_env leads to the app's own database",
            ));
        }
        CheckOutcome::Pass
    }
}

impl NoNPlusOne {
    async fn page(
        &self,
        probes: &Probes,
        database: &Postgres,
        others: &Others,
        path: &str,
        session: Option<&Session>,
    ) -> Result<Page, ProbeError> {
        let mut page = Page {
            path: path.to_owned(),
            status: 200,
            signed_in: session.is_some(),
            from_cache: false,
            statements: 0.0,
            most: None,
        };
        let mut quietest: Option<(u64, Vec<Statement>)> = None;
        for _ in 0..self.rounds.max(1) {
            let before = database.snapshot().await?;
            let began = Instant::now();
            for _ in 0..self.requests {
                let answer = probes.http.get_origin(path).nonce(&probes.nonce()).session(session).send().await?;
                page.from_cache |= answer.trail().from_cache();
                if answer.status != 200 {
                    page.status = answer.status;
                }
            }
            let ran = others.taken_off(before.until(&database.snapshot().await?)?, began.elapsed());
            let calls = ran.iter().map(|s| s.calls).sum();
            if quietest.as_ref().is_none_or(|(least, _)| calls < *least) {
                quietest = Some((calls, ran));
            }
        }
        let (calls, ran) = quietest.unwrap_or_default();
        let per_request = |calls: u64| calls as f64 / f64::from(self.requests.max(1));
        page.statements = per_request(calls);
        let selects = ran.iter().filter(|s| is_select(&s.text));
        page.most =
            selects.max_by_key(|s| s.calls).map(|s| Repeated { runs: per_request(s.calls), text: s.text.clone() });
        Ok(page)
    }
}

/// What runs without us: a batch job, a worker, other visitors.
struct Others {
    /// Calls a second by PostgreSQL's id of the statement.
    rates: BTreeMap<i64, f64>,
}

impl Others {
    async fn watch(database: &Postgres, idle_ms: u64) -> Result<Self, ProbeError> {
        let (before, began) = (database.snapshot().await?, Instant::now());
        tokio::time::sleep(Duration::from_millis(idle_ms.min(10_000))).await;
        let ran = before.until(&database.snapshot().await?)?;
        let seconds = began.elapsed().as_secs_f64().max(0.1);
        Ok(Self { rates: ran.iter().map(|s| (s.queryid, s.calls as f64 / seconds)).collect() })
    }

    /// The statements without what would have run anyway, half as much again for luck.
    fn taken_off(&self, ran: Vec<Statement>, took: Duration) -> Vec<Statement> {
        let anyway = |s: &Statement| {
            let rate = self.rates.get(&s.queryid).copied().unwrap_or(0.0);
            (rate * took.as_secs_f64() * 1.5).ceil() as u64
        };
        ran.into_iter()
            .map(|s| Statement { calls: s.calls.saturating_sub(anyway(&s)), ..s })
            .filter(|s| s.calls > 0)
            .collect()
    }
}

/// Health checks of kept connections are no query of the page.
fn is_select(text: &str) -> bool {
    let text = text.trim_start().to_ascii_lowercase();
    text.starts_with("select") && !matches!(text.as_str(), "select $1" | "select 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(runs: f64) -> Page {
        Page {
            path: "/orders/".to_owned(),
            status: 200,
            signed_in: true,
            from_cache: false,
            statements: runs + 3.0,
            most: Some(Repeated { runs, text: "SELECT * FROM vendor WHERE id = $1".to_owned() }),
        }
    }

    #[test]
    fn n_plus_one_traps() {
        let check = NoNPlusOne::default();
        let hidden = || Some(Missing::new("hidden", "grant"));
        for (word, pages, hidden_text) in [
            ("pass", vec![page(1.0)], None),
            ("pass", vec![page(9.0), Page { statements: 0.0, most: None, ..page(0.0) }], None),
            ("fail", vec![page(72.0)], None),
            ("fail", vec![page(1.0), page(10.0)], None),
            // Found is found, whatever else is hidden.
            ("fail", vec![page(72.0)], hidden()),
            ("unknown", vec![page(1.0)], hidden()),
            ("unknown", vec![], None),
            ("unknown", vec![Page { statements: 0.0, most: None, ..page(0.0) }], None),
            // The admin turns the test user away.
            ("pass", vec![page(1.0), Page { status: 302, ..page(0.0) }], None),
            ("unknown", vec![page(1.0), Page { status: 302, signed_in: false, ..page(0.0) }], None),
            ("unknown", vec![page(1.0), Page { status: 500, ..page(0.0) }], None),
            // A cached page hides its queries.
            ("unknown", vec![page(1.0), Page { from_cache: true, ..page(0.0) }], None),
        ] {
            assert_eq!(check.judge(&PageFacts { pages, hidden: hidden_text }).word(), word);
        }
        assert!(is_select("SELECT a FROM b") && !is_select("UPDATE b") && !is_select("SELECT $1"));
    }

    #[test]
    fn what_runs_anyway_is_nobodys_page() {
        let ran = |queryid, calls| Statement { queryid, text: "SELECT a".to_owned(), calls, total_ms: 1.0 };
        let others = Others { rates: BTreeMap::from([(1, 200.0)]) };
        let left = others.taken_off(vec![ran(1, 110), ran(2, 40), ran(3, 3)], Duration::from_millis(500));
        // A job asks 1 two hundred times a second; 2 is the page's own.
        assert_eq!(left.iter().map(|s| (s.queryid, s.calls)).collect::<Vec<_>>(), [(2, 40), (3, 3)]);
    }
}
