//! `pool.headroom`: at the peak of the load the server still has connections to give.

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::measurement::series;

use super::{CONFIG, Check, Context, coverage, ramp, thin};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Headroom {
    /// Share of `max_connections` that may be in use at the peak.
    share: f64,
}

impl Default for Headroom {
    fn default() -> Self {
        Self { share: 0.8 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    requests: u64,
    hold_seconds: usize,
    covered: usize,
    /// Most client backends at once, of all databases and roles, from the climb to the end of the hold.
    peak: f64,
    /// `max_connections`.
    most: f64,
}

impl Check for Headroom {
    const ID: &'static str = "pool.headroom";
    const TITLE: &'static str = "at the peak, under four fifths of the server's connections are in use";
    const ABOUT: &'static str = "Takes the largest number of client processes that PostgreSQL had in any second of the ramp, against \
        max_connections. Traps: counting the app's own role or database only (all of them share one limit, so all are counted, ours \
        too), the average of a hold whose peak was refused connections, a server looked at when idle.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://www.postgresql.org/docs/current/runtime-config-connection.html",
        "https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW",
        CONFIG,
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let far_side = &ramp.far_side;
        let (hold_seconds, covered) = coverage(far_side, series::PG_EVERYONE);
        let largest = |name| far_side.series(name).map(|(_, value)| value).fold(0.0, f64::max);
        Ok(Facts {
            requests: ramp.measurement.requests,
            hold_seconds,
            covered,
            peak: largest(series::PG_EVERYONE),
            most: largest(series::PG_MOST),
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if thin(facts.hold_seconds, facts.covered) || facts.requests == 0 || facts.most < 1.0 {
            return CheckOutcome::Unknown(Missing::new(
                format!("PostgreSQL's clients were seen in {} of {} s of the hold", facts.covered, facts.hold_seconds),
                "name a DSN straight to PostgreSQL in rampup.toml: [services] database_direct_env",
            ));
        }
        let share = facts.peak / facts.most;
        if share < self.share {
            return CheckOutcome::Pass;
        }
        CheckOutcome::fail(
            format!(
                "{:.0} of {:.0} connections were in use at the peak ({:.0} %): a deployment or a migration will be refused",
                facts.peak,
                facts.most,
                share * 100.0
            ),
            "let everything but migrations go through one pooler with smaller pools, or raise max_connections if the server has the memory; \
             see it: select usename, datname, count(*) from pg_stat_activity group by 1, 2",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traps() {
        let check = Headroom::default();
        let facts = |peak| Facts { requests: 1000, hold_seconds: 60, covered: 60, peak, most: 40.0 };
        for (word, facts) in [
            ("pass", facts(11.0)),
            ("pass", facts(31.0)),
            ("fail", facts(32.0)),
            ("fail", facts(40.0)),
            ("unknown", Facts { covered: 30, ..facts(11.0) }),
            ("unknown", Facts { hold_seconds: 0, covered: 0, ..facts(11.0) }),
            ("unknown", Facts { requests: 0, ..facts(11.0) }),
            ("unknown", Facts { most: 0.0, ..facts(11.0) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
    }
}
