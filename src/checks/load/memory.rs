//! `load.memory-steady`: do the app's processes stay at their size under load?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};

use super::{Check, Context, ramp};

/// Bytes of a MiB.
const MIB: f64 = 1_048_576.0;

/// `load.memory-steady`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MemorySteady {
    /// Share by which a process may grow in the hold.
    growth: f64,
    /// MiB that it may grow whatever its size: caches and pools fill.
    slack_mib: f64,
}

impl Default for MemorySteady {
    fn default() -> Self {
        Self { growth: 0.2, slack_mib: 24.0 }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    seconds: f64,
    /// Resident memory by process id when the hold began and when it ended, bytes.
    before: BTreeMap<String, f64>,
    after: BTreeMap<String, f64>,
    /// Why the app's metrics could not be read.
    missing: Option<Missing>,
}

impl Check for MemorySteady {
    const ID: &'static str = "load.memory-steady";
    const TITLE: &'static str = "no process of the app grows and grows under load";
    const ABOUT: &'static str = "Compares the resident memory of each of the app's processes when the hold began and when it ended, as its metrics \
        show it by process id: one that grew by more than a fifth, and by more than 24 MiB, is named. Traps: a sum over all processes \
        hides the one that grows; with several workers prometheus_client leaves its own memory series out; a worker that was replaced \
        meanwhile begins small; a first minute under load in which caches fill.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://prometheus.github.io/client_python/multiprocess/",
        "https://docs.gunicorn.org/en/stable/settings.html#max-requests",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let [before, after] = ramp.far_side.memory.clone();
        Ok(Facts { seconds: ramp.measurement.hold_seconds, before, after, missing: ramp.far_side.app_missing.clone() })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        if facts.before.is_empty() || facts.after.is_empty() {
            return CheckOutcome::Unknown(facts.missing.clone().unwrap_or_else(|| {
                Missing::new(
                    "the app's metrics do not show the memory of single processes",
                    "a gauge with a label for each process: Gauge(\"worker_resident_memory_bytes\", \"…\", \
                     multiprocess_mode=\"liveall\"), set in gunicorn's post_request to psutil.Process().memory_info().rss; \
                     prometheus_client leaves its own process_resident_memory_bytes out when PROMETHEUS_MULTIPROC_DIR is set",
                )
            }));
        }
        let stayed: Vec<(&String, f64, f64)> =
            facts.before.iter().filter_map(|(pid, was)| Some((pid, *was, *facts.after.get(pid)?))).collect();
        if stayed.is_empty() {
            return CheckOutcome::Unknown(Missing::new(
                format!(
                    "none of the {} processes that were there when the hold began was there at its end",
                    facts.before.len()
                ),
                "workers that live longer than the hold (gunicorn --max-requests counts each one's requests); if you did not ask for \
                 that, look in the platform's log for workers that were killed for their memory (\"SIGKILL\", \"out of memory\")",
            ));
        }
        let grown = |was: f64, is: f64| is - was > (self.slack_mib * MIB).max(self.growth * was);
        let mut grew: Vec<_> = stayed.iter().filter(|(_, was, is)| grown(*was, *is)).collect();
        grew.sort_by(|a, b| (b.2 - b.1).total_cmp(&(a.2 - a.1)));
        let Some((pid, was, is)) = grew.first().copied() else { return CheckOutcome::Pass };
        CheckOutcome::Fail(vec![Finding {
            seen: format!(
                "{} of {} processes grew in the {:.0} s of the hold, most of them {pid}: from {:.0} to {:.0} MiB ({:.0} MiB an hour, if it \
                 goes on like this)",
                grew.len(),
                stayed.len(),
                facts.seconds,
                was / MIB,
                is / MIB,
                (is - was) / MIB * 3600.0 / facts.seconds.max(1.0)
            ),
            todo: format!(
                "run the step again: what only fills caches stops growing; what does not is a leak (a list or dict at module level, \
                 lru_cache without a bound on methods): tracemalloc shows where. Until it is found, --max-requests 1000 \
                 --max-requests-jitter 200 bounds it; see it: watch ps -o rss= -p {pid}"
            ),
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_traps() {
        let of = |sizes: &[(&str, f64)]| sizes.iter().map(|(pid, mib)| ((*pid).to_owned(), mib * MIB)).collect();
        let facts = |before: &[(&str, f64)], after: &[(&str, f64)]| Facts {
            seconds: 60.0,
            before: of(before),
            after: of(after),
            missing: None,
        };
        let denied = Some(Missing::new("the metrics page refused", "its key"));
        for (word, facts) in [
            ("pass", facts(&[("1", 100.0), ("2", 110.0)], &[("1", 104.0), ("2", 108.0)])),
            // Caches fill: much of a little, or little of much.
            ("pass", facts(&[("1", 40.0)], &[("1", 60.0)])),
            ("pass", facts(&[("1", 900.0)], &[("1", 1000.0)])),
            // A worker was replaced, and the others stay as they are.
            ("pass", facts(&[("1", 100.0), ("2", 110.0)], &[("1", 104.0), ("3", 90.0)])),
            // One of three grows, and the sum does not show it.
            ("fail", facts(&[("1", 100.0), ("2", 400.0), ("3", 400.0)], &[("1", 160.0), ("2", 390.0), ("3", 390.0)])),
            ("unknown", facts(&[("1", 100.0)], &[("2", 100.0)])),
            ("unknown", facts(&[], &[])),
            ("unknown", Facts { missing: denied, ..facts(&[], &[]) }),
        ] {
            assert_eq!(MemorySteady::default().judge(&facts).word(), word, "{facts:?}");
        }
        let seen = MemorySteady::default().judge(&facts(&[("7", 100.0), ("8", 100.0)], &[("7", 130.0), ("8", 190.0)]));
        assert!(seen.seen().contains("2 of 2") && seen.seen().contains("8: from 100 to 190 MiB"), "{}", seen.seen());
    }
}
