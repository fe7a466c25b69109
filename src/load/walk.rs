//! One flow, once, by a fresh user, without thinking: to see that it works before a thousand users play it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::action::Action;
use super::answer::Outcome;
use super::script::Script;
use super::visitor::{Done, NotMade, Trace, Visitor};
use super::{LoadError, client};
use crate::domain::flow::Mix;
use crate::domain::secret::Secret;
use crate::domain::text::tame;

/// What one step did. Holds no secret.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StepReport {
    /// Endpoint name.
    pub name: String,
    /// Index of the step in its flow; none for the login.
    pub step: Option<usize>,
    /// GET, POST and so on; empty when nothing was sent.
    pub method: String,
    /// Path and query as sent, without what nobody should see.
    pub path: String,
    /// Status, when there was an answer.
    pub status: Option<u16>,
    /// Start to last byte, ms.
    pub latency_ms: f64,
    /// Length of the body, decoded.
    pub bytes: u64,
    /// What went wrong.
    pub error: Option<String>,
    /// Values that were extracted, by name; none for one that nobody should see.
    pub extracted: Vec<(String, Option<String>)>,
    /// Files that the page links to: how many were fetched, and how many of them did not come.
    pub files: (usize, usize),
}

/// Longest extracted value that is shown, in characters.
const SHOWN: usize = 200;

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
    let play = script.plays.iter().find(|play| play.flow.name == flow).ok_or_else(|| LoadError::Flow {
        flow: flow.to_owned(),
        why: "there is no flow of that name; see rampup.toml".into(),
    })?;
    let wires = client::prepare(target, &mix.upload_hosts, timeout).await?;
    let mut visitor = Visitor::new(user, &script, target, wires.build(), 0);
    visitor.trace = Some(Trace::default());
    let mut reports = Vec::new();
    let name = |action: &Action| script.endpoints[action.endpoint].clone();
    if let Some(login) = &play.login {
        let (got, form) = match visitor.login_form(login, Instant::now()).await {
            Ok((done, form)) => (Ok(done), Some(form)),
            Err(why) => (Err(why), None),
        };
        reports.push(report(name(&login.form), None, &visitor, &got));
        let Some(form) = form.filter(|_| is_good(&got)) else { return Ok(reports) };
        let done = visitor.sign_in(login, &form, Instant::now()).await;
        reports.push(report(name(&login.post), None, &visitor, &done));
        if !is_good(&done) {
            return Ok(reports);
        }
    }
    visitor.begin_pass();
    for (step, action) in play.actions.iter().enumerate() {
        let done = visitor.step(action, Instant::now()).await;
        let mut report = report(name(action), Some(step), &visitor, &done);
        if let Ok(done) = &done {
            let files = visitor.fetch(&done.links).await;
            report.files = (files.len(), files.iter().filter(|file| file.outcome != Outcome::Success).count());
        }
        reports.push(report);
        if !is_good(&done) {
            break;
        }
    }
    Ok(reports)
}

/// True when the walk can go on.
fn is_good(done: &Result<Done, NotMade>) -> bool {
    done.as_ref().is_ok_and(Done::is_good)
}

fn report(name: String, step: Option<usize>, visitor: &Visitor<'_>, done: &Result<Done, NotMade>) -> StepReport {
    let report = StepReport { name, step, ..StepReport::default() };
    let done = match done {
        Ok(done) => done,
        Err(why) => return StepReport { error: Some(tame(&why.to_string(), SHOWN)), ..report },
    };
    let trace = visitor.trace.as_ref();
    let shown = |value: &Option<String>| value.as_deref().map(|value| tame(value, SHOWN));
    let values = trace.map(|trace| trace.values.as_slice()).unwrap_or_default();
    StepReport {
        method: trace.map(|trace| trace.method.clone()).unwrap_or_default(),
        path: trace.map(|trace| tame(&trace.path, SHOWN)).unwrap_or_default(),
        status: done.status,
        latency_ms: done.latency.as_secs_f64() * 1000.0,
        bytes: done.bytes,
        error: done.why.as_deref().map(|why| tame(why, SHOWN)),
        extracted: values.iter().map(|(name, value)| (name.clone(), shown(value))).collect(),
        ..report
    }
}
