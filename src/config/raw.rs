//! The shape of `rampup.toml`, field by field, before anything is judged. Unknown keys are refused here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::Url;

use crate::domain::flow::{Feeder, Flow, Think};
use crate::domain::ramp::Model;
use crate::domain::slo::Slo;
use crate::domain::units::parse_duration;

/// The newest schema this program understands.
pub(super) const SCHEMA: u32 = 1;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(rename = "schema")]
    pub _schema: u32,
    pub env_file: Option<String>,
    pub site: Site,
    #[serde(default)]
    pub services: Services,
    #[serde(default)]
    pub slo: Slo,
    #[serde(default)]
    pub load: Load,
    #[serde(default, rename = "flow")]
    pub flows: Vec<Flow>,
    #[serde(default)]
    pub steps: BTreeMap<String, Step>,
    #[serde(default, rename = "feeder")]
    pub feeders: Vec<Feeder>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub name: String,
    pub url: Url,
    pub origin: Option<Url>,
    #[serde(default = "healthz")]
    pub health: String,
    pub metrics: Option<String>,
    #[serde(default = "front_page")]
    pub public_pages: Vec<String>,
    #[serde(default)]
    pub private_pages: Vec<String>,
    pub rate_limited: Option<String>,
    #[serde(default)]
    pub slow_endpoints: Vec<String>,
    #[serde(default = "celery")]
    pub queue: String,
    #[serde(default)]
    pub probe_headers: BTreeMap<String, String>,
    pub account: Option<Account>,
    pub presign: Option<Presign>,
    pub sentry: Option<Sentry>,
    pub ownership: Option<Ownership>,
}

fn healthz() -> String {
    "/healthz".to_owned()
}

fn front_page() -> Vec<String> {
    vec!["/".to_owned()]
}

fn celery() -> String {
    "celery".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub login: String,
    pub username: String,
    pub password_env: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Presign {
    pub path: String,
    pub max_bytes: u64,
    pub content_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sentry {
    pub api: Url,
    pub organization: String,
    pub project: String,
    pub token_env: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ownership {
    #[serde(default = "well_known")]
    pub path: String,
    pub nonce: String,
}

fn well_known() -> String {
    "/.well-known/rampup.txt".to_owned()
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Services {
    pub database_env: Option<String>,
    pub database_direct_env: Option<String>,
    pub pooler_console_env: Option<String>,
    pub cache_env: Option<String>,
    pub broker_env: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Load {
    pub think: Option<Think>,
    pub climb: Option<Words>,
    pub settle_limit: Option<Words>,
    pub timeout: Option<Words>,
    #[serde(default)]
    pub model: Model,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub upload_hosts: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub users: Option<u32>,
    pub hold: Option<Words>,
    pub think: Option<Think>,
    pub endpoints: Option<Vec<String>>,
}

/// A duration in words (`90s`, `1m30s`) that may be absent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words(pub Duration);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse_duration(&String::deserialize(from)?).map(Self).map_err(serde::de::Error::custom)
    }
}
