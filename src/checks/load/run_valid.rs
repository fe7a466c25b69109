//! `load.run-valid`: do the ramp's numbers say something of the app?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::ramp::RampEnd;
use crate::domain::verdict::{BLOCKED_LIMIT, TAINTED_LIMIT};

use super::{Check, Context, kept, ramp};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RunValid {
    /// Share of successful answers that may come from the edge's cache: above it the app was hardly asked.
    cached: f64,
}

impl Default for RunValid {
    fn default() -> Self {
        Self { cached: 0.98 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    requests: u64,
    /// Answers of the edge or the platform instead of the app.
    blocked: u64,
    /// Share of seconds in which the generator was unwell.
    tainted: f64,
    /// Answers that say they came from the edge's cache.
    hits: u64,
    /// Why it did not end by itself.
    ended: Option<String>,
}

impl Check for RunValid {
    const ID: &'static str = "load.run-valid";
    const TITLE: &'static str = "the ramp's numbers are the app's own";
    const ABOUT: &'static str = "Looks at who answered and who asked: under one request in a hundred may have been answered by the edge instead of \
        the app, the generator must have been well in 95 % of the seconds, the hold have ended by itself, and not nearly every answer have come from the \
        edge's cache. Traps: a firewall that answers quickly, a generator short of processor or sockets, a ramp that never reached Django.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://grafana.com/docs/k6/latest/testing-guides/running-large-tests/",
        "https://developers.cloudflare.com/cache/concepts/cache-responses/",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let measured = &ramp.measurement;
        Ok(Facts {
            requests: measured.requests,
            blocked: measured.blocked,
            tainted: ramp.verdict.tainted,
            hits: kept(measured),
            ended: match &measured.end {
                RampEnd::Completed => None,
                RampEnd::Aborted(why) | RampEnd::Invalid(why) => Some(why.clone()),
            },
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if facts.requests == 0 && facts.ended.is_none() {
            return CheckOutcome::Unknown(Missing::new("the hold made no request", "run the step whole"));
        }
        let mut findings = Vec::new();
        let mut found = |seen: String, todo: &str| findings.push(Finding { seen, todo: todo.to_owned() });
        let share = |count: u64| count as f64 / facts.requests.max(1) as f64;
        if share(facts.blocked) > BLOCKED_LIMIT {
            found(
                format!(
                    "{} of {} requests were answered by the edge instead of the app",
                    facts.blocked, facts.requests
                ),
                "let this machine's address or the User-Agent rampup/ past the edge's firewall and rate limit while you measure",
            );
        }
        if facts.tainted > TAINTED_LIMIT {
            found(
                format!("the load generator was unwell in {:.0} % of the seconds", 100.0 * facts.tainted),
                "run rampup on a machine of its own, or with more processors and open files (ulimit -n)",
            );
        }
        if share(facts.hits) > self.cached {
            found(
                format!(
                    "{:.0} % of the answers came from the edge's cache: the app was hardly asked",
                    100.0 * share(facts.hits)
                ),
                "let the flows also do what only the app can answer: search, sign in, put into the cart",
            );
        }
        if let Some(why) = &facts.ended {
            found(format!("the ramp did not end by itself: {why}"), "mend what stopped it, and run the step again");
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_traps() {
        let good = Facts { requests: 4000, blocked: 0, tainted: 0.0, hits: 2000, ended: None };
        for (word, facts) in [
            ("pass", good.clone()),
            ("pass", Facts { blocked: 40, tainted: 0.05, ..good.clone() }),
            ("fail", Facts { blocked: 41, ..good.clone() }),
            ("fail", Facts { tainted: 0.06, ..good.clone() }),
            ("fail", Facts { hits: 3960, ..good.clone() }),
            ("fail", Facts { ended: Some("stopped by hand".to_owned()), ..good.clone() }),
            ("unknown", Facts { requests: 0, hits: 0, ..good.clone() }),
            // It was blocked before its hold began.
            ("fail", Facts { requests: 0, hits: 0, ended: Some("the edge answered".to_owned()), ..good }),
        ] {
            assert_eq!(RunValid::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
