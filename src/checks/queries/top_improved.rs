//! Queries: did the costly statements really get cheaper, at no less load?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::ids::StepId;
use crate::domain::measurement::{RampFacts, RampRecord, Statement};
use crate::domain::text::tame;
use crate::domain::verdict::RampOutcome;

use super::{Check, Context, SHOWN, ramp, remedy};

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
    /// Ramps of earlier steps are no base: what caches took off since is not this step's doing.
    since_step: u8,
}

impl Default for TopImproved {
    fn default() -> Self {
        Self { top: 5, fall: 0.3, share: 0.05, since_step: 7 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct TopFacts {
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
                        is.mean,
                        is.per_request,
                        was.mean,
                        was.per_request,
                        tame(&old.text, SHOWN)
                    ),
                    todo: format!("{}, fetch fewer rows, or ask for it less often", remedy::slow(&old.text)),
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
        if (record.think, record.model, record.engine) != (now.plan.think, now.plan.model, now.measurement.engine) {
            return Err("other pauses, arrivals or another load engine");
        }
        if !matches!(record.outcome, RampOutcome::Pass | RampOutcome::Fail | RampOutcome::Inconclusive) {
            return Err("not measured to the end");
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
