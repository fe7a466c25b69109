//! Where in a file something is wrong, in words a person can act on. Shared by every reader of files that people write.

use std::fmt;

/// A position in a text file, counted from 1 as editors do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

impl Place {
    /// The place of a byte offset; the end of the text when it lies beyond.
    #[must_use]
    pub fn of(text: &str, offset: usize) -> Self {
        let before = &text[..text.floor_char_boundary(offset.min(text.len()))];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self { line: before.matches('\n').count() + 1, column: before[start..].chars().count() + 1 }
    }

    /// The same place in a file in which this text begins `lines` lines further down.
    #[must_use]
    pub fn below(self, lines: usize) -> Self {
        Self { line: self.line + lines, ..self }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What the TOML reader says, in one line, with its place and, for a misspelt key, the key that was probably meant.
///
/// Values that look like secrets are masked: the reader likes to quote what it found.
#[must_use]
pub fn explain(error: &toml::de::Error, text: &str) -> (Place, String) {
    let place = Place::of(text, error.span().map_or(0, |span| span.start));
    let message = super::secret::mask(&error.message().lines().collect::<Vec<_>>().join("; "));
    let mut quoted = message.split('`').skip(1).step_by(2);
    let misspelt = quoted.next().filter(|_| message.starts_with("unknown "));
    match misspelt.and_then(|word| nearest(word, quoted)) {
        Some(meant) => (place, format!("{message}; did you mean `{meant}`?")),
        None => (place, message),
    }
}

/// The candidate a person probably meant: at most one slip in three letters away.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (slips(word, candidate), candidate))
        .filter(|(slips, candidate)| *slips <= candidate.chars().count().max(3) / 3)
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, candidate)| candidate)
}

/// Letters to insert, delete, replace or swap with their neighbour to get from one word to the other
/// (optimal string alignment distance).
fn slips(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) =
        (from.to_lowercase().chars().collect(), to.to_lowercase().chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            row[j] = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_as_editors_do() {
        let text = "one\nzwö = 2\n";
        assert_eq!(Place::of(text, 0).to_string(), "1:1");
        assert_eq!(Place::of(text, text.find('=').unwrap()).to_string(), "2:5");
        assert_eq!(Place::of(text, 999).to_string(), "3:1");
    }

    #[test]
    fn a_misspelt_word_finds_the_one_that_was_meant() {
        let words = ["weight", "name", "login", "step"];
        assert_eq!(nearest("wieght", words), Some("weight"));
        assert_eq!(nearest("nam", words), Some("name"));
        assert_eq!(nearest("colour", words), None);
    }

    #[test]
    fn the_toml_readers_words_get_a_place_and_a_guess_but_no_secret() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[serde(default)]
            #[expect(dead_code, reason = "only its name matters")]
            users: u32,
        }
        let text = "\nuser = 3\n";
        let (place, what) = explain(&toml::from_str::<File>(text).unwrap_err(), text);
        assert_eq!(place.to_string(), "2:1");
        assert!(what.ends_with("did you mean `users`?"), "{what}");
        let text = "users = \"postgres://u:hunter2@h/db\"";
        let (_, what) = explain(&toml::from_str::<File>(text).unwrap_err(), text);
        assert!(!what.contains("hunter2"), "{what}");
    }
}
