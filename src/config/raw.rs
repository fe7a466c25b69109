//! The shape of `rampup.toml`, field by field, before anything is judged. Unknown keys are refused here.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::domain::flow::{Feeder, Flow, Think};
use crate::domain::ramp::Model;
use crate::domain::slo::Slo;
use crate::domain::units::parse_duration;

/// The newest schema this program understands.
pub(super) const SCHEMA: u32 = 1;

/// Settings of rampup: the site, what stands behind it, the promise, and what its users do.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// Version of this file's form.
    #[serde(rename = "schema")]
    #[schemars(extend("const" = SCHEMA))]
    pub _schema: u32,
    /// File beside this one that may hold the variables named here, as `.env` does; the environment itself comes first.
    pub env_file: Option<String>,
    /// The site that is climbed.
    pub site: Site,
    /// What stands behind it.
    #[serde(default)]
    pub services: Services,
    /// What is promised.
    #[serde(default)]
    pub slo: Slo,
    /// What all flows share.
    #[serde(default)]
    pub load: Load,
    /// What users do. At least one is needed.
    #[serde(default, rename = "flow")]
    pub flows: Vec<Flow>,
    /// Changes to the gates of single steps, by number: `[steps.1]` to `[steps.10]`.
    #[serde(default)]
    #[schemars(extend("propertyNames" = { "pattern": "^([1-9]|10)$" }))]
    pub steps: BTreeMap<String, Step>,
    /// Rows that flows are fed from.
    #[serde(default, rename = "feeder")]
    pub feeders: Vec<Feeder>,
}

/// The site that is climbed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    /// What reports call it.
    pub name: String,
    /// Where users reach it: scheme and host alone.
    pub url: Url,
    /// Where the app answers without the edge in front, when that can be reached.
    pub origin: Option<Url>,
    /// The static files' bucket by its own address, without the edge: strangers must not be able to list it.
    pub bucket: Option<Url>,
    /// Path that answers 200 when the app is well.
    #[serde(default = "healthz")]
    pub health: String,
    /// Path of the app's metrics in the Prometheus format.
    pub metrics: Option<String>,
    /// Name of the environment variable with the Authorization header that the metrics ask for: `Bearer …` or `Basic …`.
    pub metrics_auth_env: Option<String>,
    /// Pages that anyone may see; files they link to are checked.
    #[serde(default = "front_page")]
    pub public_pages: Vec<String>,
    /// Pages of a single person, which no cache may keep.
    #[serde(default)]
    pub private_pages: Vec<String>,
    /// A harmless path under the edge's rate limit.
    pub rate_limited: Option<String>,
    /// What else the edge is meant to do, and how the app knows it.
    pub edge: Option<Edge>,
    /// A limit that the app itself keeps for each client address.
    pub throttle: Option<Throttle>,
    /// Where the app says which release of it is running, so that a deploy in the middle of a ramp shows.
    pub release: Option<Release>,
    /// Names of flow steps whose slow work belongs into the background.
    #[serde(default)]
    pub slow_endpoints: Vec<String>,
    /// Queue of the workers. RQ's is taken for "default" and Huey's for its only one, unless another is named here.
    #[serde(default = "celery")]
    pub queue: String,
    /// The library behind the queue. Found out on the broker when absent.
    pub queue_kind: Option<QueueKind>,
    /// Let the canary check put one harmless task into the queue and wait for its result.
    #[serde(default)]
    pub queue_canary: bool,
    /// Headers on every request of a check.
    #[serde(default)]
    pub probe_headers: BTreeMap<String, String>,
    /// A test user that checks sign in as.
    pub account: Option<Account>,
    /// Where the app hands out upload tickets.
    pub presign: Option<Presign>,
    /// Where errors go.
    pub sentry: Option<Sentry>,
    /// Where Railway is asked for the app.
    pub railway: Option<Railway>,
    /// Where Cloudflare is asked for the site.
    pub cloudflare: Option<Cloudflare>,
    /// How the web processes run; step 7 computes from it what they can carry.
    pub web: Option<Web>,
    /// A file that only the site's owner can put there; read before every ramp off this machine.
    pub ownership: Option<Ownership>,
}

/// What the edge is meant to do, and how the app knows it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edge {
    /// A path that a firewall rule of the edge refuses: `/wp-login.php`.
    pub blocked: Option<String>,
    /// Addresses behind the edge, scheme and host alone, where nobody but the edge may get a page.
    #[serde(default)]
    pub origins: Vec<Url>,
    /// Name of the secret header that the edge adds and the app asks for: `X-Edge-Secret`.
    pub secret_header: Option<String>,
    /// Name of the environment variable with its value, so that checks may look at the app itself.
    pub secret_env: Option<String>,
}

/// A limit that the app itself keeps for each client address.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Throttle {
    /// A harmless path under the limit.
    pub path: String,
    /// Requests that one address may send in the limit's period of a minute or more; 1 to 40.
    pub requests: u32,
}

/// Where the app says which release of it is running: in a header, or in a JSON answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Release {
    /// The path to ask, such as "/healthz".
    pub path: String,
    /// Name of the header that it stands in. Either this or `json`.
    pub header: Option<String>,
    /// Where it stands in a JSON answer, as a JSON pointer: "/release".
    pub json: Option<String>,
}

/// The library behind the queue.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum QueueKind {
    Celery,
    Rq,
    Huey,
}

/// How the web processes run, all replicas alike.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Web {
    /// Worker processes of one replica: gunicorn's `--workers`.
    pub workers: u32,
    /// Threads of one worker: gunicorn's `--threads`; 1 for sync workers.
    #[serde(default = "one")]
    pub threads: u32,
    /// Replicas.
    #[serde(default = "one")]
    pub replicas: u32,
}

fn one() -> u32 {
    1
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

/// A test user that checks sign in as.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    /// Path of the login form.
    pub login: String,
    /// User name.
    pub username: String,
    /// Name of the environment variable that holds the password.
    pub password_env: String,
}

/// Where the app hands out upload tickets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Presign {
    /// Path that answers with a ticket.
    pub path: String,
    /// Largest file that a ticket may allow, in bytes.
    pub max_bytes: u64,
    /// Content type of the files.
    pub content_type: String,
}

/// Where errors go.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sentry {
    /// Address of Sentry: scheme and host alone.
    pub api: Url,
    /// Slug of the organization.
    pub organization: String,
    /// Slug of the project.
    pub project: String,
    /// Name of the environment variable that holds the token.
    pub token_env: String,
    /// Name of the environment variable with the DSN that the app itself uses.
    pub dsn_env: Option<String>,
    /// May a verification make the app report one error?
    #[serde(default)]
    pub send_error: bool,
    /// Path of a page that fails on purpose, such as `/sentry-debug/`; only asked when `send_error` allows it.
    pub error_path: Option<String>,
}

/// Where Railway is asked for the app.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Railway {
    /// Name of the environment variable that holds the token: a project's, which is enough, or an account's.
    pub token_env: String,
    /// Name of the service that runs the app.
    pub service: String,
    /// Id of the project, as its address shows it; only for a token that sees many.
    pub project: Option<String>,
    /// Name of the environment; a project's token knows its own.
    #[serde(default = "production")]
    pub environment: String,
    /// Another address of the API: only one of this machine, as a practice stack has it.
    pub api: Option<Url>,
}

fn production() -> String {
    "production".to_owned()
}

/// Where Cloudflare is asked for the site.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cloudflare {
    /// Name of the environment variable that holds the token, which needs rights to read only.
    pub token_env: String,
    /// The zone, as Cloudflare lists it: `shop.example`.
    pub zone: String,
    /// Another address of the API: only one of this machine, as a practice stack has it.
    pub api: Option<Url>,
}

/// A file that only the site's owner can put there; read before every ramp off this machine.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ownership {
    /// Path of the file that must hold the nonce.
    #[serde(default = "well_known")]
    pub path: String,
    /// Text that must stand there.
    pub nonce: String,
}

fn well_known() -> String {
    "/.well-known/rampup.txt".to_owned()
}

/// What stands behind the site. Each is the name of an environment variable, never the address itself.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Services {
    /// Variable with the URL of the database as the app uses it.
    pub database_env: Option<String>,
    /// Variable with the URL of the database past the pooler.
    pub database_direct_env: Option<String>,
    /// Variable with the URL of the pooler's console.
    pub pooler_console_env: Option<String>,
    /// Variable with the URL of the cache.
    pub cache_env: Option<String>,
    /// Variable with the URL of the Celery broker.
    pub broker_env: Option<String>,
    /// Variable of an access key that may look at and delete objects below the upload prefix: checks remove what they
    /// uploaded.
    pub bucket_access_env: Option<String>,
    /// Variable of the secret that belongs to it.
    pub bucket_secret_env: Option<String>,
}

/// What all flows share.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Load {
    /// Pause before a step that has none of its own, where the gate says none: `5s`, `5s-10s` or `lognormal 6s 0.5`; `5s-10s` when absent.
    pub think: Option<Think>,
    /// Time to bring all users in; chosen by their number when absent.
    pub climb: Option<Words>,
    /// Longest wait for a steady state.
    pub settle_limit: Option<Words>,
    /// A request that takes longer is an error; 1s to 2m.
    pub timeout: Option<Words>,
    /// Who decides when a flow begins.
    #[serde(default)]
    pub model: Model,
    /// Headers on every request; may hold `{{user}}`, `{{user.ip}}` and `{{random A B}}`.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Hosts besides the target that presigned uploads may go to, `host` or `host:port`.
    #[serde(default)]
    pub upload_hosts: Vec<String>,
}

/// Changes to the gate of one step.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// Concurrent users to hold; 1 to 100000.
    pub users: Option<u32>,
    /// Least time to hold them.
    pub hold: Option<Words>,
    /// Pause before a step that has none of its own.
    pub think: Option<Think>,
    /// Names of flow steps that must meet the p95 limit on their own.
    pub endpoints: Option<Vec<String>>,
    /// Numbers of users, ascending, to hold shortly after the hold, until the promise breaks; `[]` for none.
    pub beyond: Option<Vec<u32>>,
}

/// A duration in words (`90s`, `1m30s`) that may be absent.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(with = "String")]
pub(super) struct Words(pub Duration);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        parse_duration(&String::deserialize(from)?).map(Self).map_err(serde::de::Error::custom)
    }
}
