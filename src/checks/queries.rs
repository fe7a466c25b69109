//! Queries: does a page ask row by row, and did the costly statements really get cheaper?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::ids::StepId;
use crate::domain::measurement::{RampFacts, RampRecord, Statement};
use crate::domain::text::tame;
use crate::probes::http::session::Session;
use crate::probes::postgres::Postgres;
use crate::probes::{ProbeError, Probes};

use super::{Check, Context, Entry, ramp};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[Entry::of::<NoNPlusOne>(), Entry::of::<TopImproved>()];

/// Characters of a statement that a finding shows.
const SHOWN: usize = 120;

/// `queries.no-n-plus-one`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NoNPlusOne {
    /// Requests for each page and round.
    requests: u32,
    /// Rounds; the quietest one counts, because other people's traffic only adds.
    rounds: u32,
    /// Runs of one SELECT for one request that are too many.
    limit: f64,
}

impl Default for NoNPlusOne {
    fn default() -> Self {
        Self { requests: 3, rounds: 2, limit: 10.0 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct PageFacts {
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
        let public = site.public_pages.iter().map(|p| (p, None));
        for (path, session) in public.chain(site.private_pages.iter().map(|p| (p, session.as_ref()))) {
            facts.pages.push(self.page(probes, &database, path, session).await?);
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
                seen: format!("{} runs one query {:.0} times for one request: {}", page.path, most.runs, tame(&most.text, SHOWN)),
                todo: format!(
                    "in the view behind {}, fetch related rows at once: select_related for single ones, prefetch_related for lists, annotate \
                     for counts",
                    page.path
                ),
            });
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if let Some(hidden) = &facts.hidden {
            return CheckOutcome::Unknown(hidden.clone());
        }
        // A private page may well turn the test user away (the admin does): then it runs no query of its own.
        let unseen = |p: &&Page| p.status == 404 || p.status >= 500 || (p.status != 200 && !p.signed_in);
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
            for _ in 0..self.requests {
                let answer = probes.http.get_origin(path).nonce(&probes.nonce()).session(session).send().await?;
                page.from_cache |= answer.trail().from_cache();
                if answer.status != 200 {
                    page.status = answer.status;
                }
            }
            let ran = before.until(&database.snapshot().await?)?;
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

/// Health checks of kept connections are no query of the page.
fn is_select(text: &str) -> bool {
    let text = text.trim_start().to_ascii_lowercase();
    text.starts_with("select") && !matches!(text.as_str(), "select $1" | "select 1")
}

/// `queries.top-improved`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TopImproved {
    /// How many of the costliest statements count.
    top: usize,
    /// By how much each must have fallen, 0 to 1.
    fall: f64,
    /// Statements with less than this share of the database's time do not count, 0 to 1.
    share: f64,
    /// Ramps of earlier steps are no base: what caches took off since is not this step's doing.
    since_step: u8,
}

impl Default for TopImproved {
    fn default() -> Self {
        Self { top: 5, fall: 0.3, share: 0.05, since_step: 7 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct TopFacts {
    /// The ramp compared with; none when there is none.
    base: Option<Load>,
    now: Load,
    /// Why earlier ramps cannot be compared with.
    left_out: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Load {
    run: String,
    step: u8,
    users: u32,
    requests: u64,
    statements: Vec<Statement>,
}

impl Check for TopImproved {
    const ID: &'static str = "queries.top-improved";
    const TITLE: &'static str = "the costliest queries cost clearly less than before, at no less load";
    const ABOUT: &'static str = "Compares the database's statements over this ramp with those over the earliest comparable ramp since the load \
        tests began: each of the earlier top five that mattered must have fallen by 30 % in mean time or in time per request, their \
        sum too, and no new statement may have taken their place. Traps: a second run with less load, statistics that were reset in \
        between, averages over different scripts, a new query that is as heavy as the old one.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://www.postgresql.org/docs/current/pgstatstatements.html",
        "https://docs.djangoproject.com/en/5.2/topics/db/optimization/",
    ];
    type Facts = TopFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<TopFacts, Missing> {
        let ramp = ramp(ctx)?;
        let mut left_out = Vec::new();
        let mut base = None;
        for record in ctx.history {
            match self.comparable(record, ramp) {
                Ok(()) if base.is_none() => base = Some(load(record)),
                Ok(()) => {}
                Err(why) => left_out.push(format!("{} (step {}): {why}", record.run, record.step)),
            }
        }
        let now = load(&ramp.record(ctx.probes.run.clone(), jiff::Timestamp::now()));
        Ok(TopFacts { base, now, left_out })
    }

    fn judge(&self, facts: &TopFacts) -> CheckOutcome {
        let now = &facts.now;
        if now.statements.is_empty() || now.requests == 0 {
            return CheckOutcome::Unknown(Missing::new(
                "the statements of this ramp were not recorded",
                "name a direct DSN in rampup.toml: [services] database_direct_env, with pg_stat_statements and the right pg_monitor",
            ));
        }
        let Some(base) = &facts.base else {
            let left_out =
                if facts.left_out.is_empty() { String::new() } else { format!(": {}", facts.left_out.join("; ")) };
            return CheckOutcome::Unknown(Missing::new(
                format!("there is no earlier ramp to compare with{left_out}"),
                format!(
                    "run step {} with the same flows before you improve the queries, then this step again",
                    self.since_step
                ),
            ));
        };
        let before: f64 = base.statements.iter().map(|s| s.total_ms).sum();
        let top: Vec<&Statement> =
            base.statements.iter().take(self.top).filter(|s| s.total_ms >= self.share * before).collect();
        if top.is_empty() || base.requests == 0 || before <= 0.0 {
            return CheckOutcome::Unknown(Missing::new(
                format!("the earlier ramp {} names no statement that mattered", base.run),
                "give the sampler's user the right pg_monitor, run that step again, then this one",
            ));
        }
        let mut findings = Vec::new();
        let keep = 1.0 - self.fall;
        for old in &top {
            let (was, is) =
                (cost(old, base), now.statements.iter().find(|s| s.queryid == old.queryid).map(|s| cost(s, now)));
            // A statement that is not among the newer ones any more has gone, or costs less than all that are.
            let Some(is) = is else { continue };
            if is.mean > keep * was.mean && is.per_request > keep * was.per_request {
                findings.push(Finding {
                    seen: format!(
                        "{:.2} ms a call and {:.2} ms a request, before {:.2} and {:.2}: {}",
                        is.mean, is.per_request, was.mean, was.per_request, tame(&old.text, SHOWN)
                    ),
                    todo: "EXPLAIN it on the production data: add the index its WHERE and ORDER BY need, fetch fewer rows, or ask for it less often".to_owned(),
                });
            }
        }
        let known = |s: &Statement| base.statements.iter().any(|b| b.queryid == s.queryid);
        let worst = top.iter().map(|s| cost(s, base).per_request).fold(0.0, f64::max);
        for new in now.statements.iter().filter(|s| !known(s) && cost(s, now).per_request > keep * worst) {
            findings.push(Finding {
                seen: format!(
                    "a new statement costs {:.2} ms a request, the worst before {worst:.2}: {}",
                    cost(new, now).per_request,
                    tame(&new.text, SHOWN)
                ),
                todo: "what replaced the slow query is as slow: EXPLAIN it and look for the missing index".to_owned(),
            });
        }
        let sum = |load: &Load| load.statements.iter().take(self.top).map(|s| cost(s, load).per_request).sum::<f64>();
        if findings.is_empty() && sum(now) > keep * sum(base) {
            findings.push(Finding {
                seen: format!(
                    "the top {} statements cost {:.2} ms a request, before {:.2}",
                    self.top,
                    sum(now),
                    sum(base)
                ),
                todo: format!(
                    "improve the new top of pg_stat_statements until it costs {:.0} % less than before",
                    self.fall * 100.0
                ),
            });
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

impl TopImproved {
    fn comparable(&self, record: &RampRecord, now: &RampFacts) -> Result<(), &'static str> {
        if record.step > now.step || StepId::new(self.since_step).is_ok_and(|since| record.step < since) {
            return Err("a step before the load tests, or after this one");
        }
        if record.flows != now.flows {
            return Err("other flows");
        }
        if record.quick != now.plan.quick {
            return Err("a quick and a full measurement");
        }
        if record.users > now.plan.users {
            return Err("more users than now");
        }
        if record.statements.is_empty() || record.requests == 0 {
            return Err("no statements were recorded");
        }
        Ok(())
    }
}

/// What a statement cost.
struct Cost {
    /// ms a call.
    mean: f64,
    /// ms a request of the ramp.
    per_request: f64,
}

fn cost(statement: &Statement, load: &Load) -> Cost {
    Cost {
        mean: statement.total_ms / statement.calls.max(1) as f64,
        per_request: statement.total_ms / load.requests.max(1) as f64,
    }
}

fn load(record: &RampRecord) -> Load {
    Load {
        run: record.run.to_string(),
        step: record.step.number(),
        users: record.users,
        requests: record.requests,
        statements: record.statements.clone(),
    }
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

    fn statements(rows: &[(i64, u64, f64)]) -> Vec<Statement> {
        rows.iter()
            .map(|&(queryid, calls, total_ms)| Statement {
                queryid,
                text: format!("select {queryid}"),
                calls,
                total_ms,
            })
            .collect()
    }

    fn ramp(requests: u64, rows: &[(i64, u64, f64)]) -> Load {
        Load { run: "r".to_owned(), step: 7, users: 500, requests, statements: statements(rows) }
    }

    fn facts(base: Option<Load>, now: Load) -> TopFacts {
        TopFacts { base, now, left_out: vec![] }
    }

    #[test]
    fn improvement_traps() {
        let check = TopImproved::default();
        let base = || Some(ramp(1000, &[(1, 1000, 6000.0), (2, 40_000, 4000.0), (3, 10, 20.0)]));
        for (word, facts) in [
            // Two indexes.
            ("pass", facts(base(), ramp(2000, &[(3, 20, 40.0), (1, 2000, 20.0), (2, 4000, 10.0)]))),
            // Joined instead of asked row by row: the old one is gone, a new and cheaper one is there.
            ("pass", facts(base(), ramp(1000, &[(9, 1000, 500.0), (1, 1000, 100.0)]))),
            // The same mean, but asked far less often.
            ("pass", facts(base(), ramp(1000, &[(1, 100, 600.0), (2, 400, 40.0)]))),
            // Nothing done.
            ("fail", facts(base(), ramp(2000, &[(1, 2000, 12_000.0), (2, 80_000, 8000.0)]))),
            ("fail", facts(base(), ramp(1000, &[(1, 1000, 100.0), (2, 40_000, 3600.0)]))),
            // A new one as heavy as the old worst.
            ("fail", facts(base(), ramp(1000, &[(9, 1000, 5900.0), (1, 1000, 10.0)]))),
            // Three new ones that together cost the same.
            ("fail", facts(base(), ramp(1000, &[(7, 1000, 3000.0), (8, 1000, 3000.0), (9, 1000, 3000.0)]))),
            ("unknown", facts(None, ramp(1000, &[(1, 1000, 10.0)]))),
            ("unknown", facts(base(), ramp(1000, &[]))),
            ("unknown", facts(base(), ramp(0, &[(1, 1, 1.0)]))),
            ("unknown", facts(Some(ramp(1000, &[])), ramp(1000, &[(1, 1, 1.0)]))),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
