//! Sentry's API: was a trace of ours received, by which project, with which spans?

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;

use crate::domain::text::tame;

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

impl Probes {
    /// What Sentry has of a trace by now; empty before anything arrived.
    ///
    /// # Errors
    /// No Sentry in the settings, no token, no answer, no right.
    pub async fn sentry_trace(&self, id: &str) -> Result<Trace, ProbeError> {
        let sentry = self.site.sentry.as_ref().ok_or_else(|| ProbeError::NotGiven {
            what: "the app's Sentry project is not known".to_owned(),
            provide: "name it in rampup.toml: [site.sentry] organization, project and token_env".to_owned(),
        })?;
        let organization = &sentry.organization;
        let meta = self.sentry(&format!("organizations/{organization}/trace-meta/{id}/")).await?;
        let mut trace = read_meta(&meta);
        if trace.spans > 0 {
            let items = self.sentry(&format!("organizations/{organization}/trace/{id}/")).await?;
            trace.projects = read_projects(&items);
        }
        Ok(trace)
    }

    async fn sentry(&self, path: &str) -> Result<Value, ProbeError> {
        let (Some(sentry), Some(token)) = (&self.site.sentry, &self.access.sentry_token) else {
            return Err(ProbeError::NotGiven {
                what: "Sentry's API needs a token".to_owned(),
                provide:
                    "make an organization token with the right org:read, put it into an environment variable and name \
                          that variable in rampup.toml: [site.sentry] token_env = \"...\""
                        .to_owned(),
            });
        };
        let url = sentry.api.join(&format!("/api/0/{path}?statsPeriod=1h")).map_err(|e| ProbeError::odd(SYSTEM, e))?;
        let bearer = format!("Bearer {}", token.secret.expose());
        let answer = self.http.ask(Method::GET, Ok(url)).bare().header("authorization", bearer).send().await;
        let answer = answer.map_err(|e| match e {
            ProbeError::Unreachable { why, .. } => ProbeError::Unreachable { system: SYSTEM, why },
            ProbeError::TimedOut { limit, .. } => ProbeError::TimedOut { system: SYSTEM, limit },
            other => other,
        })?;
        match answer.status {
            200 => serde_json::from_slice(&answer.body).map_err(|e| ProbeError::odd(SYSTEM, e)),
            401 | 403 => Err(ProbeError::Refused {
                system: SYSTEM,
                why: format!("status {}", answer.status),
                provide: format!("give the token in {} the right org:read", token.variable),
            }),
            429 => Err(ProbeError::Refused {
                system: SYSTEM,
                why: "too many requests".to_owned(),
                provide: "wait a minute and verify again".to_owned(),
            }),
            status => Err(ProbeError::odd(
                SYSTEM,
                format!("status {status}; is the organization {:?} right?", sentry.organization),
            )),
        }
    }
}

fn read_meta(meta: &Value) -> Trace {
    // Numbers may come as floats; older versions wrote snake_case.
    let number = |v: &Value| v.as_u64().or_else(|| v.as_f64().filter(|f| *f >= 0.0).map(|f| f as u64)).unwrap_or(0);
    let field = |new: &str, old: &str| if meta[new].is_null() { meta[old].clone() } else { meta[new].clone() };
    let by_operation = field("spansCountMap", "span_count_map");
    Trace {
        spans: number(&field("spansCount", "span_count")),
        errors: number(&field("errorsCount", "errors")),
        by_operation: by_operation
            .as_object()
            .map(|map| map.iter().take(50).map(|(op, n)| (tame(op, 60), number(n))).collect())
            .unwrap_or_default(),
        projects: Vec::new(),
    }
}

fn read_projects(items: &Value) -> Vec<String> {
    let mut slugs: Vec<String> = items
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item["project_slug"].as_str().map(|s| tame(s, 100)))
        .collect();
    slugs.sort();
    slugs.dedup();
    slugs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples_are_read() {
        // From Sentry's API description (trace-meta and trace).
        let meta = serde_json::json!({ "errorsCount": 0, "logsCount": 5, "metricsCount": 0, "performanceIssuesCount": 0,
            "spansCount": 195, "spansCountMap": { "cache.get": 56, "db": 58, "http.server": 6 }, "transactionChildCountMap": [] });
        let trace = read_meta(&meta);
        assert_eq!((trace.spans, trace.errors, trace.by_operation["http.server"]), (195, 0, 6));
        let items = serde_json::json!([{ "project_slug": "javascript", "op": "http.server" }, { "project_slug": "javascript" }]);
        assert_eq!(read_projects(&items), ["javascript"]);
    }

    #[test]
    fn counts_may_come_as_floats() {
        assert_eq!(read_meta(&serde_json::json!({ "spansCount": 3.0, "errorsCount": 1 })).spans, 3);
    }
}
