//! The flows as a k6 script. JSON is JavaScript, so values go in as JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::script::{self, Exported, Job};
use crate::domain::flow::{Extract, Flow, FlowStep, Mix, Think};

/// How the words of a flow are spoken in k6.
const SPEECH: &str = include_str!("../../assets/export/k6.js");

/// Writes the script.
#[must_use]
pub fn k6(job: &Job<'_>) -> Exported {
    let mix = job.mix;
    let mut notes = script::common_notes(mix);
    notes.extend(foreign_patterns(mix));
    let mut text = SPEECH.to_owned();
    let _ = writeln!(text, "// ---- this site ----\n");
    for note in &notes {
        let _ = writeln!(text, "// Not in this script: {}", note.replace(char::is_control, " "));
    }
    let _ = writeln!(text, "const SITE = (__ENV.BASE_URL || {}).replace(/\\/$/, '');", json!(job.target.as_str()));
    let _ = writeln!(text, "const USERS = Number(__ENV.USERS || {});", job.users);
    let _ = writeln!(text, "const HEADERS = {};", json!(mix.headers));
    let _ = writeln!(text, "const FEEDERS = {{");
    for feeder in &mix.feeders {
        let _ = writeln!(text, "  {}: feeder({}, {}),", json!(feeder.name), json!(feeder.name), script::feeder(feeder));
    }
    let _ = writeln!(text, "}};\n");
    let _ = writeln!(
        text,
        "export const options = ladder({{ p95: {}, errors: {} }});\n",
        job.slo.p95_ms,
        job.slo.error_percent / 100.0
    );
    for (number, flow) in mix.flows.iter().enumerate() {
        write_flow(&mut text, number, flow, mix);
    }
    let _ = writeln!(text, "// Users by weight.\nconst FLOWS = [");
    for (number, flow) in mix.flows.iter().enumerate() {
        let play = script::identifier(number, flow);
        let _ = writeln!(
            text,
            "  {{ name: {}, weight: {}, play: {play}, login: {} }},",
            json!(flow.name),
            flow.weight,
            json!(flow.login)
        );
    }
    let _ = writeln!(text, "];\n\nexport default function () {{\n  onePass(FLOWS);\n}}");
    Exported { script: text, notes }
}

fn write_flow(text: &mut String, number: usize, flow: &Flow, mix: &Mix) {
    let _ = writeln!(text, "function {}(user) {{", script::identifier(number, flow));
    for step in &flow.steps {
        let indent = if step.share.is_some() { "    " } else { "  " };
        if let Some(share) = step.share {
            let _ = writeln!(text, "  if (Math.random() < {share}) {{");
        }
        if !step.at_once {
            let _ = writeln!(text, "{indent}{};", pause(step.think.or(mix.think).unwrap_or(Mix::THINK)));
        }
        write_step(text, indent, step);
        if step.share.is_some() {
            let _ = writeln!(text, "  }}");
        }
    }
    let _ = writeln!(text, "}}\n");
}

fn write_step(text: &mut String, indent: &str, step: &FlowStep) {
    let (method, path) = script::request(step);
    let _ = write!(text, "{indent}if (!step(user, {}, '{method}', {}", json!(script::endpoint(step)), json!(path));
    let options = script::options(step);
    if options.is_empty() {
        let _ = writeln!(text, ")) return;");
        return;
    }
    let _ = writeln!(text, ", {{");
    for (name, value) in options {
        let _ = writeln!(text, "{indent}  {name}: {},", Value::to_string(&value));
    }
    let _ = writeln!(text, "{indent}}})) return;");
}

fn pause(think: Think) -> String {
    match think {
        Think::Even { least, most } => format!("think({}, {})", least.as_secs_f64(), most.as_secs_f64()),
        Think::Lognormal { median, spread } => format!("thinkLognormal({}, {spread})", median.as_secs_f64()),
    }
}

/// JavaScript has no inline flags and no named groups of Rust's kind.
fn foreign_patterns(mix: &Mix) -> Vec<String> {
    let extracts = mix.flows.iter().flat_map(|flow| &flow.steps).flat_map(|step| &step.extract);
    extracts
        .filter_map(|(name, what)| match what {
            Extract::Regex(pattern) if pattern.contains("(?") || pattern.contains("\\z") => {
                Some(format!("the pattern of {name:?} uses words that JavaScript may read otherwise: {pattern}"))
            }
            _ => None,
        })
        .collect()
}
