//! Reads the rows of feeders: CSV and JSON lines beside the settings, within bounds; every fault with its line.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::domain::flow::{Feeder, Rows};
use crate::domain::place::Place;

use super::faults::Faults;
use super::flows::name_fault;

/// Largest file of rows, bytes: all of them are held in memory.
const LARGEST: u64 = 16 << 20;

/// Fills in the rows of all feeders.
pub(super) fn read(feeders: &mut [Feeder], project: &Path, faults: &mut Faults<'_>) {
    let mut names = BTreeSet::new();
    for (index, feeder) in feeders.iter_mut().enumerate() {
        let at = index.to_string();
        let path = |key| ["feeder", &at, key];
        if let Some(fault) = name_fault(&feeder.name) {
            faults.add(&path("name"), format!("{:?} is no name for a feeder; {fault}", feeder.name));
        } else if !names.insert(feeder.name.clone()) {
            faults.add(&path("name"), format!("there are two feeders named {:?}; rename one", feeder.name));
        }
        match (&feeder.csv, &feeder.jsonl, feeder.range) {
            (Some(file), None, None) => feeder.rows = rows(file, project, csv, &path("csv"), faults),
            (None, Some(file), None) => feeder.rows = rows(file, project, jsonl, &path("jsonl"), faults),
            (None, None, Some([from, to])) => {
                if from > to {
                    faults.add(&path("range"), "the range runs backwards; write the smaller number first");
                }
            }
            _ => faults.add(
                &["feeder", &at],
                "a feeder has exactly one of csv = \"FILE\", jsonl = \"FILE\" and range = [1, 500]",
            ),
        }
    }
}

/// Rows out of a text, or a line (from 1) and what is wrong with it. Never repeats a value: it may be a password.
type Reader = fn(&str) -> Result<Rows, (usize, String)>;

fn rows(file: &str, project: &Path, reader: Reader, path: &[&str], faults: &mut Faults<'_>) -> Rows {
    let text = match text(file, project) {
        Ok(text) => text,
        Err(fault) => {
            faults.add(path, fault);
            return Rows::default();
        }
    };
    let read = reader(&text).and_then(|rows| {
        let empty = rows.values.is_empty();
        if empty { Err((1, "there are no rows; write at least one".to_owned())) } else { Ok(rows) }
    });
    read.unwrap_or_else(|(line, what)| {
        faults.add_in(file, Place { line, column: 1 }, &what);
        Rows::default()
    })
}

/// The text of a file inside the project folder.
fn text(file: &str, project: &Path) -> Result<String, String> {
    let whole = project.join(file);
    let inside = || Some(whole.canonicalize().ok()?.starts_with(project.canonicalize().ok()?));
    let about = std::fs::metadata(&whole)
        .map_err(|why| format!("{file:?} cannot be read ({why}); its name counts from the folder of rampup.toml"))?;
    if Path::new(file).is_absolute() || inside() != Some(true) {
        return Err(format!("{file:?} is outside of the project; put it beside rampup.toml"));
    }
    if !about.is_file() || about.len() > LARGEST {
        return Err(format!("{file:?} is no file of at most {} MiB; keep fewer rows", LARGEST >> 20));
    }
    std::fs::read_to_string(&whole).map_err(|why| format!("{file:?} cannot be read ({why}); it must be text in UTF-8"))
}

fn csv(text: &str) -> Result<Rows, (usize, String)> {
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let fault = |error: csv::Error| {
        let line = error.position().map_or(1, |position| usize::try_from(position.line()).unwrap_or(usize::MAX));
        let what = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!(
                    "this row has {len} values, and the header names {expected_len} columns; quote a value that holds a comma"
                )
            }
            _ => "this is no CSV; write values with commas between them".to_owned(),
        };
        (line, what)
    };
    let columns: Vec<String> = reader.headers().map_err(fault)?.iter().map(|name| name.trim().to_owned()).collect();
    columns_fault(&columns).map_or(Ok(()), |what| Err((1, what)))?;
    let values = reader.records().map(|row| Ok(row.map_err(fault)?.iter().map(str::to_owned).collect()));
    Ok(Rows { values: values.collect::<Result<_, _>>()?, columns })
}

fn jsonl(text: &str) -> Result<Rows, (usize, String)> {
    let mut rows = Rows::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fault = |what: String| (index + 1, what);
        let Ok(Value::Object(object)) = serde_json::from_str::<Value>(line) else {
            return Err(fault("this line is no JSON object; write {\"name\": \"value\"}, one a line".to_owned()));
        };
        if rows.columns.is_empty() {
            rows.columns = object.keys().cloned().collect();
            columns_fault(&rows.columns).map_or(Ok(()), |what| Err(fault(what)))?;
        }
        if object.len() != rows.columns.len() || !rows.columns.iter().all(|column| object.contains_key(column)) {
            let what = format!("every line must have the keys of the first: {}", rows.columns.join(", "));
            return Err(fault(what));
        }
        rows.values.push(rows.columns.iter().map(|column| plain(&object[column])).collect());
    }
    Ok(rows)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn columns_fault(columns: &[String]) -> Option<String> {
    let plain =
        |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let twice = columns.iter().collect::<BTreeSet<_>>().len() < columns.len();
    (columns.is_empty() || twice || !columns.iter().all(plain)).then(|| {
        "the columns need names, each once, of letters, digits, _ and -; write them into the first line".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_they_are_usually_written() {
        let rows = csv("\u{feff}email,name\r\na@b,\"Ada, L.\"\r\nc@d,\"x\ny\"\r\n").unwrap();
        assert_eq!(rows.columns, ["email", "name"]);
        assert_eq!(rows.values, [["a@b", "Ada, L."], ["c@d", "x\ny"]]);
        let rows = jsonl("{\"id\": 1, \"on\": true}\n\n{\"on\": null, \"id\": \"x\"}\n").unwrap();
        let value = |row: usize, name: &str| &rows.values[row][rows.columns.iter().position(|c| c == name).unwrap()];
        assert_eq!([value(0, "id"), value(0, "on"), value(1, "id"), value(1, "on")], ["1", "true", "x", ""]);
    }

    #[test]
    fn what_is_wrong_has_a_line_and_is_not_repeated() {
        for (reader, text, line, word) in [
            (csv as Reader, "a,b\n1,2\nhunter2\n", 3, "1 values"),
            (csv, "a,a\n1,2\n", 1, "each once"),
            (csv, "", 1, "first line"),
            (jsonl, "{\"a\": 1}\nhunter2\n", 2, "no JSON object"),
            (jsonl, "{\"a\": 1}\n{\"b\": \"hunter2\"}\n", 2, "keys of the first"),
            (jsonl, "[1]\n", 1, "no JSON object"),
        ] {
            let (at, what) = reader(text).unwrap_err();
            assert!(at == line && what.contains(word) && !what.contains("hunter2"), "{text:?}: {at} {what}");
        }
    }
}
