//! The words between rampup and Locust's master: one JSON object a line, after each has proved that it knows the token.
//!
//! Knows their form and nothing of what is done about them. The other end is `assets/export/locust_bridge.py`.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::domain::ramp::RampPlan;
use crate::domain::secret::Secret;
use crate::domain::think::Think;

/// What rampup says first.
#[derive(Debug, Serialize)]
pub(super) struct Greeting {
    /// To be proved against; never twice the same.
    pub nonce: String,
}

/// What the master answers.
#[derive(Debug, Deserialize)]
pub(super) struct Hello {
    /// [`proof`] of `locust` over the greeting's nonce.
    pub proof: String,
    /// To be proved against by rampup.
    pub nonce: String,
    /// Workers that the master was told to expect, or has.
    pub workers: u32,
}

/// What rampup says from then on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Say {
    /// [`proof`] of `rampup` over the master's nonce.
    Proof(String),
    /// Go away, and why.
    Refused(String),
    /// The gate is open.
    Go(Go),
    /// So many users are to be there. Also said again to show that rampup still is.
    Users(u32),
    /// Nobody sends anything new.
    Shut(bool),
    /// The test is over.
    Quit(bool),
}

/// How users behave.
#[derive(Debug, Serialize)]
pub(super) struct Go {
    /// Longest wait for a socket, seconds.
    timeout: f64,
    /// The usual pause, least and most seconds; or:
    even: Option<[f64; 2]>,
    /// the usual pause, median seconds and spread.
    lognormal: Option<[f64; 2]>,
    /// Factor on a step's own pause.
    own: f64,
}

impl Go {
    /// As a plan says.
    pub fn of(plan: &RampPlan) -> Self {
        let (even, lognormal) = match plan.think {
            Think::Even { least, most } => (Some([least.as_secs_f64(), most.as_secs_f64()]), None),
            Think::Lognormal { median, spread } => (None, Some([median.as_secs_f64(), spread])),
        };
        Self { timeout: plan.timeout.as_secs_f64(), even, lognormal, own: plan.pauses().own }
    }
}

/// What a process with users says ten times a second. Instants are µs of its own clock.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    /// Locust's name for it.
    pub worker: String,
    /// When it said this.
    pub now: u64,
    /// What ended since the last time.
    pub done: Vec<Done>,
    /// How late each request left, µs.
    pub waits: Vec<u64>,
    /// How late a timer woke, µs.
    pub lags: Vec<u64>,
    /// What is under way: endpoint, and when it should have left.
    pub under: Vec<(String, u64)>,
    /// Users that play.
    pub playing: u32,
    /// Processor time so far, seconds.
    pub cpu: f64,
    /// It has heard that the gate is shut.
    pub shut: bool,
    /// Why its users cannot go on.
    pub trouble: Option<String>,
    /// Digest of the flows that its script was written from.
    pub flows: String,
    /// Where its users go.
    pub host: String,
}

/// A request that ended; on the wire a list in this order.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Done {
    /// Endpoint.
    pub name: String,
    /// When it should have left.
    pub due: u64,
    /// From then to the last byte, µs.
    pub latency: u64,
    /// From then to the headers, µs.
    pub first_byte: u64,
    /// Status; 0 without an answer.
    pub status: u16,
    /// Bytes of its body.
    pub bytes: u64,
    /// Why no whole answer came.
    pub fault: Option<Fault>,
    /// Whether its status is one that the flow names; none when it names none.
    pub listed: Option<bool>,
    /// The status is right and something else is not as the flow expects.
    pub wrong: bool,
    /// `cf-cache-status`.
    pub cache: Option<String>,
    /// All headers, where they say who refused.
    pub headers: Vec<(String, String)>,
}

/// Why no whole answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Fault {
    /// No connection.
    Connect,
    /// Files or ports ran out there.
    Local,
    /// No TLS.
    Tls,
    /// Not in time.
    Timeout,
    /// It broke off.
    Truncated,
}

/// That `who` knows the token, without showing it (HMAC-SHA-256, RFC 2104).
///
/// Proofs may be compared in any way: each nonce is used once, so a comparison's time tells nothing of the next.
pub(super) fn proof(token: &Secret, who: &str, nonce: &str) -> String {
    // HMAC takes keys of any length.
    let Ok(mac) = Hmac::<Sha256>::new_from_slice(token.expose().as_bytes()) else { return String::new() };
    let bytes = mac.chain_update(who).chain_update(" ").chain_update(nonce).finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_what_python_makes_of_it() {
        // python3 -c 'import hmac; print(hmac.new(b"a token", b"locust 00ff", "sha256").hexdigest())'
        let token = Secret::new("a token".into());
        assert_eq!(proof(&token, "locust", "00ff"), "708ccd62332638bb0599ef22a0d8eaee8b7a646425289f164d7e19fb17ba488d");
        assert_ne!(proof(&token, "rampup", "00ff"), proof(&token, "locust", "00ff"));
    }

    #[test]
    fn a_report_is_read() {
        let text = r#"{"worker": "w", "now": 9, "done": [["home", 1, 20, 10, 403, 5, null, false, false, null,
            [["cf-ray", "1"]]], ["home", 1, 20, 10, 0, 0, "connect", null, false, null, []]], "waits": [3], "lags": [],
            "under": [["home", 7]], "playing": 2, "cpu": 0.5, "shut": false, "trouble": null, "flows": "f", "host": "h"}"#;
        let report: Report = serde_json::from_str(text).unwrap();
        assert_eq!((report.done[0].status, report.done[0].listed), (403, Some(false)));
        assert_eq!((report.done[1].fault, report.under[0].1), (Some(Fault::Connect), 7));
    }
}
