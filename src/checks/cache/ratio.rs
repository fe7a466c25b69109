//! Does the cache help under load?

use serde::{Deserialize, Serialize};

use crate::checks::{Check, Context, ramp};
use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::measurement::series;

/// `cache.hit-ratio`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HitRatio {
    /// Least share of look-ups that find something, 0 to 1.
    share: f64,
    /// Look-ups below which nothing is said.
    least: f64,
}

impl Default for HitRatio {
    fn default() -> Self {
        Self { share: 0.4, least: 200.0 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RatioFacts {
    /// Keys found and not found in the hold.
    hits: f64,
    misses: f64,
    evicted: f64,
}

impl Check for HitRatio {
    const ID: &'static str = "cache.hit-ratio";
    const TITLE: &'static str = "look-ups in the cache find something under load";
    const ABOUT: &'static str = "Adds up what Redis found and did not find in the seconds of the hold, not since it was started: a lifetime \
        ratio says nothing of today, and a flush would spoil it for days. Sessions and cached pages are counted alike, so this is a hint \
        and not a gate. Traps: the lifetime ratio, a hold with hardly any look-ups.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://redis.io/docs/latest/commands/info/"];
    type Facts = RatioFacts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<RatioFacts, Missing> {
        let far_side = &ramp(ctx)?.far_side;
        let sum = |name| far_side.held(name).map(|(_, value)| value).sum();
        if far_side.held(series::CACHE_HITS).next().is_none() {
            return Err(Missing::new(
                "the cache's counters were not seen during the hold",
                "name the cache's address in rampup.toml: [services] cache_env, then run the step again",
            ));
        }
        Ok(RatioFacts {
            hits: sum(series::CACHE_HITS),
            misses: sum(series::CACHE_MISSES),
            evicted: sum(series::CACHE_EVICTED),
        })
    }

    fn judge(&self, facts: &RatioFacts) -> CheckOutcome {
        let all = facts.hits + facts.misses;
        if all < self.least {
            return CheckOutcome::Unknown(Missing::new(
                format!("{all:.0} look-ups in the cache during the hold are too few to say anything"),
                "see that the flows in rampup.toml visit the pages that are cached",
            ));
        }
        let share = facts.hits / all;
        if share >= self.share {
            return CheckOutcome::Pass;
        }
        let evicted = if facts.evicted > 0.0 {
            format!(" ({:.0} keys were evicted meanwhile: it is too small)", facts.evicted)
        } else {
            String::new()
        };
        CheckOutcome::fail(
            format!("{:.0} % of {all:.0} look-ups found something during the hold{evicted}", share * 100.0),
            "give pages a longer lifetime, leave out of the key what differs for each visitor (cookies, query parameters), and raise \
             maxmemory when keys are evicted",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_counts_once_there_are_enough() {
        for (word, hits, misses) in [
            ("pass", 500.0, 100.0),
            ("pass", 80.0, 120.0),
            ("fail", 10.0, 500.0),
            ("fail", 0.0, 500.0),
            ("unknown", 100.0, 0.0),
            ("unknown", 0.0, 0.0),
        ] {
            let facts = RatioFacts { hits, misses, evicted: 3.0 };
            assert_eq!(HitRatio::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
