//! `load.series-sampled`: were the systems behind the app watched while it ran?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::series;

use super::{Check, Context, ramp};

/// The systems, and the series that show each.
const SYSTEMS: [(&str, &[&str]); 3] = [
    ("the database", &[series::PG_ACTIVE, series::PG_BACKENDS]),
    ("the cache's Redis", &[series::CACHE_HITS, series::CACHE_MISSES]),
    ("the job queue", &[series::QUEUE_DEPTH, series::QUEUE_PROCESSED]),
];

/// `load.series-sampled`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeriesSampled {
    /// Share of the hold's seconds that each series must cover.
    coverage: f64,
}

impl Default for SeriesSampled {
    fn default() -> Self {
        Self { coverage: 0.9 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Length of the hold by the generator's clock and by the sampler's, seconds.
    hold_seconds: f64,
    sampled_seconds: u32,
    systems: Vec<System>,
    /// What the sampler could not read.
    missing: Vec<Missing>,
}

#[derive(Debug, Serialize, Deserialize)]
struct System {
    name: String,
    /// Seconds of the hold in which all its series have a value.
    covered: u32,
}

impl Check for SeriesSampled {
    const ID: &'static str = "load.series-sampled";
    const TITLE: &'static str = "database, Redis and job queue were watched on the ramp's own clock";
    const ABOUT: &'static str = "Counts the seconds of the hold in which the database's activity, the cache's hits and misses, and the queue's \
        depth and processed tasks were all read: each must cover nine tenths of it, against the hold's own seconds. Traps: a user \
        without pg_monitor sees no state of other users' connections, a source that died in the middle leaves samples that look whole.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://www.postgresql.org/docs/current/monitoring-stats.html",
        "https://www.postgresql.org/docs/current/predefined-roles.html",
        "https://docs.celeryq.dev/en/stable/userguide/monitoring.html",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let far_side = &ramp.far_side;
        let (from, to) = far_side.hold.unwrap_or((0, 0));
        let covered = |names: &[&str]| {
            let whole = far_side.samples.iter().filter(|s| (from..to).contains(&s.second));
            whole
                .filter(|s| names.iter().all(|n| s.values.contains_key(*n)))
                .map(|s| s.second)
                .collect::<std::collections::BTreeSet<_>>()
                .len()
        };
        Ok(Facts {
            hold_seconds: ramp.measurement.hold_seconds,
            sampled_seconds: to.saturating_sub(from),
            systems: SYSTEMS
                .iter()
                .map(|(name, series)| System {
                    name: (*name).to_owned(),
                    covered: u32::try_from(covered(series)).unwrap_or(u32::MAX),
                })
                .collect(),
            missing: far_side.missing.clone(),
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let seconds = f64::from(facts.sampled_seconds).max(facts.hold_seconds.floor());
        if seconds < 1.0 || facts.sampled_seconds == 0 || facts.systems.is_empty() {
            return CheckOutcome::Unknown(Missing::new("the sampler saw no hold", "run the step whole"));
        }
        let thin: Vec<&System> =
            facts.systems.iter().filter(|s| f64::from(s.covered) < self.coverage * seconds).collect();
        if thin.is_empty() {
            return CheckOutcome::Pass;
        }
        let seen: Vec<String> = thin.iter().map(|s| format!("{} in {} of {seconds:.0} s", s.name, s.covered)).collect();
        let seen = format!("watched only: {}", seen.join(", "));
        if facts.missing.is_empty() {
            // Everything could be reached; it just did not answer in time.
            let todo = "the systems answered too slowly to be watched every second: look at their load, and at the way between";
            return CheckOutcome::Fail(vec![Finding { seen, todo: todo.to_owned() }]);
        }
        let (what, provide): (Vec<&str>, Vec<&str>) =
            facts.missing.iter().map(|m| (m.what.as_str(), m.provide.as_str())).unzip();
        CheckOutcome::Unknown(Missing::new(format!("{seen}; {}", what.join("; ")), provide.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(covered: [u32; 3], missing: Vec<Missing>) -> Facts {
        let systems = SYSTEMS
            .iter()
            .zip(covered)
            .map(|((name, _), covered)| System { name: (*name).to_owned(), covered })
            .collect();
        Facts { hold_seconds: 60.2, sampled_seconds: 60, systems, missing }
    }

    #[test]
    fn series_traps() {
        let check = SeriesSampled::default();
        let no_right = || Missing::new("other users' connections are hidden", "GRANT pg_monitor TO watcher");
        for (word, facts) in [
            ("pass", facts([60, 60, 60], vec![])),
            ("pass", facts([55, 58, 54], vec![])),
            // A pooler that is not there yet does not matter here.
            ("pass", facts([60, 60, 60], vec![Missing::new("no console", "name it")])),
            ("unknown", facts([0, 60, 60], vec![no_right()])),
            ("fail", facts([60, 60, 40], vec![])),
            // A source died in the middle.
            ("fail", facts([30, 60, 60], vec![])),
            // The sampler itself stopped early.
            ("fail", Facts { hold_seconds: 120.0, ..facts([60, 60, 60], vec![]) }),
            ("unknown", Facts { sampled_seconds: 0, ..facts([0, 0, 0], vec![]) }),
            ("unknown", Facts { systems: vec![], ..facts([60, 60, 60], vec![]) }),
        ] {
            assert_eq!(check.judge(&facts).word(), word, "{facts:?}");
        }
        let outcome = check.judge(&facts([0, 60, 60], vec![no_right()]));
        assert!(
            outcome.seen().contains("the database in 0 of 60 s") && outcome.seen().contains("hidden"),
            "{}",
            outcome.seen()
        );
    }
}
