//! May the broker throw tasks away when its memory is short, or refuse new ones?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::text::tame;
use crate::domain::units::mib;

/// `jobs.broker-keeps-jobs`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BrokerKeepsJobs {
    /// Share of maxmemory that may be in use.
    full: f64,
}

impl Default for BrokerKeepsJobs {
    fn default() -> Self {
        Self { full: 0.9 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeepsFacts {
    /// `maxmemory`, bytes; 0 is no limit.
    most: Option<u64>,
    used: u64,
    policy: Option<String>,
    /// Keys evicted since the server started.
    evicted: u64,
}

impl Check for BrokerKeepsJobs {
    const ID: &'static str = "jobs.broker-keeps-jobs";
    const TITLE: &'static str = "the broker never throws a task away";
    const ABOUT: &'static str = "Reads the limit, the eviction policy and the count of evicted keys that the broker's Redis has in force \
        right now. Under allkeys-… a full Redis throws whole queues away without a word to anybody; under noeviction a full one refuses \
        new tasks, loudly. Traps: the cache's Redis used as the broker; a policy written into a file that the server never read.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://redis.io/docs/latest/develop/reference/eviction/",
        "https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html#key-eviction",
    ];
    type Facts = KeepsFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<KeepsFacts, Missing> {
        let info = ctx.probes.broker().await?.redis().info().await?;
        Ok(KeepsFacts {
            most: info.count("maxmemory"),
            used: info.count("used_memory").unwrap_or(0),
            policy: info.text("maxmemory_policy").map(|policy| tame(policy, 40)),
            evicted: info.count("evicted_keys").unwrap_or(0),
        })
    }

    fn judge(&self, facts: &KeepsFacts) -> CheckOutcome {
        let (Some(most), Some(policy)) = (facts.most, facts.policy.as_deref()) else {
            return CheckOutcome::Unknown(Missing::new(
                "the broker's Redis does not tell its maxmemory and its policy",
                "look at both in your provider's settings: a broker needs noeviction; a user who may run INFO sees them at an ordinary Redis",
            ));
        };
        // Queues have no expiry, so volatile-… leaves them alone.
        if most > 0 && policy.starts_with("allkeys") {
            let already = if facts.evicted > 0 {
                format!("; {} keys were thrown away already", facts.evicted)
            } else {
                String::new()
            };
            return CheckOutcome::fail(
                format!("at {} the broker throws keys away, queues among them (policy {policy}){already}", mib(most)),
                "CONFIG SET maxmemory-policy noeviction on the broker's Redis and the same in its redis.conf; if it is the cache too, \
                 start a second Redis for the queue. See it: redis-cli -u BROKER INFO memory",
            );
        }
        if most > 0 && facts.used as f64 > self.full * most as f64 {
            return CheckOutcome::fail(
                format!("the broker uses {} of {}: soon it refuses every new task", mib(facts.used), mib(most)),
                "look at what fills it (redis-cli -u BROKER --bigkeys): results nobody reads (CELERY_RESULT_EXPIRES), a queue nobody \
                 serves; or give it more memory",
            );
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_hurts_only_with_a_limit() {
        let facts = |most, used, policy: &str| KeepsFacts { most, used, policy: Some(policy.to_owned()), evicted: 0 };
        for (word, facts) in [
            ("pass", facts(Some(0), 1 << 20, "noeviction")),
            ("pass", facts(Some(0), 1 << 20, "allkeys-lru")),
            ("pass", facts(Some(64 << 20), 1 << 20, "noeviction")),
            ("pass", facts(Some(64 << 20), 1 << 20, "volatile-lru")),
            ("fail", facts(Some(64 << 20), 1 << 20, "allkeys-lru")),
            ("fail", facts(Some(64 << 20), 63 << 20, "noeviction")),
            ("unknown", facts(None, 1 << 20, "noeviction")),
            ("unknown", KeepsFacts { policy: None, ..facts(Some(0), 1, "") }),
        ] {
            assert_eq!(BrokerKeepsJobs::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
