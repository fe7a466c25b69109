//! One file per system: ask, and return a small struct of facts. Every question has a time limit.
//!
//! Knows no step, no threshold and no verdict; what is right or wrong is for `checks` to say.

mod api;
pub mod base64;
pub mod bucket;
pub mod cloudflare;
pub mod error;
pub mod http;
pub mod jobs;
pub mod lease;
pub mod lifecycle;
pub mod metrics;
pub mod object;
pub mod ownership;
pub mod path;
pub mod pooler;
pub mod postgres;
#[cfg(test)]
pub(crate) mod practice;
mod put;
pub mod railway;
pub mod redis;
mod release;
pub mod s3;
pub mod sentry;
mod tls;

pub use error::ProbeError;

use std::path::{Path, PathBuf};

use crate::domain::ids::RunId;
use crate::domain::site::{Access, Key, QueueKind, Site};

use http::Http;
use http::session::Session;
use postgres::Postgres;
use redis::Redis;

/// Everything a check may ask, built once per run and shared.
#[derive(Debug)]
pub struct Probes {
    /// The site as its owner described it.
    pub site: Site,
    /// The keys to its systems.
    pub access: Access,
    /// The run in whose name we ask.
    pub run: RunId,
    /// The way in through the front door.
    pub http: Http,
    /// The folder of `rampup.toml`, when there is one.
    pub project: Option<PathBuf>,
    /// Which library the settings in a folder name for the background work.
    library: fn(&Path) -> Option<QueueKind>,
}

impl Probes {
    /// Prepares the clients; nothing is contacted yet.
    ///
    /// # Errors
    /// When an HTTP client cannot be built (no TLS roots, a header in `[site.probe_headers]` that is none).
    pub fn new(site: Site, access: Access, run: RunId) -> Result<Self, ProbeError> {
        let http = Http::new(&site, &run)?.keyed(&site, access.edge_secret.as_ref())?;
        Ok(Self { site, access, run, http, project: None, library: |_| None })
    }

    /// The same, with the folder that the app's source is looked for in, and with whoever reads off the settings there
    /// which library does the background work.
    #[must_use]
    pub fn in_project(self, dir: PathBuf, library: fn(&Path) -> Option<QueueKind>) -> Self {
        Self { project: Some(dir), library, ..self }
    }

    /// The database itself: the direct DSN, or the app's own when there is only that one.
    ///
    /// # Errors
    /// When neither is given or it cannot be reached.
    pub async fn database(&self) -> Result<Postgres, ProbeError> {
        let access = &self.access;
        let key = access.database_direct.as_ref().or(access.database.as_ref());
        Postgres::connect(given(key, "PostgreSQL", "database_direct_env")?, "PostgreSQL").await
    }

    /// The DSN that the app itself uses.
    ///
    /// # Errors
    /// When it is not given.
    pub fn app_dsn(&self) -> Result<&Key, ProbeError> {
        given(self.access.database.as_ref(), "the app's own database address", "database_env")
    }

    /// PgBouncer's console.
    ///
    /// # Errors
    /// When it is not given or cannot be reached.
    pub async fn pooler(&self) -> Result<pooler::Console, ProbeError> {
        let key = given(self.access.pooler_console.as_ref(), "PgBouncer's console", "pooler_console_env")?;
        pooler::Console::connect(key).await
    }

    /// The cache's Redis.
    ///
    /// # Errors
    /// When it is not given or cannot be reached.
    pub async fn cache(&self) -> Result<Redis, ProbeError> {
        Redis::connect(given(self.access.cache.as_ref(), "the cache's Redis", "cache_env")?, "the cache's Redis").await
    }

    /// The broker of the background jobs.
    ///
    /// # Errors
    /// When it is not given or cannot be reached.
    pub async fn broker(&self) -> Result<jobs::Broker, ProbeError> {
        let key = given(self.access.broker.as_ref(), "the job broker's Redis", "broker_env")?;
        let (project, library) = (self.project.clone(), self.library);
        let written = async move {
            let project = project?;
            tokio::task::spawn_blocking(move || library(&project)).await.ok().flatten()
        };
        jobs::Broker::connect(key, &self.site.queue, self.site.queue_kind, written).await
    }

    /// A session of the test user.
    ///
    /// # Errors
    /// No test user or password in the settings; the login form does not let us in.
    pub async fn sign_in(&self) -> Result<Session, ProbeError> {
        let (Some(account), Some(password)) = (&self.site.account, &self.access.account_password) else {
            return Err(ProbeError::NotGiven {
                what: "there is no test user to sign in as".to_owned(),
                provide:
                    "make one on the site and name it in rampup.toml: [site.account] login, username and password_env"
                        .to_owned(),
            });
        };
        self.http.sign_in(account, password).await
    }

    /// A value nobody has used before, for cache-busting queries and trace ids: 32 hex digits.
    #[must_use]
    pub fn nonce(&self) -> String {
        format!("{:032x}", rand::random::<u128>())
    }
}

/// Seconds since 1970: what brokers write beside their tasks.
fn unix_now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The key, or the sentence that asks for it.
pub(crate) fn given<'a>(key: Option<&'a Key>, what: &str, setting: &str) -> Result<&'a Key, ProbeError> {
    key.ok_or_else(|| ProbeError::NotGiven {
        what: format!("the address of {what} is not known"),
        provide: format!(
            "put it into an environment variable and name that variable in rampup.toml: [services] {setting} = \"...\""
        ),
    })
}
