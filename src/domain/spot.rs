//! A file, and a line of it where one is named, found in what a check says: `shop/settings.py:41`, `rampup.toml`. No IO.

use serde_json::Value;

use super::check::Evidence;

/// Endings of files that people edit; without one of them, `redis.internal:6379` would be a place.
const ENDINGS: [&str; 12] = ["py", "toml", "html", "txt", "cfg", "ini", "yml", "yaml", "json", "conf", "md", "lock"];

/// A line of a file of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spot {
    /// The file, as it was named: below the project.
    pub file: String,
    /// Its line, counted from 1; none when only the file is named.
    pub line: Option<usize>,
}

/// The first line that a check's findings name, else the first file; its facts are asked last.
#[must_use]
pub fn of(evidence: &Evidence) -> Option<Spot> {
    let mut texts: Vec<&str> = evidence.outcome.said().into_iter().flat_map(|(seen, todo)| [seen, todo]).collect();
    within(&evidence.facts, &mut texts);
    let spots: Vec<Spot> = texts.into_iter().flat_map(named).collect();
    spots.iter().find(|spot| spot.line.is_some()).or(spots.first()).cloned()
}

fn within<'a>(facts: &'a Value, texts: &mut Vec<&'a str>) {
    match facts {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| within(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| within(field, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The places that a text names.
#[must_use]
pub fn named(text: &str) -> Vec<Spot> {
    let words = text.split(|c: char| c.is_whitespace() || "()[]{}<>,;\"'`=".contains(c));
    let spot = |word: &str| {
        let word = word.trim_end_matches(['.', ':']);
        let (file, rest) = word.split_once(':').unwrap_or((word, ""));
        let (_, ending) = file.rsplit_once('.')?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        let line = digits.parse().ok().filter(|line| *line > 0);
        ENDINGS.contains(&ending).then(|| Spot { file: file.to_owned(), line })
    };
    words.filter(|word| !word.contains("//")).filter_map(spot).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_and_an_address_is_not_one() {
        let spot = |file: &str, line| vec![Spot { file: file.to_owned(), line }];
        assert_eq!(named("CONN_MAX_AGE is 60 (shop/settings.py:41)."), spot("shop/settings.py", Some(41)));
        assert_eq!(named("see rampup.toml:7:3, `site.url`"), spot("rampup.toml", Some(7)));
        assert_eq!(named("name it in rampup.toml: [services]"), spot("rampup.toml", None));
        assert_eq!(named("redis.internal:6379 and https://shop.py:80/ answer at 10:30"), []);
    }
}
