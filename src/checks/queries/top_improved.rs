//! Queries: did the costly statements really get cheaper, at no less load?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::Statement;
use crate::domain::text::tame;

use super::spending::{Cost, Load, comparable, cost, load};
use super::{Check, Context, OFTEN, SHOWN, ramp, remedy};

/// `queries.top-improved`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TopImproved {
    /// How many of the costliest statements count.
    top: usize,
    /// By how much each must have fallen, 0 to 1.
    fall: f64,
    /// Statements with less than this share of the database's time do not count, 0 to 1.
    share: f64,
    /// A statement below this mean, ms, is cheap and need not fall, unless it is asked so often that it costs as much for
    /// each request all the same, or more than `busy`. Up to ten times as slow it is cheap with a fifth of both.
    cheap_ms: f64,
    /// Share of one core that no statement may use and still be called cheap, 0 to 1.
    busy: f64,
    /// Calls for each request below which a statement is nobody's page: a nightly job, a dump, a VACUUM.
    rare: f64,
    /// Ramps of earlier steps are no base: what caches took off since is not this step's doing.
    since_step: u8,
}

impl Default for TopImproved {
    fn default() -> Self {
        Self { top: 5, fall: 0.3, share: 0.05, cheap_ms: 0.5, busy: 0.1, rare: 0.002, since_step: 7 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TopFacts {
    /// The ramp compared with; none when there is none.
    base: Option<Load>,
    now: Load,
    /// Why earlier ramps cannot be compared with.
    left_out: Vec<String>,
    /// What could not be read over this ramp; facts from before it was kept have none.
    #[serde(default)]
    missing: Vec<Missing>,
}

impl Check for TopImproved {
    const ID: &'static str = "queries.top-improved";
    const TITLE: &'static str = "the costliest queries cost clearly less than before, at no less load";
    const ABOUT: &'static str = "Compares the database's statements over this ramp with those over the earliest comparable ramp since the load \
        tests began: each of the earlier top five that mattered must have fallen by 30 % in mean time or in time per request, their \
        sum too, and no new statement may have taken their place. What is cheap now (under half a millisecond a call and a request, \
        and under a tenth of a core) need not fall. Traps: a cheap statement that is asked thousands of times a second, a job \
        that runs beside the ramp (what ran for less than one request in five hundred is nobody's page), a second run with less load, statistics that were reset in \
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
            match comparable(record, ramp, self.since_step) {
                Ok(()) if base.is_none() => base = Some(load(record)),
                Ok(()) => {}
                Err(why) => left_out.push(format!("{} (step {}): {why}", record.run, record.step)),
            }
        }
        let mut now = load(&ramp.record(ctx.probes.run.clone(), jiff::Timestamp::now()));
        now.seconds = ramp.far_side.hold.map(|(from, to)| f64::from(to.saturating_sub(from)));
        Ok(TopFacts { base, now, left_out, missing: ramp.far_side.missing.clone() })
    }

    fn judge(&self, facts: &TopFacts) -> CheckOutcome {
        let now = &facts.now;
        if now.statements.is_empty() || now.requests == 0 {
            return CheckOutcome::Unknown(not_recorded(&facts.missing));
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
        let (old, new) = (self.of_requests(base), self.of_requests(now));
        if new.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                "none of the costliest statements of this ramp was run by its requests",
                "check that [services] database_direct_env leads to the database that the app asks, and run the step while no dump or batch \
                 job runs",
            ));
        }
        let before: f64 = old.iter().map(|s| s.total_ms).sum();
        let top: Vec<&Statement> =
            old.iter().copied().take(self.top).filter(|s| s.total_ms >= self.share * before).collect();
        if top.is_empty() || base.requests == 0 || before <= 0.0 {
            return CheckOutcome::Unknown(Missing::new(
                format!("the earlier ramp {} names no statement that mattered", base.run),
                "give the sampler's user the right pg_monitor, run that step again, then this one",
            ));
        }
        let keep = 1.0 - self.fall;
        let mut findings = self.not_fallen(&top, base, now);
        let known = |s: &Statement| base.statements.iter().any(|b| b.queryid == s.queryid);
        let worst = top.iter().map(|s| cost(s, base).per_request).fold(0.0, f64::max);
        let heavy = |s: &&&Statement| !known(s) && !self.cheap(s, now) && cost(s, now).per_request > keep * worst;
        for fresh in new.iter().filter(heavy) {
            let Cost { mean, per_request } = cost(fresh, now);
            findings.push(Finding {
                seen: format!(
                    "a new statement costs {per_request:.2} ms a request ({mean:.2} ms a call, {} calls during {} requests), \
                     the worst before {worst:.2}: {}",
                    fresh.calls,
                    now.requests,
                    tame(&fresh.text, SHOWN)
                ),
                todo: format!(
                    "what replaced the slow query is as slow: {}; {SEE}",
                    remedy::costly(&fresh.text, mean, fresh.calls as f64 / now.requests.max(1) as f64)
                ),
            });
        }
        let was: f64 = old.iter().take(self.top).map(|s| cost(s, base).per_request).sum();
        let is = self.weight(&new, now);
        if findings.is_empty() && is > keep * was {
            findings.push(Finding {
                seen: format!("the top {} statements cost {is:.2} ms a request, before {was:.2}", self.top),
                todo: format!(
                    "improve the new top of pg_stat_statements until it costs {:.0} % less than before; {SEE}",
                    self.fall * 100.0
                ),
            });
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

/// Why there are no statements, as far as that is known.
fn not_recorded(missing: &[Missing]) -> Missing {
    let what = "the statements of this ramp were not recorded";
    if missing.is_empty() {
        return Missing::new(
            what,
            "name a direct DSN in rampup.toml: [services] database_direct_env, with pg_stat_statements and the right pg_monitor",
        );
    }
    let (why, provide): (Vec<_>, Vec<_>) = missing.iter().map(|m| (m.what.as_str(), m.provide.as_str())).unzip();
    Missing::new(format!("{what}: {}", why.join("; ")), provide.join("; "))
}

/// Cheap statements that together are still cheap, in measures of one.
const TOGETHER: f64 = 4.0;
/// How to see it without us.
const SEE: &str = "see it yourself: SELECT calls, mean_exec_time, query FROM pg_stat_statements ORDER BY total_exec_time DESC LIMIT 10";

impl TopImproved {
    /// The statements that requests ran, costliest first.
    fn of_requests<'a>(&self, load: &'a Load) -> Vec<&'a Statement> {
        let least = (self.rare * load.requests as f64).max(OFTEN as f64);
        load.statements.iter().filter(|s| s.calls as f64 >= least).collect()
    }

    /// It costs too little to hold a step, whether it fell or not.
    fn cheap(&self, statement: &Statement, load: &Load) -> bool {
        let Cost { mean, per_request } = cost(statement, load);
        let cores = load.seconds.filter(|s| *s > 0.0).map_or(0.0, |s| statement.total_ms / 1000.0 / s);
        // What takes a little longer is cheap only where it is next to nothing in all: an INSERT of 1 ms in one request of fifty.
        let within = |slow: f64, part: f64| {
            mean < slow * self.cheap_ms && per_request < part * self.cheap_ms && cores < part * self.busy
        };
        within(1.0, 1.0) || within(10.0, 0.2)
    }

    /// What the top costs now, ms a request. What is cheap does not hold a step by itself, so it does not weigh here either:
    /// unless many cheap ones together are a load.
    fn weight(&self, new: &[&Statement], now: &Load) -> f64 {
        let top = || new.iter().take(self.top);
        let all: f64 = top().map(|s| cost(s, now).per_request).sum();
        let cores = |seconds: f64| top().map(|s| s.total_ms).sum::<f64>() / 1000.0 / seconds;
        let light = all < TOGETHER * self.cheap_ms
            && now.seconds.filter(|s| *s > 0.0).is_none_or(|seconds| cores(seconds) < TOGETHER * self.busy);
        if light {
            new.iter().filter(|s| !self.cheap(s, now)).take(self.top).map(|s| cost(s, now).per_request).sum()
        } else {
            all
        }
    }

    /// What each of the earlier top has to say for itself.
    fn not_fallen(&self, top: &[&Statement], base: &Load, now: &Load) -> Vec<Finding> {
        let keep = 1.0 - self.fall;
        let mut findings = Vec::new();
        for old in top {
            // A statement that is not among the newer ones any more has gone, or costs less than all that are.
            let Some(new) = now.statements.iter().find(|s| s.queryid == old.queryid) else { continue };
            let (was, is) = (cost(old, base), cost(new, now));
            if self.cheap(new, now) || is.mean <= keep * was.mean || is.per_request <= keep * was.per_request {
                continue;
            }
            findings.push(Finding {
                seen: format!(
                    "{:.2} ms a call and {:.2} ms a request, before {:.2} and {:.2} (ramp {} of step {}): {}",
                    is.mean,
                    is.per_request,
                    was.mean,
                    was.per_request,
                    base.run,
                    base.step,
                    tame(&old.text, SHOWN)
                ),
                todo: format!(
                    "{}; {SEE}",
                    remedy::costly(&old.text, is.mean, new.calls as f64 / now.requests.max(1) as f64)
                ),
            });
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(rows: &[(i64, u64, f64)]) -> Vec<Statement> {
        rows.iter()
            .map(|&(queryid, calls, total_ms)| Statement {
                queryid,
                text: format!("select {queryid}"),
                calls,
                total_ms,
                rows: 0,
            })
            .collect()
    }

    fn ramp(requests: u64, rows: &[(i64, u64, f64)]) -> Load {
        let run = "r".to_owned();
        Load { run, step: 7, users: 500, requests, seconds: Some(60.0), statements: statements(rows) }
    }

    fn facts(base: Option<Load>, now: Load) -> TopFacts {
        TopFacts { base, now, left_out: vec![], missing: vec![] }
    }

    #[test]
    fn improvement_traps() {
        let check = TopImproved::default();
        let five = || ramp(1000, &[1, 2, 3, 4, 5].map(|id| (id, 1000, 450.0)));
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
            // Cheap before, cheap now: 0.2 ms, once a request.
            (
                "pass",
                facts(
                    Some(ramp(1000, &[(1, 1000, 200.0), (2, 500, 50.0)])),
                    ramp(1000, &[(1, 1000, 210.0), (2, 500, 50.0)]),
                ),
            ),
            // One was mended, the cheap one beside it stayed.
            (
                "pass",
                facts(
                    Some(ramp(1000, &[(1, 1000, 900.0), (2, 1000, 200.0)])),
                    ramp(1000, &[(2, 1000, 200.0), (1, 1000, 50.0)]),
                ),
            ),
            // 1 ms a call, and next to nothing in all.
            (
                "pass",
                facts(Some(ramp(954, &[(1, 18, 20.3), (2, 197, 10.6)])), ramp(949, &[(1, 17, 19.9), (2, 204, 10.1)])),
            ),
            // As rare, and slow; as slow a call, in each request.
            ("fail", facts(Some(ramp(954, &[(1, 18, 900.0)])), ramp(949, &[(1, 17, 880.0)]))),
            ("fail", facts(Some(ramp(954, &[(1, 954, 1000.0)])), ramp(949, &[(1, 949, 1000.0)]))),
            // As cheap a call, fifty times a request.
            ("fail", facts(Some(ramp(1000, &[(1, 50_000, 10_000.0)])), ramp(1000, &[(1, 50_000, 10_000.0)]))),
            // As cheap a call, once a request, five thousand times a second.
            ("fail", facts(Some(ramp(300_000, &[(1, 300_000, 60_000.0)])), ramp(300_000, &[(1, 300_000, 60_000.0)]))),
            // Five that are each cheap, and together are not.
            ("fail", facts(Some(five()), five())),
            // A new one that is cheap, where all was cheap.
            ("pass", facts(Some(ramp(1000, &[(1, 1000, 200.0)])), ramp(1000, &[(9, 1000, 190.0)]))),
            // A nightly job beside this ramp, and beside the one before: two statements of seconds.
            ("pass", facts(base(), ramp(1000, &[(8, 9, 9000.0), (1, 1000, 100.0)]))),
            (
                "pass",
                facts(
                    Some(ramp(1000, &[(8, 9, 9000.0), (1, 1000, 900.0)])),
                    ramp(1000, &[(8, 9, 9000.0), (1, 1000, 90.0)]),
                ),
            ),
            // A rare page is a page: one request in a hundred.
            ("fail", facts(base(), ramp(1000, &[(9, 10, 9000.0), (1, 1000, 10.0)]))),
            ("unknown", facts(None, ramp(1000, &[(1, 1000, 10.0)]))),
            ("unknown", facts(base(), ramp(1000, &[]))),
            ("unknown", facts(base(), ramp(0, &[(1, 1, 1.0)]))),
            ("unknown", facts(Some(ramp(1000, &[])), ramp(1000, &[(1, 1, 1.0)]))),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn statements_that_are_missing_are_asked_for_by_their_reason() {
        let full = || Missing::new("pg_stat_statements dropped statements", "raise pg_stat_statements.max");
        let pooler = || Missing::new("no address of PgBouncer", "name it");
        for (missing, what, provide) in [
            (vec![], "not recorded", "name a direct DSN"),
            (vec![full()], "not recorded: pg_stat_statements dropped", "raise pg_stat_statements.max"),
            (vec![pooler(), full()], "PgBouncer; pg_stat_statements dropped", "name it; raise pg_stat_statements.max"),
        ] {
            let facts = TopFacts { missing, ..facts(None, ramp(1000, &[])) };
            let CheckOutcome::Unknown(told) = TopImproved::default().judge(&facts) else { panic!("{facts:?}") };
            assert!(told.what.contains(what) && told.provide.starts_with(provide), "{told:?}");
        }
        let mut old = serde_json::to_value(facts(None, ramp(1, &[]))).unwrap();
        old.as_object_mut().unwrap().remove("missing");
        assert!(serde_json::from_value::<TopFacts>(old).unwrap().missing.is_empty());
    }
}
