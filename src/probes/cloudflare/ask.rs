//! Questions to Cloudflare: the envelope around every answer, and what its error codes mean.

use reqwest::Method;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;

use super::{Right, SYSTEM};
use crate::domain::clouds::{CLOUDFLARE, Cloudflare};
use crate::domain::site::Key;
use crate::domain::text::tame;
use crate::probes::api::graphql;
use crate::probes::http::answer::Answer;
use crate::probes::http::{Ask, Http};
use crate::probes::{ProbeError, api};

/// "could not find entrypoint ruleset": nobody ever made a rule there.
const NO_RULES: u32 = 10_003;
/// Codes that speak of the token: it is none, may not do this, is of a kind that may not, or was not understood.
const OF_THE_TOKEN: [u32; 7] = [1_000, 1_001, 1_011, 6_003, 6_111, 9_109, 10_000];

/// Cloudflare's API and the token for it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub http: &'a Http,
    pub site: &'a Cloudflare,
    pub token: &'a Key,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// The token may not ask this, in Cloudflare's words.
    NotAllowed(String),
    /// There is no such thing: an answer, where nobody made one.
    Absent,
    /// Anything else.
    Else(ProbeError),
}

impl From<ProbeError> for Fault {
    fn from(error: ProbeError) -> Self {
        Self::Else(error)
    }
}

/// What every answer is wrapped in.
#[derive(Debug, Deserialize)]
struct Envelope<T> {
    success: bool,
    #[serde(default)]
    errors: Vec<Complaint>,
    result: Option<T>,
    result_info: Option<Pages>,
}

#[derive(Debug, Deserialize)]
struct Complaint {
    code: Option<u32>,
    message: String,
}

/// How much of a list an answer holds.
#[derive(Debug, Deserialize)]
struct Pages {
    page: Option<f64>,
    total_pages: Option<f64>,
}

impl Line<'_> {
    /// Asks for one thing.
    pub async fn get<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T, Fault> {
        let mut url = self.address(path)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let answer = self.send(self.http.ask(Method::GET, Ok(url))).await?;
        read(&answer)
    }

    /// Asks for one thing that is described in JSON.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Fault> {
        let answer = self.send(self.written(path, body)?).await?;
        read(&answer)
    }

    /// Asks the analytics, whose answers are wrapped in another way.
    pub async fn analytics<T: DeserializeOwned>(&self, body: &Value) -> Result<T, Fault> {
        let answer = self.send(self.written("graphql", body)?).await?;
        if matches!(answer.status, 401 | 403) {
            return Err(Fault::NotAllowed(format!("status {}", answer.status)));
        }
        graphql::read(SYSTEM, &answer)?.map_err(|complaint| {
            if complaint.code == "authz" || complaint.says(&["not authorized", "authentication error"]) {
                Fault::NotAllowed(complaint.message)
            } else if complaint.says(&["rate limit", "budget depleted"]) {
                // 300 questions in five minutes are allowed.
                let why = api::TOO_MANY.to_owned();
                Fault::Else(ProbeError::Busy { system: SYSTEM, why, when: "in five minutes".to_owned() })
            } else if complaint.says(&["unknown field", "unknown arg", "cannot query", "error parsing args"]) {
                Fault::Else(ProbeError::Changed { system: SYSTEM, saw: complaint.message })
            } else {
                Fault::Else(ProbeError::busy(SYSTEM, complaint.message))
            }
        })
    }

    /// What a fault means for whoever needs this right.
    pub fn told(&self, fault: Fault, right: Right) -> ProbeError {
        let (variable, right) = (&self.token.variable, right.name());
        match fault {
            Fault::Else(error) => error,
            Fault::NotAllowed(why) => ProbeError::Refused {
                system: SYSTEM,
                why,
                provide: format!("put a token that is valid into {variable}, and give it the permission {right}"),
            },
            Fault::Absent => ProbeError::odd(SYSTEM, "nothing where something always is (status 404)"),
        }
    }

    fn address(&self, path: &str) -> Result<url::Url, ProbeError> {
        api::address(&self.site.api, CLOUDFLARE, &format!("/client/v4/{path}"))
    }

    fn written(&self, path: &str, body: &Value) -> Result<Ask<'_>, ProbeError> {
        let url = self.address(path)?;
        let request = self.http.ask(Method::POST, Ok(url)).header("content-type", "application/json");
        Ok(request.body(body.to_string().into_bytes()))
    }

    async fn send(&self, request: Ask<'_>) -> Result<Answer, ProbeError> {
        let bearer = format!("Bearer {}", self.token.secret.expose());
        api::ask(SYSTEM, request.header("authorization", bearer)).await
    }
}

/// What is in the envelope. `success` may be false with status 200.
fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Fault> {
    let wrapped: Envelope<IgnoredAny> = api::read(SYSTEM, answer)?;
    let complaint = wrapped.errors.into_iter().next();
    let said = |complaint: &Complaint| match complaint.code {
        Some(code) => format!("{} (code {code})", tame(&complaint.message, 120)),
        None => tame(&complaint.message, 120),
    };
    match (answer.status, complaint) {
        (404, Some(complaint)) if complaint.code == Some(NO_RULES) => return Err(Fault::Absent),
        (_, Some(complaint)) if complaint.code.is_some_and(|code| OF_THE_TOKEN.contains(&code)) => {
            return Err(Fault::NotAllowed(said(&complaint)));
        }
        (401 | 403, complaint) => {
            let status = format!("status {}", answer.status);
            return Err(Fault::NotAllowed(complaint.as_ref().map_or(status, said)));
        }
        (_, Some(complaint)) => return Err(Fault::Else(ProbeError::busy(SYSTEM, said(&complaint)))),
        (200, None) if wrapped.success => {}
        (status, None) => {
            return Err(Fault::Else(ProbeError::odd(
                SYSTEM,
                format!("neither success nor an error (status {status})"),
            )));
        }
    }
    if let Some(Pages { page: Some(page), total_pages: Some(pages) }) = wrapped.result_info
        && page < pages
    {
        return Err(Fault::Else(ProbeError::odd(SYSTEM, format!("only page {page} of {pages}"))));
    }
    let nothing = || ProbeError::Changed { system: SYSTEM, saw: "success without a result".to_owned() };
    let wrapped: Envelope<T> = api::read(SYSTEM, answer)?;
    wrapped.result.ok_or_else(nothing).map_err(Fault::Else)
}
