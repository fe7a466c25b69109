//! `load.memory-headroom`: do the app's instances fit into what they may use?

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::checks::clouds::Api;
use crate::domain::check::{CheckOutcome, Finding, Missing, Phase, Rung};
use crate::domain::measurement::RampFacts;
use crate::probes::{ProbeError, Probes};

use super::{Check, Context, ramp};

/// The platform writes a figure every 30 s: what it wrote in the last of them belongs to the ramp as well.
const STEP: Duration = Duration::from_secs(60);

/// `load.memory-headroom`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MemoryHeadroom {
    /// Most of its limit that one instance may use.
    share: f64,
}

impl Default for MemoryHeadroom {
    fn default() -> Self {
        Self { share: 0.8 }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    api: Api<Memory>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Memory {
    /// Instances that run now.
    running: Vec<String>,
    /// The most that each used in the ramp, and what it may use, GB.
    instances: Vec<Used>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Used {
    instance: String,
    most: Option<f64>,
    limit: Option<f64>,
}

impl Used {
    fn share(&self) -> Option<f64> {
        Some(self.most? / self.limit.filter(|limit| *limit > 0.0)?)
    }
}

async fn memory(probes: &Probes, window: Duration) -> Result<Memory, ProbeError> {
    let railway = probes.railway().await?;
    let service = railway.service().await?;
    let usage = railway.usage(&service.id, window).await?;
    let used =
        usage.into_iter().map(|of| Used { instance: of.instance, most: of.memory_gb, limit: of.memory_limit_gb });
    let running = service.active.iter().flat_map(|deployment| &deployment.instances);
    let running = running.filter(|instance| instance.status == "RUNNING").map(|instance| instance.id.clone()).collect();
    Ok(Memory { running, instances: used.collect() })
}

impl Check for MemoryHeadroom {
    const ID: &'static str = "load.memory-headroom";
    const TITLE: &'static str = "no instance of the app comes near its memory limit under load";
    const ABOUT: &'static str = "Reads what each instance of the app's service used at most during the ramp, by Railway's figures, and what it may \
        use: more than four fifths leaves no room for the next release or a busier hour, and an instance that passes its limit is \
        killed with every request in it. Traps: a sum or a mean over all replicas hides the one that is full; an instance that was \
        killed and began anew is small. Needs [site.railway].";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &[
        "https://docs.railway.com/reference/metrics",
        "https://docs.gunicorn.org/en/stable/design.html#how-many-workers",
    ];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let RampFacts { plan, measurement, .. } = ramp(ctx)?;
        let hold = Duration::try_from_secs_f64(measurement.hold_seconds).unwrap_or_default();
        // All of it, as rungs past the hold come after it.
        let whole = plan.climbing() + plan.settle_limit + hold + plan.exploring() + STEP;
        Ok(Facts { api: Api::ask(ctx.probes.site.railway.is_some(), memory(ctx.probes, whole)).await })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let memory = match facts.api.said("railway", "the app answered under load") {
            Ok(memory) => memory,
            Err(other) => return other,
        };
        let mut full: Vec<(&Used, f64)> =
            memory.instances.iter().filter_map(|used| Some((used, used.share()?))).collect();
        let known = |id: &&String| full.iter().any(|(used, _)| used.instance == **id);
        let (running, told) = (memory.running.len(), memory.running.iter().filter(known).count());
        let measured = full.len();
        full.retain(|(_, share)| *share >= self.share);
        full.sort_by(|a, b| b.1.total_cmp(&a.1));
        if let Some((used, share)) = full.first() {
            return CheckOutcome::Fail(vec![Finding {
                seen: format!(
                    "{} of {measured} instances used {:.0} % of their memory or more, most of all {}: {:.2} of {:.2} GB ({:.0} %)",
                    full.len(),
                    self.share * 100.0,
                    used.instance,
                    used.most.unwrap_or_default(),
                    used.limit.unwrap_or_default(),
                    share * 100.0
                ),
                todo: "fewer gunicorn --workers with more --threads (inside a container 2 × CPU + 1 often counts the host's CPUs), one \
                       more replica, or a higher limit; load.memory-steady tells whether it goes on growing"
                    .to_owned(),
            }]);
        }
        if told == 0 || told < running {
            return CheckOutcome::Unknown(Missing::new(
                format!("Railway's figures show the memory of {told} of {running} running instances"),
                "hold for longer than a minute, so that each has figures, and run the step again",
            ));
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headroom_traps() {
        let used = |instance: &str, most, limit| Used { instance: instance.to_owned(), most, limit };
        let memory = |running: &[&str], instances: Vec<Used>| {
            Api::Said(Memory { running: running.iter().map(|id| (*id).to_owned()).collect(), instances })
        };
        for (word, api) in [
            ("pass", memory(&["a", "b"], vec![used("a", Some(0.3), Some(1.0)), used("b", Some(0.79), Some(1.0))])),
            // One of two is full, and their mean is not; one that was full is gone.
            ("fail", memory(&["a", "b"], vec![used("a", Some(0.2), Some(1.0)), used("b", Some(0.9), Some(1.0))])),
            ("fail", memory(&["b"], vec![used("a", Some(0.9), Some(1.0)), used("b", Some(0.1), Some(1.0))])),
            ("unknown", memory(&["a", "b"], vec![used("a", Some(0.3), Some(1.0))])),
            // Another one's figures are not its own.
            ("unknown", memory(&["b"], vec![used("a", Some(0.3), Some(1.0))])),
            ("unknown", memory(&["a"], vec![used("a", Some(0.3), None)])),
            ("unknown", memory(&["a"], vec![used("a", None, Some(0.0))])),
            ("unknown", memory(&[], vec![used("a", Some(0.3), Some(1.0))])),
            ("unknown", Api::Silent(Missing::new("no answer", "a token"))),
            ("n/a", Api::NotNamed),
        ] {
            let facts = Facts { api };
            assert_eq!(MemoryHeadroom::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
