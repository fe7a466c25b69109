//! Questions to Railway: how a token is shown, and what it means when one is not answered.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{SYSTEM, TokenKind};
use crate::domain::clouds::{RAILWAY, Railway};
use crate::domain::site::Key;
use crate::probes::api::graphql::{self, Complaint};
use crate::probes::http::Http;
use crate::probes::{ProbeError, api};

/// Railway's API and the token for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub http: &'a Http,
    pub site: &'a Railway,
    pub token: &'a Key,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The token may not ask this, in Railway's words.
    NotAllowed(String),
    /// Anything else.
    Else(ProbeError),
}

impl From<ProbeError> for Fault {
    fn from(error: ProbeError) -> Self {
        Self::Else(error)
    }
}

impl Line<'_> {
    /// Asks one question, showing the token as one of this kind.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        kind: TokenKind,
        question: &str,
        variables: Value,
    ) -> Result<T, Fault> {
        let url = api::address(&self.site.api, RAILWAY, "/graphql/v2");
        let body = json!({ "query": question, "variables": variables }).to_string();
        let request = self.http.ask(Method::POST, url).header("content-type", "application/json");
        let secret = self.token.secret.expose();
        let request = match kind {
            TokenKind::Project => request.header("project-access-token", secret),
            TokenKind::Account => request.header("authorization", format!("Bearer {secret}")),
        };
        let answer = api::ask(SYSTEM, request.body(body.into_bytes())).await?;
        if matches!(answer.status, 401 | 403) {
            return Err(Fault::NotAllowed(format!("status {}", answer.status)));
        }
        graphql::read(SYSTEM, &answer)?.map_err(meaning)
    }
}

/// What Railway means by a complaint.
fn meaning(complaint: Complaint) -> Fault {
    let refused = |why: String, provide: &str| ProbeError::Refused { system: SYSTEM, why, provide: provide.to_owned() };
    if complaint.says(&["two factor"]) {
        let provide = "switch two-factor authentication on for the account that made the token";
        Fault::Else(refused(complaint.message, provide))
    } else if complaint.says(&["not authorized", "unauthorized", "invalid token", "token not found"]) {
        Fault::NotAllowed(complaint.message)
    } else if complaint.says(&["rate limit", "too many requests"]) {
        Fault::Else(ProbeError::busy(SYSTEM, api::TOO_MANY))
    } else if complaint.code == "GRAPHQL_VALIDATION_FAILED"
        || complaint.says(&["cannot query field", "unknown argument", "unknown type"])
    {
        Fault::Else(ProbeError::Changed { system: SYSTEM, saw: complaint.message })
    } else if complaint.says(&["not found"]) {
        Fault::Else(ProbeError::NotGiven {
            what: format!("Railway's API does not know it: {}", complaint.message),
            provide: "correct project and service in rampup.toml: [site.railway]".to_owned(),
        })
    } else {
        Fault::Else(ProbeError::busy(SYSTEM, complaint.message))
    }
}
