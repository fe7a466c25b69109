//! Tells a webhook of each verdict, when `RAMPUP_WEBHOOK` holds its address: JSON with the facts, and a `text` as Slack and
//! its like show it. The address may be a key, so that it is never shown.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::config::Environment;
use crate::domain::event::{Event, EventKind};
use crate::domain::secret::Secret;
use crate::domain::text::tame;

/// Variable that holds the address.
const VARIABLE: &str = "RAMPUP_WEBHOOK";
/// Pauses before it is tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(2)];
/// Longest that leaving waits for all of them.
const LEAVING: Duration = Duration::from_secs(8);
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest text of a verdict.
const WIDTH: usize = 1000;

/// Verdicts on their way.
#[derive(Default)]
pub struct Webhook {
    address: Option<Secret>,
    site: String,
    under_way: JoinSet<Result<(), String>>,
}

impl Webhook {
    /// As the environment says.
    pub fn new(environment: &Environment, site: &str) -> Self {
        Self { address: environment.secret(VARIABLE), site: site.to_owned(), under_way: JoinSet::new() }
    }

    /// Sends a verdict on its way; nothing waits for it.
    pub fn tell(&mut self, event: &Event) {
        let (
            Some(address),
            EventKind::StepJudged { step, state, sentence, contract, users, p95_ms, error_percent, .. },
        ) = (&self.address, &event.kind)
        else {
            return;
        };
        let (site, sentence) = (tame(&self.site, WIDTH), tame(sentence, WIDTH));
        let quick = if contract.quick { " (a quick practice measurement)" } else { "" };
        let body = json!({
            "text": format!("rampup, {site}: step {step} is {}{quick}. {sentence}", state.word()),
            "quick": contract.quick,
            "site": site,
            "step": step,
            "state": state,
            "sentence": sentence,
            "users": users,
            "p95_ms": p95_ms,
            "error_percent": error_percent,
            "run": event.run,
            "at": event.at,
        });
        self.under_way.spawn(deliver(address.expose().to_owned(), body.to_string()));
    }

    /// Waits until all were delivered or given up; says of each that was not.
    pub async fn settle(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        let end = Instant::now() + LEAVING;
        while !self.under_way.is_empty() {
            match timeout_at(end, self.under_way.join_next()).await {
                Ok(Some(Ok(Ok(()))) | None) => {}
                Ok(Some(Ok(Err(why)))) => said.push(format!("the webhook ({VARIABLE}) was not told: {why}")),
                Ok(Some(Err(_))) => said.push(format!("the webhook ({VARIABLE}) was not told")),
                Err(_) => {
                    said.push(format!("the webhook ({VARIABLE}) was not told: it did not answer in time"));
                    self.under_way.abort_all();
                    break;
                }
            }
        }
        said
    }
}

async fn deliver(address: String, body: String) -> Result<(), String> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().map_err(|why| why.without_url().to_string())?;
    let mut pauses = PAUSES.into_iter();
    loop {
        let sent = client.post(&address).header("content-type", "application/json").body(body.clone()).send().await;
        let why = match sent {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            // It will not think otherwise of the same words.
            Ok(answer) if answer.status().is_client_error() && answer.status() != 429 => {
                return Err(format!("it answers {}", answer.status()));
            }
            Ok(answer) => format!("it answers {}", answer.status()),
            Err(why) if why.is_builder() => return Err("its address is no URL".to_owned()),
            Err(why) => why.without_url().to_string(),
        };
        match pauses.next() {
            Some(pause) => tokio::time::sleep(pause).await,
            None => return Err(why),
        }
    }
}
