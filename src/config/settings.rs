//! What the rest of the program knows of `rampup.toml` once it has been found right.
//!
//! No secrets: settings may be shown, stored and digested. Knows nothing of how the file is written.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::domain::fingerprint::{Contract, digest};
use crate::domain::flow::{Mix, Think};
use crate::domain::ids::StepId;
use crate::domain::ramp::Model;
use crate::domain::site::{Site, Web};
use crate::domain::slo::Slo;
use crate::domain::step::Step;

use super::ConfigError;

/// A site's settings, complete and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder that holds `rampup.toml`, `.rampup/` and own playbooks.
    pub project_dir: PathBuf,
    /// The site.
    pub site: Site,
    /// How the web processes run, as the owner says. No proof rests on it.
    pub web: Option<Web>,
    /// The promise.
    pub slo: Slo,
    /// What users do.
    pub mix: Mix,
    /// How a ramp goes about it.
    pub pace: Pace,
    /// What the owner changed of the ladder.
    pub overrides: BTreeMap<StepId, GateOverride>,
    /// Which environment variables hold the keys.
    pub variables: Variables,
    /// The sign that the target is ours.
    pub ownership: Option<Ownership>,
    /// SHA-256 of the file, hex.
    pub digest: String,
    /// Digests of its settings by their names.
    pub digests: BTreeMap<String, String>,
    /// Things worth a line that do not stop anything.
    pub notes: Vec<String>,
}

/// Times of a ramp that belong to the site, not to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pace {
    /// Time to bring all users in; when absent, the plan chooses by their number.
    pub climb: Option<Duration>,
    /// Longest wait for a steady state.
    pub settle_limit: Duration,
    /// A request that takes longer is a timeout error.
    pub timeout: Duration,
    /// Who decides when a flow begins.
    pub model: Model,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            climb: None,
            settle_limit: Duration::from_secs(60),
            timeout: Duration::from_secs(10),
            model: Model::Closed,
        }
    }
}

/// One step's gate as the owner wants it; absent fields stay as the playbook says.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct GateOverride {
    /// Concurrent users.
    pub users: Option<u32>,
    /// Least hold.
    pub hold: Option<Duration>,
    /// Pause between actions.
    pub think: Option<Think>,
    /// Endpoints that must meet the p95 limit on their own.
    pub endpoints: Option<Vec<String>>,
    /// Rungs past the hold. Not part of older proofs' digest when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Vec<u32>>,
}

/// Names of environment variables, never their values. Remembered even when unset, for messages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Variables {
    /// `[services] database_env`
    pub database: Option<String>,
    /// `[services] database_direct_env`
    pub database_direct: Option<String>,
    /// `[services] pooler_console_env`
    pub pooler_console: Option<String>,
    /// `[services] cache_env`
    pub cache: Option<String>,
    /// `[services] broker_env`
    pub broker: Option<String>,
    /// `[services] bucket_access_env`
    pub bucket_access: Option<String>,
    /// `[services] bucket_secret_env`
    pub bucket_secret: Option<String>,
    /// `[site.account] password_env`
    pub account_password: Option<String>,
    /// `[site.sentry] token_env`
    pub sentry_token: Option<String>,
    /// `[site.railway] token_env`
    pub railway_token: Option<String>,
    /// `[site.cloudflare] token_env`
    pub cloudflare_token: Option<String>,
    /// `[site.sentry] dsn_env`
    pub sentry_dsn: Option<String>,
    /// `[site] metrics_auth_env`
    pub metrics_auth: Option<String>,
    /// `[site.edge] secret_env`
    pub edge_secret: Option<String>,
}

/// A file that only the target's owner can put there, fetched before every ramp at a host that is not loopback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ownership {
    /// Path on the target.
    pub path: String,
    /// What the answer must hold. Not a secret: anyone may read it there.
    pub nonce: String,
}

impl Settings {
    /// The steps as this site climbs them: the owner's changes of the ladder applied.
    ///
    /// A changed gate changes the step's digest, so that an older proof turns stale.
    ///
    /// # Errors
    /// When a gate measures an endpoint that no flow step is named after: nothing could ever prove it.
    pub fn climb(&self, steps: Vec<Step>) -> Result<Vec<Step>, ConfigError> {
        steps.into_iter().map(|step| self.climbed(step)).collect()
    }

    fn climbed(&self, mut step: Step) -> Result<Step, ConfigError> {
        // The playbook can only name the endpoints of an example; what this site calls slow stands in for them.
        let own = &self.site.slow_endpoints;
        if !step.gate.endpoints.is_empty() && !own.is_empty() && step.gate.endpoints != *own {
            step.gate.endpoints.clone_from(own);
            step.digest = digest_of(&(&step.digest, own));
        }
        if let Some(change) = self.overrides.get(&step.id) {
            let gate = &mut step.gate;
            gate.users = change.users.unwrap_or(gate.users);
            gate.hold = change.hold.unwrap_or(gate.hold);
            gate.think = change.think.or(gate.think);
            gate.beyond = change.beyond.clone().unwrap_or_else(|| std::mem::take(&mut gate.beyond));
            gate.endpoints = change.endpoints.clone().unwrap_or_else(|| std::mem::take(&mut gate.endpoints));
            step.digest = digest_of(&(&step.digest, change));
        }
        let known: Vec<&str> = self.endpoints().collect();
        match step.gate.endpoints.iter().find(|wanted| !known.contains(&wanted.as_str())) {
            Some(wanted) => Err(ConfigError::Endpoint {
                step: step.id,
                wanted: wanted.clone(),
                known: known.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
            }),
            None => {
                step.guide = self.in_own_names(&step.guide);
                Ok(step)
            }
        }
    }

    /// A playbook's prose and code with this project's own names in place of the usual ones, so that what is copied fits.
    /// The proof rests on the file's digest, not on this.
    pub(super) fn in_own_names(&self, guide: &str) -> String {
        let variables = &self.variables;
        let names = [
            ("DATABASE_UNPOOLED_URL", &variables.database_direct),
            ("DATABASE_URL", &variables.database),
            ("PGBOUNCER_CONSOLE_URL", &variables.pooler_console),
            ("REDIS_URL", &variables.cache),
            ("CELERY_BROKER_URL", &variables.broker),
            ("SENTRY_DSN", &variables.sentry_dsn),
        ];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let own = |word: &str| names.iter().find(|(usual, _)| *usual == word).and_then(|(_, own)| own.as_deref());
        let site = self.site.url.as_str().trim_end_matches('/');
        let guide = guide.replace("https://your.site", site);
        // Whole words only: MY_REDIS_URL is another name.
        let mut filled = String::with_capacity(guide.len());
        let mut rest = guide.as_str();
        while let Some(from) = rest.find(is_name) {
            let (before, word_on) = rest.split_at(from);
            let (word, after) = word_on.split_at(word_on.find(|c| !is_name(c)).unwrap_or(word_on.len()));
            filled.push_str(before);
            filled.push_str(own(word).unwrap_or(word));
            rest = after;
        }
        filled + rest
    }

    /// Names under which the flows' steps are counted.
    pub fn endpoints(&self) -> impl Iterator<Item = &str> {
        self.mix.flows.iter().flat_map(|flow| flow.steps.iter().map(|step| step.endpoint()))
    }

    /// What a proof of this step rests on today. `step` as [`Settings::climb`] gives it.
    #[must_use]
    pub fn contract(&self, step: &Step, quick: bool) -> Contract {
        Contract {
            playbook: step.digest.clone(),
            slo: digest_of(&self.slo_of(step)),
            // The time-out belongs to it: a longer one turns errors into slow successes.
            // So does the model, unless it is the usual one: older proofs rest on that.
            flows: match self.pace.model {
                Model::Closed => digest_of(&(&self.mix, self.pace.timeout)),
                model @ Model::Open => digest_of(&(&self.mix, self.pace.timeout, model)),
            },
            // Where the app says its release changes nothing that was proven.
            site: digest_of(&Site { release: None, ..self.site.clone() }),
            target: self.site.url.origin().ascii_serialization(),
            quick,
        }
    }

    /// The promise in force for a step: a playbook may only tighten the settings'.
    #[must_use]
    pub fn slo_of(&self, step: &Step) -> Slo {
        step.gate.slo.as_ref().map_or_else(|| self.slo.clone(), |stricter| self.slo.stricter(stricter))
    }
}

/// Digest of a value by its JSON, whose keys come in the order of their declaration or sorted.
fn digest_of(value: &impl Serialize) -> String {
    // These are plain structs, lists and maps with text keys: serde_json cannot refuse them.
    digest(&serde_json::to_vec(value).unwrap_or_default())
}
