//! `rampup report --format sarif`: what checks found, with file and line where they name one, as code hosts annotate it
//! (SARIF 2.1.0, OASIS).

use serde_json::{Value, json};

use crate::domain::check::{CheckOutcome, Evidence};
use crate::domain::spot;
use crate::domain::step::Level;
use crate::domain::text::tame;

use super::story::Climb;

/// Longest text from outside.
const WIDTH: usize = 2000;
/// The settings, where a finding names no file of its own.
const SETTINGS: &str = "rampup.toml";

/// The whole file.
#[must_use]
pub fn file(climb: &Climb<'_>, version: &str) -> Value {
    let found: Vec<&Evidence> = climb.steps.iter().flat_map(|step| climb.answers(step.id)).collect();
    let rules: Vec<Value> = found
        .iter()
        .map(|evidence| json!({ "id": evidence.check.0, "shortDescription": { "text": tame(&evidence.title, WIDTH) } }))
        .fold(Vec::new(), |mut rules, rule| {
            // A check may stand in several steps; a rule is listed once.
            if !rules.iter().any(|known: &Value| known["id"] == rule["id"]) {
                rules.push(rule);
            }
            rules
        });
    let results: Vec<Value> = found.into_iter().flat_map(|e| results(e, climb.signed(e))).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "rampup", "version": version, "rules": rules } },
            "results": results,
        }],
    })
}

fn results(evidence: &Evidence, signed: bool) -> Vec<Value> {
    let level = match (&evidence.outcome, evidence.level) {
        _ if signed => "note",
        (CheckOutcome::Fail(_), Level::Required) => "error",
        (CheckOutcome::Fail(_), Level::Advised) | (CheckOutcome::Weak(_), _) => "warning",
        _ => "note",
    };
    let told = evidence.level == Level::Required || !matches!(evidence.outcome, CheckOutcome::Unknown(_));
    let said = evidence.outcome.said().into_iter().filter(|_| told);
    let result = |(seen, todo)| {
        let place = spot::named(seen).into_iter().chain(spot::named(todo)).next();
        let file = place.as_ref().map_or(SETTINGS, |spot| &spot.file);
        let line = place.as_ref().and_then(|spot| spot.line).unwrap_or(1);
        json!({
            "ruleId": evidence.check.0,
            "level": level,
            "message": { "text": format!("{} {}", tame(seen, WIDTH), tame(todo, WIDTH)) },
            "locations": [{ "physicalLocation": {
                "artifactLocation": { "uri": file },
                "region": { "startLine": line },
            } }],
            "properties": { "step": evidence.step, "outcome": evidence.outcome.word(), "waived": signed },
        })
    };
    said.map(result).collect()
}
