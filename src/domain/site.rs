//! The site under test as its owner described it, and the keys to its systems.

use serde::{Deserialize, Serialize};
use url::Url;

use super::clouds::{Cloudflare, Railway};
use super::secret::Secret;

/// What the owner told us. No secrets: it may be shown and stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// A short name for screens.
    pub name: String,
    /// Where users arrive (through the edge, if there is one).
    pub url: Url,
    /// The app's own address behind the edge, if it can be reached.
    pub origin: Option<Url>,
    /// The static files' bucket by its own address, without the edge. Left out of older proofs' digest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Url>,
    /// Path of the health endpoint.
    pub health: String,
    /// Path of the Prometheus metrics, if any.
    pub metrics: Option<String>,
    /// Pages anyone may see; assets are found on them.
    pub public_pages: Vec<String>,
    /// Pages and API paths that must never come out of a shared cache.
    pub private_pages: Vec<String>,
    /// A harmless path under the edge's rate limit.
    pub rate_limited: Option<String>,
    /// What else the edge is meant to do. Left out of older proofs' digest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<Edge>,
    /// A limit that the app itself keeps. Left out likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Throttle>,
    /// Where the app says which release it is. Left out likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// A test user.
    pub account: Option<Account>,
    /// The endpoint that hands out upload tickets.
    pub presign: Option<Presign>,
    /// Endpoints (flow step names) whose slow work belongs to the workers.
    pub slow_endpoints: Vec<String>,
    /// Where the app's Sentry project is read.
    pub sentry: Option<Sentry>,
    /// The app as Railway knows it. Left out of older proofs' digest when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub railway: Option<Railway>,
    /// The site as Cloudflare knows it. Left out likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloudflare: Option<Cloudflare>,
    /// The queue's name, where the library does not say better.
    pub queue: String,
    /// The library behind the queue; found out on the broker when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_kind: Option<QueueKind>,
    /// True when a task of our own may be put into the queue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub queue_canary: bool,
    /// Headers our own probes send (a practice edge's client address, for example).
    pub probe_headers: std::collections::BTreeMap<String, String>,
}

/// How the app's web processes run, all replicas alike. What it may serve at once, not what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Web {
    /// Worker processes of one replica.
    pub workers: u32,
    /// Threads of one worker; 1 for sync workers.
    pub threads: u32,
    /// Replicas.
    pub replicas: u32,
}

impl Web {
    /// Requests that can be served at the same time.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.workers.saturating_mul(self.threads).saturating_mul(self.replicas)
    }
}

/// The library that does the background work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// Celery.
    #[default]
    Celery,
    /// RQ, also under django-rq.
    Rq,
    /// Huey.
    Huey,
}

impl QueueKind {
    /// Its name as its own people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Celery => "Celery",
            Self::Rq => "RQ",
            Self::Huey => "Huey",
        }
    }

    /// How one worker is started for a queue.
    #[must_use]
    pub fn start(self, queue: &str) -> String {
        match self {
            Self::Celery => format!("celery -A yourproject worker -Q {queue}"),
            Self::Rq => format!("rq worker -u ADDRESS {queue} (django-rq: manage.py rqworker {queue})"),
            Self::Huey => "manage.py run_huey (it serves the one queue that HUEY names)".to_owned(),
        }
    }
}

/// A test user that signs in by Django's login form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Path of the form.
    pub login: String,
    /// User name.
    pub username: String,
}

/// A presigned-POST endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presign {
    /// Path that answers with `url` and `fields`.
    pub path: String,
    /// The largest upload the app means to allow, bytes.
    pub max_bytes: u64,
    /// The content type it means to allow.
    pub content_type: String,
}

/// What the edge is meant to do, and how the app knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Edge {
    /// A path that a firewall rule refuses.
    #[serde(default)]
    pub blocked: Option<String>,
    /// Addresses behind the edge where a stranger must get no page.
    #[serde(default)]
    pub origins: Vec<Url>,
    /// The header by which the app knows the edge.
    #[serde(default)]
    pub secret_header: Option<String>,
}

/// A limit that the app itself keeps for each client address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// A harmless path under it.
    pub path: String,
    /// Requests it allows in a minute (or more), from one address.
    pub requests: u32,
}

/// Where the app says which release of it is running: a commit, a deployment's id, a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The path that is asked.
    pub path: String,
    /// In what of the answer it stands.
    pub stands_in: StandsIn,
}

/// In what of an answer something stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StandsIn {
    /// The header of this name.
    Header(String),
    /// The JSON value that this pointer leads to.
    Json(String),
}

/// A Sentry project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sentry {
    /// Base of the API: `https://sentry.io` or a region's host.
    pub api: Url,
    /// Organisation slug.
    pub organization: String,
    /// Project slug.
    pub project: String,
    /// A verification may make the app report one error. Left out of older proofs' digest when false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub send_error: bool,
    /// Path of a page that fails on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_path: Option<String>,
}

/// Keys to the user's systems, taken from the environment. Each carries the variable's name for messages.
#[derive(Debug, Default)]
pub struct Access {
    /// The DSN the app itself uses.
    pub database: Option<Key>,
    /// A DSN straight to PostgreSQL, for the sampler and statistics.
    pub database_direct: Option<Key>,
    /// PgBouncer's admin console (database `pgbouncer`).
    pub pooler_console: Option<Key>,
    /// The cache's Redis.
    pub cache: Option<Key>,
    /// The broker's Redis.
    pub broker: Option<Key>,
    /// Keys by which test uploads are looked at and removed again.
    pub bucket_access: Option<Key>,
    /// See `bucket_access`.
    pub bucket_secret: Option<Key>,
    /// Password of the test users.
    pub account_password: Option<Key>,
    /// Sentry API token.
    pub sentry_token: Option<Key>,
    /// Railway's API token, of a project, an account or a workspace.
    pub railway_token: Option<Key>,
    /// Cloudflare's API token, of a user or an account.
    pub cloudflare_token: Option<Key>,
    /// The Sentry DSN that the app itself uses.
    pub sentry_dsn: Option<Key>,
    /// The Authorization header that the metrics ask for.
    pub metrics_auth: Option<Key>,
    /// The value of the header by which the app knows the edge.
    pub edge_secret: Option<Key>,
}

/// A secret and the name of the variable it came from.
#[derive(Debug)]
pub struct Key {
    /// Environment variable.
    pub variable: String,
    /// Its value.
    pub secret: Secret,
}
