//! `load.run-valid`: do the ramp's numbers say something of the app?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::{Answers, Endpoint};
use crate::domain::ramp::RampEnd;
use crate::domain::verdict::{BLOCKED_LIMIT, TAINTED_LIMIT};

use super::{Check, Context, kept, ramp};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RunValid {
    /// Share of successful answers that may come from the edge's cache: above it the app was hardly asked.
    cached: f64,
    /// Share of answers that may be redirects: above it hardly a page was made.
    redirected: f64,
}

impl Default for RunValid {
    fn default() -> Self {
        Self { cached: 0.98, redirected: 0.5 }
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
    /// Answers that only named another address, and the endpoints of which half the answers did.
    redirects: u64,
    sent_on: Vec<String>,
    /// Why it did not end by itself.
    ended: Option<String>,
}

impl Check for RunValid {
    const ID: &'static str = "load.run-valid";
    const TITLE: &'static str = "the ramp's numbers are the app's own";
    const ABOUT: &'static str = "Looks at who answered and who asked: under one request in a hundred may have been answered by the edge instead of \
        the app, the generator must have been well in 95 % of the seconds, the hold have ended by itself, not nearly every answer have come from the \
        edge's cache, and at most half of them have been redirects, which are not followed. Traps: a firewall that answers quickly, pages that send \
        everybody to a login or to https, a generator short of processor or sockets, a ramp that never reached Django.";
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
            redirects: redirects(&measured.answers),
            sent_on: sent_on(&measured.endpoints),
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
        if share(facts.redirects) > self.redirected {
            found(
                format!(
                    "{} of {} answers were redirects, at {}: what was measured is how quickly the app sends people on, not its pages",
                    facts.redirects,
                    facts.requests,
                    facts.sent_on.join(", ")
                ),
                "see where they lead: rampup flow check; then let the flows ask for the addresses that pages really have (https, www, \
                 the language, the last slash), or give them a login (login = { path = \"/login/\", … }); a step for which a redirect is \
                 wrong says expect = [200]",
            );
        }
        if let Some(why) = &facts.ended {
            found(format!("the ramp did not end by itself: {why}"), "mend what stopped it, and run the step again");
        }
        if findings.is_empty() { CheckOutcome::Pass } else { CheckOutcome::Fail(findings) }
    }
}

/// Answers that name another address.
fn redirects(answers: &Answers) -> u64 {
    [301, 302, 303, 307, 308].iter().filter_map(|status| answers.statuses.get(status)).sum()
}

/// Endpoints of which half the answers are redirects, the most frequent first; five at most.
fn sent_on(endpoints: &BTreeMap<String, Endpoint>) -> Vec<String> {
    let mut found: Vec<(&String, u64)> = endpoints
        .iter()
        .map(|(name, endpoint)| (name, redirects(&endpoint.answers), endpoint.requests))
        .filter(|(_, redirects, requests)| *redirects > 0 && redirects * 2 >= *requests)
        .map(|(name, redirects, _)| (name, redirects))
        .collect();
    found.sort_by_key(|(_, redirects)| std::cmp::Reverse(*redirects));
    found.iter().take(5).map(|(name, redirects)| format!("{name} ({redirects})")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_traps() {
        let good = Facts {
            requests: 4000,
            blocked: 0,
            tainted: 0.0,
            hits: 2000,
            redirects: 120,
            sent_on: vec![],
            ended: None,
        };
        for (word, facts) in [
            ("pass", good.clone()),
            ("pass", Facts { blocked: 40, tainted: 0.05, ..good.clone() }),
            ("fail", Facts { blocked: 41, ..good.clone() }),
            ("fail", Facts { tainted: 0.06, ..good.clone() }),
            ("fail", Facts { hits: 3960, ..good.clone() }),
            // Each second request a form that leads on is fine; all pages behind a login are not.
            ("pass", Facts { redirects: 2000, ..good.clone() }),
            ("fail", Facts { redirects: 2900, sent_on: vec!["product (1900)".to_owned()], ..good.clone() }),
            ("fail", Facts { ended: Some("stopped by hand".to_owned()), ..good.clone() }),
            ("unknown", Facts { requests: 0, hits: 0, ..good.clone() }),
            // It was blocked before its hold began.
            ("fail", Facts { requests: 0, hits: 0, ended: Some("the edge answered".to_owned()), ..good }),
        ] {
            assert_eq!(RunValid::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
    #[test]
    fn redirects_are_counted_and_named() {
        let of = |statuses: &[(u16, u64)]| Endpoint {
            requests: statuses.iter().map(|(_, n)| n).sum(),
            answers: Answers { statuses: statuses.iter().copied().collect(), ..Answers::default() },
            ..Endpoint::default()
        };
        // 304 is an answer with a page that the caller has already.
        let product = of(&[(200, 2), (302, 90), (308, 10), (304, 3)]);
        assert_eq!(redirects(&product.answers), 100);
        let endpoints = BTreeMap::from([
            ("product".to_owned(), product),
            ("home".to_owned(), of(&[(200, 50), (302, 40)])),
            ("login".to_owned(), of(&[(302, 110)])),
            ("none".to_owned(), of(&[])),
        ]);
        assert_eq!(sent_on(&endpoints), ["login (110)", "product (100)"]);
    }
}
