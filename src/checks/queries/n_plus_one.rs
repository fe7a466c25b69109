//! Queries: does a page ask row by row?

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::Statement;
use crate::domain::text::tame;
use crate::probes::http::session::Session;
use crate::probes::postgres::Postgres;
use crate::probes::{ProbeError, Probes};

use super::loops::{Loops, Repeated, fits, list_for};
use super::others::Others;
use super::{Check, Context, SHOWN, remedy, shape};

/// `queries.no-n-plus-one`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoNPlusOne {
    /// Requests for each page and round.
    requests: u32,
    /// Rounds; the quietest one counts, because other people's traffic only adds.
    rounds: u32,
    /// Runs of any one SELECT for one request that are too many.
    limit: f64,
    /// Runs for one request that are too many of a SELECT that asks for one row, or for what belongs to one, beside a list
    /// whose rows it may be asked for. Twice is who is signed in.
    few: f64,
    /// How long the database is watched without us first, ms: what runs anyway is nobody's page.
    idle_ms: u64,
}

impl Default for NoNPlusOne {
    fn default() -> Self {
        Self { requests: 3, rounds: 2, limit: 10.0, few: 3.0, idle_ms: 1500 }
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
    /// It is not for the test user: refused, or sent to a login.
    #[serde(default)]
    turned_away: bool,
    /// A cache answered at least once in spite of a new address.
    from_cache: bool,
    /// Runs of all statements for one request.
    statements: f64,
    /// SELECTs that ran more than once for one request, most often first.
    repeated: Vec<Repeated>,
    /// One that may run too often for one request, or for other visitors.
    #[serde(default)]
    unsure: Option<Repeated>,
}

/// Repeated statements that are kept and told of each page.
const KEPT: usize = 5;
const TOLD: usize = 2;

impl Check for NoNPlusOne {
    const ID: &'static str = "queries.no-n-plus-one";
    const TITLE: &'static str = "no page runs the same query row by row";
    const ABOUT: &'static str = "Asks for each named page a few times, private ones as the test user, always under a new address so that no \
        cache answers, and counts per statement what the database ran around them: one SELECT that runs ten times and more for one \
        request is an N+1, and so is one that runs three times and asks for one row by its key, or for what belongs to one row, when \
        another query of the page gave as many rows: with a longer list it runs more often. Traps: a cached page that hides its \
        queries, a short list, who is signed in (asked twice), a row that is asked for by three parts of a page that shows no list, \
        a prefetch (IN), counts that a cache holds, batch jobs and visitors meanwhile (what runs without us is taken off, and each \
        statement's quietest round counts), statements whose text may not be seen.";
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
            let looped = page.repeated.iter().filter(|r| self.loops(r) == Loops::Yes);
            findings.extend(looped.take(TOLD).map(|r| told(page, r)));
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if let Some(hidden) = &facts.hidden {
            return CheckOutcome::Unknown(hidden.clone());
        }
        if let Some((page, unsure)) = facts.pages.iter().find_map(|page| Some((page, page.unsure.as_ref()?))) {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "others ask meanwhile for what {} asks for: whether one query of it runs {:.0} times a request cannot be told \
                     apart: {}",
                    page.path,
                    unsure.runs,
                    tame(&unsure.text, SHOWN)
                ),
                "verify at a quiet hour, or name in rampup.toml pages that nobody else asks for just now",
            ));
        }
        let perhaps = |page: &'_ Page| page.repeated.iter().find(|r| self.loops(r) == Loops::Perhaps).cloned();
        if let Some((page, perhaps)) = facts.pages.iter().find_map(|page| Some((page, perhaps(page)?))) {
            return CheckOutcome::Unknown(self.undecided(page, &perhaps));
        }
        // A private page may well turn the test user away (the admin does): then it runs no query of its own. But one must
        // open, or nobody is signed in.
        let opens = facts.pages.iter().any(|p| p.signed_in && p.status == 200);
        let unseen = |p: &&Page| p.status != 200 && !(p.signed_in && opens && p.turned_away);
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
            turned_away: false,
            from_cache: false,
            statements: 0.0,
            repeated: Vec::new(),
            unsure: None,
        };
        let (mut rounds, mut most) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds.max(1) {
            let [ours, at_most] = self.round(probes, database, others, &mut page, session).await?;
            rounds.push(shape::by_shape(ours));
            most.push(shape::by_shape(at_most));
        }
        self.count(&mut page, &rounds);
        if page.repeated.iter().any(|r| self.loops(r) != Loops::No) {
            // A job that began after we looked would be called this page's: look at what runs without us once more.
            let others = Others::watch(database, self.idle_ms).await?;
            let [ours, at_most] = self.round(probes, database, &others, &mut page, session).await?;
            rounds.push(shape::by_shape(ours));
            most.push(shape::by_shape(at_most));
            self.count(&mut page, &rounds);
        }
        page.unsure = self.repeated(&most).into_iter().find(|r| self.loops(r) == Loops::Yes);
        Ok(page)
    }

    /// What the database ran while the page was asked for a few times: surely for us, and at most.
    async fn round(
        &self,
        probes: &Probes,
        database: &Postgres,
        others: &Others,
        page: &mut Page,
        session: Option<&Session>,
    ) -> Result<[Vec<Statement>; 2], ProbeError> {
        let before = database.snapshot().await?;
        let began = Instant::now();
        for _ in 0..self.requests {
            let answer = probes.http.get_origin(&page.path).nonce(&probes.nonce()).session(session).send().await?;
            page.from_cache |= answer.trail().from_cache();
            if answer.status != 200 {
                page.status = answer.status;
                let login = probes.site.account.as_ref().map_or("/login", |account| account.login.as_str());
                let to_login = answer.header("location").is_some_and(|to| to.contains(login) || to.contains("/login"));
                page.turned_away = answer.status == 403 || to_login;
            }
        }
        let (ran, took) = (before.until(&database.snapshot().await?)?, began.elapsed());
        Ok([others.taken_off(&ran, took), others.at_most(&ran, took)])
    }

    /// Each statement's quietest round counts: what others do comes and goes, what a page does stays. So a count that a
    /// cache holds from the second time on is no repeated one.
    fn count(&self, page: &mut Page, rounds: &[Vec<Statement>]) {
        let all = rounds.iter().map(|round| round.iter().map(|s| s.calls).sum::<u64>()).min().unwrap_or(0);
        page.statements = self.per_request(all);
        page.repeated = self.repeated(rounds);
    }

    fn per_request(&self, calls: u64) -> f64 {
        calls as f64 / f64::from(self.requests.max(1))
    }

    fn repeated(&self, rounds: &[Vec<Statement>]) -> Vec<Repeated> {
        let least = |s: &Statement| {
            let calls = |round: &Vec<Statement>| round.iter().find(|r| r.queryid == s.queryid).map_or(0, |r| r.calls);
            rounds.iter().map(calls).min().unwrap_or(0)
        };
        let first = rounds.first().map_or(&[][..], Vec::as_slice);
        let selects = first.iter().filter(|s| shape::is_select(&s.text));
        let mut repeated: Vec<Repeated> = selects
            .map(|s| (s, self.per_request(least(s))))
            .filter(|(_, runs)| *runs > 1.0)
            .map(|(s, runs)| Repeated { runs, text: s.text.clone(), list: list_for(runs, s.queryid, rounds) })
            .collect();
        repeated.sort_by(|a, b| b.runs.total_cmp(&a.runs));
        repeated.truncate(KEPT);
        repeated
    }

    fn loops(&self, repeated: &Repeated) -> Loops {
        match repeated.list {
            _ if repeated.runs >= self.limit => Loops::Yes,
            Some(list) if repeated.runs >= self.few && shape::of_one_row(&repeated.text) => {
                if fits(repeated.runs, list) { Loops::Yes } else { Loops::Perhaps }
            }
            _ => Loops::No,
        }
    }

    fn undecided(&self, page: &Page, repeated: &Repeated) -> Missing {
        Missing::new(
            format!(
                "{} runs one query {:.0} times for one request, and shows a list of {:.0} rows: whether it is asked for some of \
                 them, or for one thing {:.0} times, cannot be told apart: {}",
                page.path,
                repeated.runs,
                repeated.list.unwrap_or_default(),
                repeated.runs,
                tame(&repeated.text, SHOWN)
            ),
            format!(
                "if it is a loop: {}; if not, ask once and keep the answer, or let the page show {:.0} rows or more, so that a loop \
                 would show",
                remedy::repeated(&repeated.text),
                self.limit
            ),
        )
    }
}

fn told(page: &Page, repeated: &Repeated) -> Finding {
    let Repeated { runs, text, .. } = repeated;
    Finding {
        seen: format!(
            "{} runs one query {runs:.0} times for one request, as a loop over the rows it shows does: {}",
            page.path,
            tame(text, SHOWN)
        ),
        todo: format!(
            "look into the view behind {} (or its template or serializer): {}; see it yourself: with \
             self.assertNumQueries(5): self.client.get(\"{}\") in a test lists every query it ran",
            page.path,
            remedy::repeated(text),
            page.path
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_KEY: &str = r#"SELECT "shop_vendor"."id" FROM "shop_vendor" WHERE "shop_vendor"."id" = $1"#;
    const LIST: &str = r#"SELECT "shop_vendor"."id" FROM "shop_vendor" ORDER BY "shop_vendor"."name" ASC"#;

    fn asks(runs: f64, text: &str) -> Page {
        Page {
            path: "/orders/".to_owned(),
            status: 200,
            signed_in: true,
            turned_away: false,
            from_cache: false,
            statements: runs + 3.0,
            repeated: vec![Repeated { runs, text: text.to_owned(), list: Some(runs) }],
            unsure: None,
        }
    }

    fn page(runs: f64) -> Page {
        asks(runs, BY_KEY)
    }

    fn beside(list: Option<f64>, runs: f64) -> Page {
        let mut page = page(runs);
        page.repeated[0].list = list;
        page
    }

    fn quiet() -> Page {
        Page { statements: 0.0, repeated: vec![], ..page(0.0) }
    }

    #[test]
    fn n_plus_one_traps() {
        let check = NoNPlusOne::default();
        let hidden = || Some(Missing::new("hidden", "grant"));
        for (word, pages, hidden_text) in [
            ("pass", vec![page(1.0)], None),
            // Who is signed in, asked by a middleware and by the view.
            ("pass", vec![page(2.0), quiet()], None),
            // Somebody else opened the same page meanwhile.
            (
                "unknown",
                vec![
                    Page {
                        unsure: Some(Repeated { runs: 6.0, text: BY_KEY.to_owned(), list: Some(6.0) }),
                        ..page(1.0)
                    },
                    quiet(),
                ],
                None,
            ),
            // Six rows on the page are six queries already.
            ("fail", vec![page(6.0)], None),
            ("fail", vec![page(3.0)], None),
            ("fail", vec![page(72.0)], None),
            ("fail", vec![page(1.0), page(10.0)], None),
            // A dashboard that counts one user's rows by status, and shows none of them.
            ("pass", vec![beside(None, 4.0)], None),
            ("fail", vec![beside(None, 10.0)], None),
            // Twice for each of three rows; and perhaps for those of twenty that have one.
            ("fail", vec![beside(Some(3.0), 6.0)], None),
            ("unknown", vec![beside(Some(20.0), 6.0)], None),
            ("pass", vec![beside(Some(20.0), 2.0)], None),
            // A list that three parts of the page show, and one that a loop asks for.
            ("pass", vec![asks(4.0, LIST)], None),
            ("fail", vec![asks(12.0, LIST)], None),
            ("pass", vec![asks(6.0, r#"SELECT "i"."id" FROM "i" WHERE "i"."order_id" IN ($1, $2)"#)], None),
            ("fail", vec![asks(6.0, r#"SELECT "i"."id" FROM "i" WHERE "i"."order_id" IN ($1)"#)], None),
            // Found is found, whatever else is hidden.
            ("fail", vec![page(72.0)], hidden()),
            ("unknown", vec![page(1.0)], hidden()),
            ("unknown", vec![], None),
            ("unknown", vec![quiet()], None),
            // The admin turns the test user away.
            ("pass", vec![page(1.0), Page { status: 302, turned_away: true, ..quiet() }], None),
            // It leads on to a page that nobody looked at.
            ("unknown", vec![page(1.0), Page { status: 302, ..quiet() }], None),
            ("unknown", vec![page(1.0), Page { status: 302, signed_in: false, ..quiet() }], None),
            ("unknown", vec![page(1.0), Page { status: 500, ..quiet() }], None),
            // A cached page hides its queries.
            ("unknown", vec![page(1.0), Page { from_cache: true, ..quiet() }], None),
        ] {
            assert_eq!(check.judge(&PageFacts { pages, hidden: hidden_text }).word(), word);
        }
    }

    #[test]
    fn each_statement_is_counted_in_its_quietest_round() {
        let ran = |queryid, calls| Statement { queryid, text: BY_KEY.to_owned(), calls, total_ms: 1.0, rows: calls };
        let check = NoNPlusOne::default();
        let mut page = quiet();
        // 1 is the page's; 2 is a count that a cache keeps; 3 and 4 are somebody else, once here and once there.
        check.count(&mut page, &[vec![ran(1, 18), ran(2, 24), ran(3, 40)], vec![ran(1, 18), ran(4, 50)]]);
        assert_eq!(page.repeated.iter().map(|r| r.runs).collect::<Vec<_>>(), [6.0]);
    }
}
