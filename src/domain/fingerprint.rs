//! What a verdict was about. When one of these changes, a proof is stale.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// SHA-256 of some bytes, hex.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The contract of one step's proof: all of it must be the same for the proof to stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contract {
    /// Digest of the playbook file.
    pub playbook: String,
    /// Digest of the SLO in force (settings and playbook).
    pub slo: String,
    /// Digest of the flows, think times and shared headers.
    pub flows: String,
    /// Digest of what the owner says of the site: which pages are private, how large an upload may be.
    pub site: String,
    /// Scheme, host and port of the target.
    pub target: String,
    /// True for a practice measurement, which never stands in for a full one.
    pub quick: bool,
}

impl Contract {
    /// In words, what differs from another contract; empty when nothing does.
    #[must_use]
    pub fn changes(&self, now: &Contract) -> Vec<&'static str> {
        let mut changes = Vec::new();
        for (same, what) in [
            (self.playbook == now.playbook, "the playbook"),
            (self.slo == now.slo, "the SLO"),
            (self.flows == now.flows, "the flows"),
            (self.site == now.site, "the description of the site"),
            (self.target == now.target, "the target"),
            (self.quick == now.quick, "the length of the measurement (quick or full)"),
        ] {
            if !same {
                changes.push(what);
            }
        }
        changes
    }

    /// In words, why a proof under this contract does not stand where another one is in force; empty when it does. A full
    /// measurement says no less where a practice one would do, and never the other way round.
    #[must_use]
    pub fn lost(&self, now: &Contract) -> Vec<&'static str> {
        self.changes(&Contract { quick: self.quick && now.quick, ..now.clone() })
    }
}

/// What a whole run was about, kept beside its events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fingerprint {
    /// Version of rampup.
    pub product: String,
    /// Commit of the user's repository, if it is one.
    pub commit: Option<String>,
    /// Digest of uncommitted changes there; none when clean or unknown.
    pub dirty: Option<String>,
    /// Digest of `rampup.toml`.
    pub settings: String,
    /// Digests of its settings by their names, so that a comparison can name what changed and holds no value.
    #[serde(default)]
    pub settings_by_name: BTreeMap<String, String>,
    /// Id of the app's newest deployment when the run began, where the platform was asked and told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Versions of the edge's rules by their phase, where the edge was asked and told them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, String>,
}
