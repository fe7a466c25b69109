//! Does Sentry keep what it is sent, or does a quota or a filter eat it?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::probes::sentry::Outcome;

/// What is looked at; other categories (sessions, attachments, the index behind spans) have quotas of their own.
const CATEGORIES: [&str; 3] = ["error", "transaction", "span"];
/// Reasons for which an SDK itself drops something against its owner's wish. Its others are wishes: sample_rate,
/// before_send, event_processor.
const UNWANTED: [&str; 6] =
    ["ratelimit_backoff", "network_error", "send_error", "queue_overflow", "cache_overflow", "backpressure"];

/// `sentry.not-dropped`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NotDropped {
    /// Largest share of a category's events that may be lost, 0 to 1.
    max_share: f64,
}

impl Default for NotDropped {
    fn default() -> Self {
        Self { max_share: 0.01 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    project: String,
    /// How the last hour's events ended.
    outcomes: Vec<Outcome>,
}

/// One category's account of an hour.
#[derive(Debug, Default)]
struct Account {
    accepted: u64,
    filtered: u64,
    lost: u64,
    /// Lost events by "outcome: reason".
    why: BTreeMap<String, u64>,
}

impl Check for NotDropped {
    const ID: &'static str = "sentry.not-dropped";
    const TITLE: &'static str = "Sentry's quota leaves room: what the app sends is kept";
    const ABOUT: &'static str = "Reads how the project's errors, transactions and spans of the last hour ended: accepted, or lost to a \
        quota, a key's rate limit, or the SDK's own queue. Traps: Sentry's door answers 200 and the event is dropped behind it; what \
        the owner leaves out on purpose (sample_rate, before_send, inbound filters) is no loss, unless nothing at all is left.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Counted;
    const DOCS: &'static [&'static str] = &[
        "https://docs.sentry.io/product/stats/",
        "https://docs.sentry.io/api/organizations/retrieve-event-counts-for-an-organization-v2/",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let probes = ctx.probes;
        let project = probes.sentry_site()?.project.clone();
        let keys = probes.sentry_keys().await?;
        let number = keys.first().map(|key| key.project.clone()).ok_or_else(|| {
            Missing::new(
                format!("project {project:?} has no key, so nothing can be sent to it"),
                "see sentry.key-active",
            )
        })?;
        Ok(Facts { project, outcomes: probes.sentry_outcomes(&number).await? })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let project = &facts.project;
        let mut accounts: BTreeMap<&str, Account> = BTreeMap::new();
        for outcome in &facts.outcomes {
            let Some(category) = CATEGORIES.into_iter().find(|category| *category == outcome.category) else {
                continue;
            };
            let account = accounts.entry(category).or_default();
            match outcome.outcome.as_str() {
                "accepted" => account.accepted += outcome.quantity,
                "filtered" => account.filtered += outcome.quantity,
                "client_discard" if !UNWANTED.contains(&outcome.reason.as_str()) => {}
                lost => {
                    account.lost += outcome.quantity;
                    *account.why.entry(format!("{lost}: {}", outcome.reason)).or_default() += outcome.quantity;
                }
            }
        }
        let mut findings = Vec::new();
        for (category, account) in &accounts {
            #[expect(clippy::cast_precision_loss, reason = "a share of counts")]
            let share = account.lost as f64 / (account.lost + account.accepted).max(1) as f64;
            if share > self.max_share {
                let why: Vec<String> = account.why.iter().map(|(why, count)| format!("{why} {count}")).collect();
                findings.push(Finding {
                    seen: format!(
                        "project {project:?} lost {} of {} events of category {category} within the last hour ({})",
                        account.lost,
                        account.lost + account.accepted,
                        why.join(", ")
                    ),
                    todo: format!(
                        "send less (a lower traces_sample_rate is the usual remedy), or raise the quota or the key's rate limit; see it in \
                         Sentry under Stats & Usage, project {project}"
                    ),
                });
            } else if account.accepted == 0 && account.filtered > 0 {
                findings.push(Finding {
                    seen: format!("all {} events of category {category} were filtered out within the last hour", account.filtered),
                    todo: format!("look at Settings > Projects > {project} > Inbound Filters in Sentry: one of them takes everything"),
                });
            }
        }
        if !findings.is_empty() {
            return CheckOutcome::Fail(findings);
        }
        if accounts.values().all(|account| account.accepted == 0) {
            return CheckOutcome::Unknown(Missing::new(
                format!("Sentry counted nothing of project {project:?} within the last hour"),
                "see sentry.trace-roundtrip; Sentry counts with a delay of some minutes, so verify again then",
            ));
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(outcomes: &[(&str, &str, &str, u64)]) -> Facts {
        let outcome = |&(category, outcome, reason, quantity): &(&str, &str, &str, u64)| Outcome {
            category: category.to_owned(),
            outcome: outcome.to_owned(),
            reason: reason.to_owned(),
            quantity,
        };
        Facts { project: "shop".to_owned(), outcomes: outcomes.iter().map(outcome).collect() }
    }

    #[test]
    fn dropped_traps() {
        let check = NotDropped::default();
        let kept = ("transaction", "accepted", "", 1000);
        for (case, word, outcomes) in [
            ("all kept", "pass", vec![kept, ("error", "accepted", "", 2)]),
            (
                "one in twenty is traced, on purpose",
                "pass",
                vec![kept, ("transaction", "client_discard", "sample_rate", 19_000)],
            ),
            (
                "a filter for health checks",
                "pass",
                vec![kept, ("transaction", "filtered", "filtered-transaction", 400)],
            ),
            (
                "Sentry's own sampling behind the count",
                "pass",
                vec![kept, ("transaction_indexed", "filtered", "Sampled:0", 900)],
            ),
            (
                "five in a thousand met a full queue",
                "pass",
                vec![kept, ("transaction", "client_discard", "queue_overflow", 5)],
            ),
            ("the quota is used up", "fail", vec![("transaction", "rate_limited", "usage_exceeded", 500)]),
            ("the key's own limit", "fail", vec![kept, ("transaction", "rate_limited", "key_quota", 100)]),
            ("errors are dropped, traces are not", "fail", vec![kept, ("error", "rate_limited", "usage_exceeded", 3)]),
            ("the SDK holds back after a 429", "fail", vec![kept, ("error", "client_discard", "ratelimit_backoff", 3)]),
            ("a filter takes everything", "fail", vec![kept, ("error", "filtered", "localhost", 40)]),
            ("nothing was sent", "unknown", vec![]),
            ("only what nobody looks at", "unknown", vec![("attachment", "accepted", "", 4)]),
        ] {
            assert_eq!(check.judge(&facts(&outcomes)).word(), word, "{case}");
        }
    }
}
