//! A file of `KEY=VALUE` lines (`.env`): comments, `export`, single and double quotes; no interpolation, no commands.

use std::path::Path;

use crate::domain::place::Place;

use super::{ConfigError, Environment, Problem};

/// Reads such a file.
///
/// # Errors
/// When a line is neither empty, a comment, nor `KEY=VALUE`. The message never repeats the line.
pub(super) fn parse(text: &str, file: &Path) -> Result<Environment, ConfigError> {
    let mut variables = Vec::new();
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match assignment(line) {
            Some(pair) => variables.push(pair),
            None => problems.push(Problem {
                file: file.display().to_string(),
                place: Place { line: index + 1, column: 1 },
                what:
                    "this is not KEY=VALUE; quote a value that holds # or blanks at its ends, or put # before a remark"
                        .into(),
            }),
        }
    }
    if problems.is_empty() { Ok(variables.into_iter().collect()) } else { Err(ConfigError::Wrong(problems)) }
}

fn assignment(line: &str) -> Option<(String, String)> {
    let (key, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let key = key.trim();
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return None;
    }
    let value = value.trim();
    let value = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (inner, after) = value[1..].split_once(quote)?;
            if !after.trim_start().is_empty() && !after.trim_start().starts_with('#') {
                return None;
            }
            inner
        }
        // As in a shell, a # begins a remark only after a blank.
        _ => value.find(" #").map_or(value, |remark| value[..remark].trim_end()),
    };
    Some((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ways_to_write_a_line_are_read() {
        let text = "# keys\nA=1\nexport B = two words # remark\nC=\"#3 \" # remark\nD='q'\n\nE=a#b\nF=\n";
        let read = parse(text, Path::new(".env")).unwrap();
        for (key, value) in [("A", "1"), ("B", "two words"), ("C", "#3 "), ("D", "q"), ("E", "a#b")] {
            assert_eq!(read.get(key), Some(value), "{key}");
        }
        assert_eq!(read.get("F"), None);
    }

    #[test]
    fn a_line_that_is_none_is_named_but_not_repeated() {
        let error = parse("A=1\nhunter2\nB=\"open\n", Path::new(".env")).unwrap_err().to_string();
        assert!(error.contains(".env:2:1") && error.contains(".env:3:1"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("open"), "{error}");
    }
}
