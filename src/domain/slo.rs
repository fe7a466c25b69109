//! The promise: how fast, how few errors, how sure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Service level objective of one ramp. Defaults are the guide's: p95 < 300 ms, errors < 0.5 %, at 95 % confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// The 95th percentile of latency must stay under this, in milliseconds.
    pub p95_ms: f64,
    /// The share of failed requests must stay under this, in percent.
    pub error_percent: f64,
    /// One-sided confidence of each bound, 0.5 to 1.
    pub confidence: f64,
}

impl Default for Slo {
    fn default() -> Self {
        Self { p95_ms: 300.0, error_percent: 0.5, confidence: 0.95 }
    }
}

impl Slo {
    /// The stricter of two promises, limit by limit: a playbook may tighten what the settings say, never loosen it.
    #[must_use]
    pub fn stricter(&self, other: &Slo) -> Slo {
        Slo {
            p95_ms: self.p95_ms.min(other.p95_ms),
            error_percent: self.error_percent.min(other.error_percent),
            confidence: self.confidence.max(other.confidence),
        }
    }
}
