//! Sentry's API: the project's keys, what arrived of a trace of ours, and what was dropped on the way.

mod read;

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ProbeError, Probes};

const SYSTEM: &str = "Sentry's API";

/// What Sentry keeps of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Trace {
    /// Spans received so far.
    pub spans: u64,
    /// Errors received so far.
    pub errors: u64,
    /// Spans by operation: `http.server`, `db`, `cache.get`.
    pub by_operation: BTreeMap<String, u64>,
    /// Projects that sent something of it, by slug.
    pub projects: Vec<String>,
}

/// An error that Sentry keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Occurrence {
    /// "ZeroDivisionError: division by zero".
    pub title: String,
    /// Slug of the project that has it.
    pub project: String,
}

/// A key of a project: what a DSN is made of. The public half only, which is in every app's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientKey {
    /// What its owner calls it.
    pub label: String,
    /// The part of the DSN before the @.
    pub public: String,
    /// The number at the DSN's end.
    pub project: String,
    /// False when it was switched off.
    pub active: bool,
    /// Most events that it takes in as many seconds, if somebody set a limit.
    pub limit: Option<(u64, u64)>,
}

/// Events that ended alike: "error, rate_limited, usage_exceeded: 12".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// `error`, `transaction`, `span`, …
    pub category: String,
    /// `accepted`, `filtered`, `rate_limited`, `invalid`, `abuse`, `client_discard`, `cardinality_limited`.
    pub outcome: String,
    /// Why, in Sentry's word; empty when it gives none.
    pub reason: String,
    /// How many.
    pub quantity: u64,
}

/// Where an app sends to: `https://PUBLIC@HOST/PROJECT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dsn {
    /// The public key.
    pub public: String,
    /// Number of the project.
    pub project: String,
}

impl Dsn {
    /// Reads a DSN; none when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = url::Url::parse(text.trim()).ok()?;
        let project = url.path_segments()?.next_back()?.to_owned();
        let whole = url.has_host() && !url.username().is_empty() && !project.is_empty();
        whole.then(|| Self { public: url.username().to_owned(), project })
    }
}

impl Probes {
    /// What Sentry has of a trace by now; empty before anything arrived.
    ///
    /// # Errors
    /// No Sentry in the settings, no token, no answer, no right.
    pub async fn sentry_trace(&self, id: &str) -> Result<Trace, ProbeError> {
        let organization = &self.sentry_site()?.organization;
        let hour = [("statsPeriod", "1h")];
        let meta = self.sentry(&format!("organizations/{organization}/trace-meta/{id}/"), &hour, "org:read").await?;
        let mut trace = read::meta(&meta);
        if trace.spans > 0 {
            let items = self.sentry(&format!("organizations/{organization}/trace/{id}/"), &hour, "org:read").await?;
            trace.projects = read::projects(&items);
        }
        Ok(trace)
    }

    /// The errors of a trace that can be found by now.
    ///
    /// # Errors
    /// As [`Probes::sentry_trace`].
    pub async fn sentry_errors(&self, trace: &str) -> Result<Vec<Occurrence>, ProbeError> {
        let organization = &self.sentry_site()?.organization;
        let query = format!("trace:{trace}");
        let asked = [
            ("dataset", "errors"),
            ("field", "id"),
            ("field", "title"),
            ("field", "project"),
            ("query", query.as_str()),
            ("statsPeriod", "1h"),
        ];
        let table = self.sentry(&format!("organizations/{organization}/events/"), &asked, "org:read").await?;
        Ok(read::occurrences(&table))
    }

    /// The keys of the project.
    ///
    /// # Errors
    /// As [`Probes::sentry_trace`].
    pub async fn sentry_keys(&self) -> Result<Vec<ClientKey>, ProbeError> {
        let sentry = self.sentry_site()?;
        let path = format!("projects/{}/{}/keys/", sentry.organization, sentry.project);
        read::keys(&self.sentry(&path, &[], "project:read").await?)
    }

    /// How the events of a project (by its number) ended within the last hour.
    ///
    /// # Errors
    /// As [`Probes::sentry_trace`].
    pub async fn sentry_outcomes(&self, project: &str) -> Result<Vec<Outcome>, ProbeError> {
        let organization = &self.sentry_site()?.organization;
        let asked = [
            ("field", "sum(quantity)"),
            ("groupBy", "category"),
            ("groupBy", "outcome"),
            ("groupBy", "reason"),
            ("project", project),
            ("statsPeriod", "1h"),
            ("interval", "1h"),
        ];
        let stats = self.sentry(&format!("organizations/{organization}/stats_v2/"), &asked, "org:read").await?;
        read::outcomes(&stats)
    }

    /// The project as the settings name it.
    ///
    /// # Errors
    /// When they name none.
    pub fn sentry_site(&self) -> Result<&crate::domain::site::Sentry, ProbeError> {
        self.site.sentry.as_ref().ok_or_else(|| ProbeError::NotGiven {
            what: "the app's Sentry project is not known".to_owned(),
            provide: "name it in rampup.toml: [site.sentry] organization, project and token_env".to_owned(),
        })
    }

    async fn sentry(&self, path: &str, query: &[(&str, &str)], right: &str) -> Result<Value, ProbeError> {
        let sentry = self.sentry_site()?;
        let Some(token) = &self.access.sentry_token else {
            return Err(ProbeError::NotGiven {
                what: "Sentry's API needs a token".to_owned(),
                provide: "make a token with the rights org:read and project:read, put it into an environment variable and name \
                          that variable in rampup.toml: [site.sentry] token_env = \"...\""
                    .to_owned(),
            });
        };
        let mut url = sentry.api.join(&format!("/api/0/{path}")).map_err(|e| ProbeError::odd(SYSTEM, e))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let bearer = format!("Bearer {}", token.secret.expose());
        let answer = self.http.ask(Method::GET, Ok(url)).bare().header("authorization", bearer).send().await;
        let answer = answer.map_err(|e| e.at(SYSTEM))?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body).map_err(|e| ProbeError::odd(SYSTEM, e)),
            401 | 403 => Err(ProbeError::Refused {
                system: SYSTEM,
                why: format!("status {}", answer.status),
                provide: format!("give the token in {} the right {right}", token.variable),
            }),
            429 => Err(ProbeError::Refused {
                system: SYSTEM,
                why: "too many requests".to_owned(),
                provide: "wait a minute and verify again".to_owned(),
            }),
            404 => Err(ProbeError::Refused {
                system: SYSTEM,
                why: "it knows no such organization or project (status 404)".to_owned(),
                provide: format!(
                    "correct [site.sentry] organization ({:?}) and project ({:?}): the words in Sentry's own addresses",
                    sentry.organization, sentry.project
                ),
            }),
            status => Err(ProbeError::odd(SYSTEM, format!("status {status}"))),
        }
    }
}

#[cfg(test)]
mod contract;
