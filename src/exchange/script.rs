//! What every exported script shares: the job, a step as ordered options, and what no engine can be told.

use serde_json::{Value, json};
use url::Url;

use crate::domain::flow::{Feeder, Flow, FlowStep, Json, Mix};
use crate::domain::slo::Slo;

/// What to export.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// Where users arrive.
    pub target: &'a Url,
    /// What users do.
    pub mix: &'a Mix,
    /// The promise.
    pub slo: &'a Slo,
    /// How many users there are in the hold.
    pub users: u32,
}

/// A script, and what it cannot do.
#[derive(Debug)]
pub struct Exported {
    /// Its text.
    pub script: String,
    /// One sentence each; the script holds them as comments.
    pub notes: Vec<String>,
}

/// A step's words in the order in which people read them. The names are the same in every script.
pub(super) fn options(step: &FlowStep) -> Vec<(&'static str, Value)> {
    let mut all = Vec::new();
    let mut add = |name, value: Value| {
        let empty = match &value {
            Value::Null | Value::Bool(false) => true,
            Value::Array(items) => items.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            _ => false,
        };
        if !empty {
            all.push((name, value));
        }
    };
    add("query", json!(step.query));
    add("headers", json!(step.headers));
    add("form", json!(step.form));
    add(
        "json",
        match &step.json {
            None => Value::Null,
            Some(Json::Text(text)) => json!(text),
            Some(Json::Value(value)) => json!(value.to_string()),
        },
    );
    add("upload", json!(step.upload));
    add("presigned", json!(step.presigned));
    add("csrf", json!(step.csrf));
    add("expect", json!(step.expect));
    add("expect_text", json!(step.expect_text));
    add("expect_header", json!(step.expect_header));
    add("expect_select", json!(step.expect_select));
    add("expect_json", json!(step.expect_json));
    add("extract", json!(step.extract));
    all
}

/// Method and path as a script's step takes them; a presigned upload's ticket says where.
pub(super) fn request(step: &FlowStep) -> (&'static str, &str) {
    step.request().map_or(("POST", ""), |(method, path)| (method.name(), path))
}

/// The name under which a script counts a step.
pub(super) fn endpoint(step: &FlowStep) -> &str {
    if step.endpoint().is_empty() { step.presigned.as_deref().unwrap_or("upload") } else { step.endpoint() }
}

/// A feeder without its rows, which stay in their file.
pub(super) fn feeder(feeder: &Feeder) -> Value {
    let mut value = json!({ "deal": feeder.deal, "end": feeder.end });
    for (name, place) in [("csv", json!(feeder.csv)), ("jsonl", json!(feeder.jsonl)), ("range", json!(feeder.range))] {
        if !place.is_null() {
            value[name] = place;
        }
    }
    value
}

/// An identifier that both languages take, no two flows' alike.
pub(super) fn identifier(number: usize, flow: &Flow) -> String {
    let plain: String = flow.name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("flow{}_{plain}", number + 1)
}

/// What no script does.
pub(super) fn common_notes(mix: &Mix) -> Vec<String> {
    let mut notes = Vec::new();
    let steps = || mix.flows.iter().flat_map(|flow| flow.steps.iter().map(move |step| (flow, step)));
    for (flow, step) in steps().filter(|(_, step)| step.assets) {
        notes.push(format!(
            "{:?} of {:?}: the page's files (assets = true) are not fetched",
            endpoint(step),
            flow.name
        ));
    }
    if mix.flows.iter().any(|flow| flow.login.is_some()) {
        notes.push(
            "the login form's fields are taken to be username and password: change the script where yours differ"
                .into(),
        );
    }
    if mix.feeders.iter().any(|feeder| feeder.range.is_none()) {
        notes.push("feeders are read from the files that rampup.toml names: keep the script beside rampup.toml".into());
    }
    notes
}
