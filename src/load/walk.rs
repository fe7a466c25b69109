//! One flow, once, by a fresh user, without thinking: to see that it works before a thousand users play it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{RequestBuilder, Response};
use url::Url;

use super::LoadError;
use super::client::Clients;
use super::request::{Done, NotMade, SendError, Transport, Visitor};
use super::script::{Action, Script};
use crate::domain::flow::Mix;
use crate::domain::secret::Secret;
use crate::domain::text::tame;

/// What one step did.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// Endpoint name.
    pub name: String,
    /// Status, when there was an answer.
    pub status: Option<u16>,
    /// Start to last byte, ms.
    pub latency_ms: f64,
    /// What went wrong.
    pub error: Option<String>,
    /// Names of the values that were extracted.
    pub extracted: Vec<String>,
}

/// Walks through a flow as user `user`, login first, every step whatever its share. Stops behind the first step that
/// fails; its report says why.
///
/// # Errors
/// When the flow is unknown or cannot be played, or no client can be built.
pub async fn walk_once(
    mix: &Mix,
    flow: &str,
    target: &Url,
    passwords: Arc<BTreeMap<String, Secret>>,
    timeout: Duration,
    user: u32,
) -> Result<Vec<StepReport>, LoadError> {
    let script = Script::compile(mix, passwords)?;
    let play = script.plays.iter().find(|play| play.name == flow).ok_or_else(|| LoadError::Flow {
        flow: flow.to_owned(),
        why: "there is no flow of that name; see rampup.toml".into(),
    })?;
    let clients = Clients::prepare(target, timeout).await?;
    let mut visitor = Visitor::new(user, &script, target, clients.build()?, 0);
    let mut reports = Vec::new();
    if let Some(login) = &play.login {
        let name = |action: &Action| script.endpoints[action.endpoint].clone();
        let (form, token) = match visitor.login_form(&mut Direct, login, Instant::now()).await {
            Ok((done, token)) => (Ok(done), token),
            Err(why) => (Err(why), None),
        };
        if !report(&mut reports, name(&login.form), form) {
            return Ok(reports);
        }
        let done = visitor.sign_in(&mut Direct, login, token, Instant::now()).await;
        if !report(&mut reports, name(&login.post), done) {
            return Ok(reports);
        }
    }
    for action in &play.actions {
        let done = visitor.step(&mut Direct, action, Instant::now()).await;
        if !report(&mut reports, script.endpoints[action.endpoint].clone(), done) {
            break;
        }
    }
    Ok(reports)
}

/// Adds a report; true when the walk can go on.
fn report(reports: &mut Vec<StepReport>, name: String, done: Result<Done, NotMade>) -> bool {
    let good = done.as_ref().is_ok_and(Done::is_good);
    reports.push(match done {
        Ok(done) => StepReport {
            name,
            status: done.status,
            latency_ms: done.latency.as_secs_f64() * 1000.0,
            error: done.why.map(|why| tame(&why, 200)),
            extracted: done.extracted,
        },
        Err(why) => StepReport {
            name,
            status: None,
            latency_ms: 0.0,
            error: Some(tame(&why.to_string(), 200)),
            extracted: Vec::new(),
        },
    });
    good
}

/// Straight through the client, no engine.
struct Direct;

impl Transport for Direct {
    async fn send(&mut self, _endpoint: &str, request: RequestBuilder) -> Result<Response, SendError> {
        request.send().await.map_err(SendError::Http)
    }
}
