//! The flows as a Locust file: one user class a flow, so that Locust deals users by weight.

use std::fmt::Write;

use serde_json::{Value, json};

use super::script::{self, Exported, Job};
use crate::domain::flow::{AtEnd, Flow, FlowStep, Mix, Think};

/// How the words of a flow are spoken in Locust.
const SPEECH: &str = include_str!("../../assets/export/locust.py");
/// How rampup drives the test itself, when it is asked to.
const BRIDGE: &str = include_str!("../../assets/export/locust_bridge.py");

/// Writes the script.
#[must_use]
pub fn locust(job: &Job<'_>) -> Exported {
    let mix = job.mix;
    let mut notes = script::common_notes(mix);
    if mix.feeders.iter().any(|feeder| feeder.end == AtEnd::Stop) {
        notes.push("a feeder that runs dry (end = \"stop\") stops its own worker, not the whole test".into());
    }
    let mut text = [SPEECH, BRIDGE].concat();
    let _ = writeln!(text, "# ---- this site ----\n");
    for note in &notes {
        let _ = writeln!(text, "# Not in this script: {}", note.replace(char::is_control, " "));
    }
    let _ =
        writeln!(text, "# Run it with: locust -f THIS_FILE --headless -u {} -r {}", job.users, (job.users / 30).max(1));
    let _ = writeln!(text, "FLOWS = \"{}\"", mix.digest(job.target));
    let _ = writeln!(text, "HOST = {}", host(job));
    let _ = writeln!(text, "Pauses.usual = {}", law(mix.think.unwrap_or(Mix::THINK)));
    let _ = writeln!(text, "HEADERS.update({})", python(&json!(mix.headers)));
    for feeder in &mix.feeders {
        let _ =
            writeln!(text, "FEEDERS[{}] = Feeder({})", python(&json!(feeder.name)), arguments(&script::feeder(feeder)));
    }
    let _ = writeln!(text, "PROMISE.update(p95_ms={}, errors={})", job.slo.p95_ms, job.slo.error_percent / 100.0);
    for (number, flow) in mix.flows.iter().enumerate() {
        write_flow(&mut text, number, flow);
    }
    Exported { script: text, notes }
}

fn arguments(value: &Value) -> String {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, value)| format!("{name}={}", python(value))).collect::<Vec<_>>().join(", ")
}

fn host(job: &Job<'_>) -> String {
    python(&json!(job.target.as_str().trim_end_matches('/')))
}

fn write_flow(text: &mut String, number: usize, flow: &Flow) {
    let _ = writeln!(text, "\n\nclass {}(Visitor):", script::identifier(number, flow));
    let _ = writeln!(text, "    weight = {}", flow.weight);
    let _ = writeln!(text, "    host = HOST");
    if let Some(login) = &flow.login {
        let _ = writeln!(text, "    login = {}", python(&json!(login)));
    }
    let _ = writeln!(text, "\n    def play(self):");
    for step in &flow.steps {
        let indent = if step.share.is_some() { "            " } else { "        " };
        if let Some(share) = step.share {
            let _ = writeln!(text, "        if random.random() < {share}:");
        }
        if !step.at_once {
            let _ = writeln!(text, "{indent}self.think({})", step.think.map(law).unwrap_or_default());
        }
        write_step(text, indent, step);
    }
}

fn write_step(text: &mut String, indent: &str, step: &FlowStep) {
    let (method, path) = script::request(step);
    let name = python(&json!(script::endpoint(step)));
    let _ = write!(text, "{indent}self.step({name}, \"{method}\", {}", python(&json!(path)));
    let options = script::options(step);
    if !options.is_empty() {
        let _ = writeln!(text, ",");
        for (name, value) in options {
            let _ = writeln!(text, "{indent}    {name}={},", python(&value));
        }
        let _ = write!(text, "{indent}");
    }
    let _ = writeln!(text, ")");
}

/// The law of a pause.
fn law(think: Think) -> String {
    match think {
        Think::Even { least, most } => format!("even({}, {})", least.as_secs_f64(), most.as_secs_f64()),
        Think::Lognormal { median, spread } => format!("lognormal({}, {spread})", median.as_secs_f64()),
    }
}

/// A value as Python writes it: JSON's strings and numbers are Python's, its three words are not.
fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(python).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let pair = |(name, value): (&String, &Value)| format!("{}: {}", json!(name), python(value));
            format!("{{{}}}", fields.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
    }
}
