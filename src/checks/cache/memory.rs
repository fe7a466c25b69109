//! The cache's memory: is there a limit, what happens at it, and does the job queue share it?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::text::tame;
use crate::domain::units::mib;
use crate::probes::redis::Info;

/// `cache.bounded`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Bounded {}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BoundedFacts {
    /// `maxmemory`, bytes; 0 is no limit.
    most: Option<u64>,
    used: Option<u64>,
    /// `maxmemory_policy`.
    policy: Option<String>,
}

impl Check for Bounded {
    const ID: &'static str = "cache.bounded";
    const TITLE: &'static str = "the cache has a limit, and makes room when it is full";
    const ABOUT: &'static str = "Reads the limit and the eviction policy that the cache's Redis has in force right now. A cache without \
        maxmemory grows until its machine kills it; one that is full under noeviction refuses every new page. Traps: a policy that is \
        set while maxmemory is 0, a configuration file that the running server never read.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://redis.io/docs/latest/develop/reference/eviction/"];
    type Facts = BoundedFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<BoundedFacts, Missing> {
        let info = ctx.probes.cache().await?.info().await?;
        Ok(BoundedFacts {
            most: info.count("maxmemory"),
            used: info.count("used_memory"),
            policy: info.text("maxmemory_policy").map(|policy| tame(policy, 40)),
        })
    }

    fn judge(&self, facts: &BoundedFacts) -> CheckOutcome {
        let (Some(most), Some(policy)) = (facts.most, facts.policy.as_deref()) else {
            return CheckOutcome::Unknown(Missing::new(
                "this Redis does not tell its maxmemory and its policy",
                "look at both in your provider's settings; a user who may run INFO sees them at an ordinary Redis",
            ));
        };
        let used = mib(facts.used.unwrap_or_default());
        if most == 0 {
            return CheckOutcome::fail(
                format!(
                    "maxmemory is 0 (policy {policy}): the cache holds {used} now and grows until its machine kills it"
                ),
                "give it a limit below the machine's memory: CONFIG SET maxmemory 256mb and CONFIG SET maxmemory-policy allkeys-lru, \
                 then the same two lines in redis.conf (at a provider: in its settings). See it: redis-cli INFO memory",
            );
        }
        if policy == "noeviction" {
            return CheckOutcome::fail(
                format!(
                    "at {} the cache is full and then refuses every write (policy noeviction); it holds {used} now",
                    mib(most)
                ),
                "CONFIG SET maxmemory-policy allkeys-lru, and the same in redis.conf: a cache may forget. A job queue must not, so \
                 give Celery a Redis of its own first. See it: redis-cli INFO memory",
            );
        }
        CheckOutcome::Pass
    }
}

/// `cache.broker-separate`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct BrokerSeparate {}

/// What tells one Redis server from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Server {
    run_id: Option<String>,
    /// Process, port and uptime, for a provider that hides the id.
    traits: Option<(u64, u64, u64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct BrokerFacts {
    /// None when no broker is named: the queue comes in step 6.
    broker: Option<Server>,
    cache: Server,
}

impl Server {
    fn of(info: &Info) -> Self {
        let run_id = info.text("run_id").filter(|id| id.len() >= 8).map(|id| tame(id, 64));
        let traits =
            (|| Some((info.count("process_id")?, info.count("tcp_port")?, info.count("uptime_in_seconds")?)))();
        Self { run_id, traits }
    }
}

impl Check for BrokerSeparate {
    const ID: &'static str = "cache.broker-separate";
    const TITLE: &'static str = "the job queue has a Redis of its own";
    const ABOUT: &'static str = "Asks the Redis behind the cache's address and the one behind the broker's who they are: one run id means \
        one server, whatever the host names and database numbers say. They want opposite things when memory is short: a cache must \
        forget, a queue must not. Trap: two addresses, or two database numbers, of the same server.";
    const PHASE: Phase = Phase::Before;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] =
        &["https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html"];
    type Facts = BrokerFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<BrokerFacts, Missing> {
        let cache = Server::of(&ctx.probes.cache().await?.info().await?);
        if ctx.probes.access.broker.is_none() {
            return Ok(BrokerFacts { broker: None, cache });
        }
        let broker = Server::of(&ctx.probes.broker().await?.redis().info().await?);
        Ok(BrokerFacts { broker: Some(broker), cache })
    }

    fn judge(&self, facts: &BrokerFacts) -> CheckOutcome {
        let Some(broker) = &facts.broker else {
            return CheckOutcome::NotApplicable("no job broker is named yet; step 6 brings one".to_owned());
        };
        let same = match (&broker.run_id, &facts.cache.run_id) {
            (Some(one), Some(other)) => one == other,
            _ => match (broker.traits, facts.cache.traits) {
                // Both were asked within seconds of each other.
                (Some((p, t, up)), Some((q, u, since))) => (p, t) == (q, u) && up.abs_diff(since) <= 10,
                _ => {
                    return CheckOutcome::Unknown(Missing::new(
                        "neither Redis tells its run_id or its process, so whether they are one server cannot be said",
                        "see in your provider's console whether cache and broker are two services",
                    ));
                }
            },
        };
        if same {
            return CheckOutcome::fail(
                "cache and job queue are the same Redis server (one run id behind both addresses)",
                "start a second Redis with maxmemory-policy noeviction and lead CELERY_BROKER_URL to it; another database number is \
                 still the same memory. See it: redis-cli -u ADDRESS INFO server | grep run_id, for both",
            );
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_without_room_and_room_without_a_limit_are_both_none() {
        for (word, most, policy) in [
            ("pass", Some(1 << 28), Some("allkeys-lru")),
            ("pass", Some(1 << 28), Some("volatile-ttl")),
            ("fail", Some(0), Some("allkeys-lru")),
            ("fail", Some(1 << 28), Some("noeviction")),
            ("unknown", None, Some("allkeys-lru")),
            ("unknown", Some(1 << 28), None),
        ] {
            let facts = BoundedFacts { most, used: Some(5 << 20), policy: policy.map(str::to_owned) };
            assert_eq!(Bounded {}.judge(&facts).word(), word, "{facts:?}");
        }
    }

    #[test]
    fn two_addresses_of_one_server_are_one_server() {
        let server = |info: &str| Server::of(&Info::parse(info));
        let one = server("run_id:aaaaaaaaaaaa\r\nprocess_id:7\r\ntcp_port:6379\r\nuptime_in_seconds:100");
        let hidden = |pid, up| server(&format!("process_id:{pid}\r\ntcp_port:6379\r\nuptime_in_seconds:{up}"));
        for (word, cache, broker) in [
            ("n/a", one.clone(), None),
            ("fail", one.clone(), Some(one.clone())),
            ("pass", one.clone(), Some(server("run_id:bbbbbbbbbbbb"))),
            ("fail", hidden(7, 100), Some(hidden(7, 103))),
            ("pass", hidden(7, 100), Some(hidden(8, 100))),
            // Both are the first process of their containers, started at different times.
            ("pass", hidden(1, 100), Some(hidden(1, 5000))),
            ("unknown", server(""), Some(server(""))),
        ] {
            let facts = BrokerFacts { broker, cache };
            assert_eq!(BrokerSeparate {}.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
