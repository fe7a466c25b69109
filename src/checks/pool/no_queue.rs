//! `pool.no-queue`: nobody waits for a server connection while the app is under load.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::measurement::series;

use super::{CONFIG, Check, Context, POOLS, Way, coverage, peak, ramp, thin, unwatched};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NoQueue {
    /// Share of the hold's seconds in which a client may wait.
    waiting_share: f64,
    /// Longest wait, seconds.
    longest: f64,
}

impl Default for NoQueue {
    fn default() -> Self {
        Self { waiting_share: 0.1, longest: 1.0 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    way: Way,
    requests: u64,
    hold_seconds: usize,
    covered: usize,
    /// Queries that passed the pooler in the hold.
    queries: f64,
    /// Share of the covered seconds with a waiting client, most of them at once, and the longest wait, seconds.
    waiting_share: f64,
    most_waiting: f64,
    longest: f64,
}

impl Check for NoQueue {
    const ID: &'static str = "pool.no-queue";
    const TITLE: &'static str = "under load hardly anyone waits for a server connection";
    const ABOUT: &'static str = "Reads cl_waiting and maxwait of every second of the hold: clients may wait in few of them, and none for a \
        second. Traps: a pool that is looked at when idle (the hold must be covered, and queries must have passed), an average that \
        hides a queue of some seconds, a pool so small that everything queues while nothing fails.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[POOLS, CONFIG];
    type Facts = Facts;

    #[expect(clippy::cast_precision_loss, reason = "seconds of a hold")]
    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let far_side = &ramp.far_side;
        let (hold_seconds, covered) = coverage(far_side, series::POOL_WAITING);
        let waiting = far_side.held(series::POOL_WAITING).filter(|(_, waiting)| *waiting > 0.0).count();
        Ok(Facts {
            way: Way::ask(ctx.probes).await?,
            requests: ramp.measurement.requests,
            hold_seconds,
            covered,
            queries: far_side.rise(series::POOL_QUERIES).unwrap_or(0.0),
            waiting_share: waiting as f64 / covered.max(1) as f64,
            most_waiting: peak(far_side, series::POOL_WAITING),
            longest: peak(far_side, series::POOL_MAXWAIT),
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if let Some(outcome) = facts.way.without_pooler() {
            return outcome;
        }
        if thin(facts.hold_seconds, facts.covered) {
            return unwatched(facts.hold_seconds, facts.covered);
        }
        if facts.requests == 0 || facts.queries < 1.0 {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "{:.0} queries passed the pooler during {} requests: an idle pool never queues",
                    facts.queries, facts.requests
                ),
                "let the app use the pooler (pool.carries-app), then run the step again",
            ));
        }
        if facts.waiting_share <= self.waiting_share && facts.longest < self.longest {
            return CheckOutcome::Pass;
        }
        CheckOutcome::fail(
            format!(
                "clients waited for a server connection in {:.0} % of the seconds, up to {:.0} of them at once and {:.1} s long",
                facts.waiting_share * 100.0,
                facts.most_waiting,
                facts.longest
            ),
            "raise default_pool_size a little (2 to 4 for each core of the database) as far as max_connections allows, and shorten \
             transactions and slow queries; see it during a ramp: SHOW POOLS on the console, cl_waiting and maxwait",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(waiting_share: f64, longest: f64) -> Facts {
        Facts {
            way: Way::Pooled,
            requests: 1000,
            hold_seconds: 60,
            covered: 60,
            queries: 3000.0,
            waiting_share,
            most_waiting: 4.0,
            longest,
        }
    }

    #[test]
    fn traps() {
        let check = NoQueue::default();
        for (word, facts) in [
            ("pass", facts(0.0, 0.0)),
            ("pass", facts(0.05, 0.2)),
            ("fail", facts(0.4, 0.2)),
            ("fail", facts(0.02, 1.4)),
            // Idle, unwatched, gone in the middle.
            ("unknown", Facts { queries: 0.0, ..facts(0.0, 0.0) }),
            ("unknown", Facts { requests: 0, ..facts(0.0, 0.0) }),
            ("unknown", Facts { covered: 20, ..facts(0.0, 0.0) }),
            ("unknown", Facts { hold_seconds: 0, covered: 0, ..facts(0.0, 0.0) }),
            ("n/a", Facts { way: Way::Direct, ..facts(0.0, 0.0) }),
            ("n/a", Facts { way: Way::Own("s.py".to_owned()), covered: 0, ..facts(0.0, 0.0) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
