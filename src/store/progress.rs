//! `.rampup/progress.toml`: how far the climb is, small enough for git. One table a step, always in the same order, so
//! that two branches that proved different steps merge without a quarrel.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use toml::de::DeTable;

use crate::domain::command::{Ruling, Waiver};
use crate::domain::ids::StepId;
use crate::domain::place::{Place, explain};
use crate::domain::progress::{Progress, StepRecord, StepState};

use super::{StoreError, atomic};

/// The newest schema this program writes.
pub const SCHEMA: i64 = 1;

const HEADER: &str = "\
# How far the climb is. rampup writes this file after every verdict; the evidence is in .rampup/runs/ of whoever ran it.
# Keep it in git. After a merge conflict keep, for each step, the table with the later `at`.
# To take a step back, delete its table; the next run of it writes a new one.
";

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loaded {
    /// The progress.
    pub progress: Progress,
    /// Set when the file's schema is newer: it is shown, and never rewritten.
    pub newer: Option<i64>,
    /// What could not be shown of a newer one.
    pub notes: Vec<String>,
}

#[derive(Serialize)]
struct Written<'a> {
    schema: i64,
    steps: Steps<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    waivers: &'a [Waiver],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    invalidated: &'a [Ruling],
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<&'a Ruling>,
}

/// Steps by number; as text they would sort 1, 10, 2.
struct Steps<'a>(&'a Progress);

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self.0.steps.iter().map(|(step, record)| (step.to_string(), record)))
    }
}

/// How far a climb is: `.rampup/progress.toml`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "progress.toml")]
struct Read {
    /// Version of this file's form.
    #[serde(rename = "schema")]
    #[schemars(extend("const" = SCHEMA))]
    _schema: i64,
    /// The last judgement of each step, by its number.
    #[serde(default)]
    steps: std::collections::BTreeMap<String, StepRecord>,
    /// Debts that somebody signed for.
    #[serde(default)]
    waivers: Vec<Waiver>,
    /// Runs that count no more.
    #[serde(default)]
    invalidated: Vec<Ruling>,
    /// The run that ramps are compared with, where somebody named one.
    #[serde(default)]
    baseline: Option<Ruling>,
}

/// The JSON Schema (2020-12) of the file, indented, with a line break at its end.
#[must_use]
pub fn schema() -> String {
    format!("{:#}\n", schemars::schema_for!(Read).as_value())
}

/// Writes the file, whole or not at all.
///
/// # Errors
/// [`StoreError::Write`].
pub fn write(path: &Path, progress: &Progress) -> Result<(), StoreError> {
    let Progress { waivers, invalidated, baseline, .. } = progress;
    let file = Written { schema: SCHEMA, steps: Steps(progress), waivers, invalidated, baseline: baseline.as_ref() };
    let text = toml::to_string(&file).map_err(|error| StoreError::Unreadable { what: error.to_string() })?;
    atomic::write(path, format!("{HEADER}\n{text}").as_bytes())
}

/// Reads the file; nothing is known when it is not there.
///
/// # Errors
/// [`StoreError::Read`], or [`StoreError::Malformed`] with the place of what is wrong.
pub fn read(path: &Path) -> Result<Loaded, StoreError> {
    Ok(find(path)?.unwrap_or_default())
}

/// The same; none when the file is not there.
///
/// # Errors
/// See [`read`].
pub fn find(path: &Path) -> Result<Option<Loaded>, StoreError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StoreError::Read { path: path.to_owned(), source }),
    }
}

fn parse(text: &str, path: &Path) -> Result<Loaded, StoreError> {
    let malformed = |place, what: String| StoreError::Malformed { path: path.to_owned(), place, what };
    if let Some(conflict) = text.find("<<<<<<< ") {
        let what = "a merge conflict of git; keep, for each step, the table with the later `at`".to_owned();
        return Err(malformed(Place::of(text, conflict), what));
    }
    let broken = |error: toml::de::Error| {
        let (place, what) = explain(&error, text);
        malformed(place, format!("{what}; mend it, or take the file from git again"))
    };
    let tree = DeTable::parse(text).map_err(broken)?.into_inner();
    let schema: Option<i64> =
        tree.get("schema").and_then(|schema| schema.get_ref().as_integer()?.to_string().parse().ok());
    if let Some(newer) = schema.filter(|schema| *schema > SCHEMA) {
        return Ok(understand_newer(text, newer));
    }
    let file: Read = toml::from_str(text).map_err(broken)?;
    let place = |key: &str| {
        let tables = tree.get("steps").and_then(|steps| steps.get_ref().get(key));
        Place::of(text, tables.map_or(0, |step| step.span().start))
    };
    let Read { steps, waivers, invalidated, baseline, .. } = file;
    let mut progress = Progress { waivers, invalidated, baseline, ..Progress::default() };
    for (key, record) in steps {
        let step = key.parse().ok().and_then(|number| StepId::new(number).ok());
        let step = step.ok_or_else(|| malformed(place(&key), format!("there is no step {key}; delete its table")))?;
        if !is_judgement(record.state) {
            let what = format!("a step is never written down as {}; delete its table and run it", record.state.word());
            return Err(malformed(place(&key), what));
        }
        progress.steps.insert(step, record);
    }
    Ok(Loaded { progress, ..Loaded::default() })
}

/// Only judgements are kept; `open`, `locked`, `stale` and the like follow from them.
fn is_judgement(state: StepState) -> bool {
    matches!(state, StepState::Proven | StepState::Held | StepState::Regressed)
}

/// As much of a newer file as makes sense. A contract with parts that are unknown here counts as changed, so that
/// nothing is unlocked by what this version cannot compare.
fn understand_newer(text: &str, schema: i64) -> Loaded {
    let mut notes = vec![format!(
        "progress.toml was written by a newer rampup (schema {schema}, here {SCHEMA}): it is shown and left as it is; \
         what you prove now is kept in the run log alone"
    )];
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let mut progress = Progress::default();
    for (key, value) in table.get("steps").and_then(toml::Value::as_table).into_iter().flatten() {
        let step = key.parse().ok().and_then(|number| StepId::new(number).ok());
        match (step, value.as_table().and_then(understand_record)) {
            (Some(step), Some(record)) => _ = progress.steps.insert(step, record),
            _ => notes.push(format!("step {key} of it cannot be shown")),
        }
    }
    Loaded { progress, newer: Some(schema), notes }
}

fn understand_record(table: &toml::Table) -> Option<StepRecord> {
    const RECORD: [&str; 11] = [
        "state",
        "run",
        "at",
        "sentence",
        "users",
        "p95_ms",
        "error_percent",
        "requests",
        "held_by",
        "waived",
        "contract",
    ];
    const CONTRACT: [&str; 6] = ["playbook", "slo", "flows", "site", "target", "quick"];
    let mut table = table.clone();
    table.retain(|key, _| RECORD.contains(&key));
    let contract = table.get_mut("contract")?.as_table_mut()?;
    let known = contract.len();
    contract.retain(|key, _| CONTRACT.contains(&key));
    let lost = contract.len() < known;
    let mut record: StepRecord = table.try_into().ok().filter(|record: &StepRecord| is_judgement(record.state))?;
    if lost {
        record.contract.playbook = "unknown to this version".to_owned();
    }
    Some(record)
}
