//! `load.far-side-agrees`: did the app count as many requests as were sent to it?

use serde::{Deserialize, Serialize};

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};

use super::{Check, Context, kept, ramp};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct FarSideAgrees {
    /// Share by which the app may have counted fewer.
    fewer: f64,
    /// Requests that may be under way at either end of the hold, on top.
    under_way: f64,
}

impl Default for FarSideAgrees {
    fn default() -> Self {
        Self { fewer: 0.02, under_way: 20.0 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Requests of the hold.
    sent: u64,
    /// Of these, answered by the edge: refused, or out of its cache.
    blocked: u64,
    kept: u64,
    /// Requests that got no answer at all: the app may have counted them or not.
    failed: u64,
    /// Seconds of the hold.
    seconds: f64,
    /// What the app's own metrics counted meanwhile.
    counted: Option<f64>,
    missing: Option<Missing>,
}

impl Check for FarSideAgrees {
    const ID: &'static str = "load.far-side-agrees";
    const TITLE: &'static str = "the app counted the requests that were sent to it";
    const ABOUT: &'static str = "Subtracts the app's own counter of requests before the hold from after it, and compares with the requests sent, less \
        those that the edge answered: fewer by more than 2 % and a second's worth mean that something in between answered, or that the metrics are of \
        one worker alone. Traps: cache hits at the edge never reach the app; other visitors only add; a deploy in the middle begins to count anew.";
    const PHASE: Phase = Phase::After;
    const HOW: Rung = Rung::Observed;
    const DOCS: &'static [&'static str] = &["https://prometheus.github.io/client_python/multiprocess/"];
    type Facts = Facts;

    async fn gather(&self, ctx: &Context<'_>) -> Result<Facts, Missing> {
        let ramp = ramp(ctx)?;
        let measured = &ramp.measurement;
        Ok(Facts {
            sent: measured.requests,
            blocked: measured.blocked,
            kept: kept(measured),
            failed: measured.errors.total(),
            seconds: measured.hold_seconds,
            counted: ramp.far_side.app_requests,
            missing: ramp.far_side.app_missing.clone(),
        })
    }

    fn judge(&self, facts: &Facts) -> CheckOutcome {
        let Some(counted) = facts.counted else {
            return CheckOutcome::Unknown(facts.missing.clone().unwrap_or_else(|| {
                Missing::new(
                    "the app's own count of requests over the hold was not read",
                    "name the path in rampup.toml: [site] metrics = \"/metrics\" (step 1)",
                )
            }));
        };
        if facts.sent == 0 {
            return CheckOutcome::Unknown(Missing::new("the hold made no request", "run the step whole"));
        }
        let due = facts.sent.saturating_sub(facts.blocked + facts.kept) as f64;
        let second = facts.sent as f64 / facts.seconds.max(1.0);
        let least = due * (1.0 - self.fewer) - facts.failed as f64 - second.max(self.under_way);
        if counted < least {
            return CheckOutcome::fail(
                format!(
                    "{} requests were sent, {} of them answered by the edge, and the app counted only {counted:.0}",
                    facts.sent,
                    facts.blocked + facts.kept
                ),
                "find out who answered the others: an edge or proxy without a word on its cache; or metrics of one worker alone \
                 (PROMETHEUS_MULTIPROC_DIR is not set, metrics.monotonic of step 1 shows it)",
            );
        }
        CheckOutcome::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_traps() {
        let good = Facts {
            sent: 4000,
            blocked: 0,
            kept: 1500,
            failed: 0,
            seconds: 60.0,
            counted: Some(2510.0),
            missing: None,
        };
        for (word, facts) in [
            ("pass", good.clone()),
            ("pass", Facts { counted: Some(2400.0), ..good.clone() }),
            // Other visitors only add.
            ("pass", Facts { counted: Some(9000.0), ..good.clone() }),
            ("pass", Facts { failed: 200, counted: Some(2250.0), ..good.clone() }),
            // One worker of three, or somebody in between who does not say so.
            ("fail", Facts { counted: Some(830.0), ..good.clone() }),
            ("fail", Facts { kept: 0, ..good.clone() }),
            ("unknown", Facts { counted: None, ..good.clone() }),
            ("unknown", Facts { sent: 0, ..good }),
        ] {
            assert_eq!(FarSideAgrees::default().judge(&facts).word(), word, "{facts:?}");
        }
    }
}
