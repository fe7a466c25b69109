//! Text with holes: `{{user}}`, `{{user.ip}}`, `{{random A B}}`, `{{FEEDER.COLUMN}}`, `{{NAME}}`. Parsed once, filled
//! for every request.
//!
//! Knows no HTTP: what a text is for is its owner's business.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use rand::Rng;
use rand::rngs::SmallRng;

use super::feed::{Cell, Feeds, Rows};

/// What stands in a shown text where a secret stood in the sent one.
pub(super) const VEIL: &str = "…";

/// A parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole(Hole, Wrap),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hole {
    User,
    UserIp,
    Random(u64, u64),
    Fed(Cell),
    Kept(String),
}

/// How a value goes into its hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrap {
    /// As it is.
    Plain,
    /// Inside a JSON string: escaped.
    JsonText,
    /// Where a JSON value stands: as it is when it is one, else as a string.
    JsonValue,
}

/// What fills the holes.
pub(super) struct Filling<'a> {
    /// Number of the user, from 0.
    pub user: u32,
    /// What was extracted before.
    pub kept: &'a HashMap<String, String>,
    /// The user's own dice.
    pub dice: &'a mut SmallRng,
    /// What feeders deal.
    pub feeds: &'a Feeds,
    /// The rows that the user holds; none for somebody who may take none.
    pub rows: Option<&'a mut Rows>,
    /// For eyes, not for the wire: these extracted values and all secret columns stay hidden.
    pub hide: Option<&'a HashSet<String>>,
}

/// Why a text could not be filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfilled {
    /// Nothing was extracted under this name yet.
    Unknown(String),
    /// A feeder has no row left.
    Dry,
}

impl Template {
    /// Reads a text; the error says what to write instead.
    pub fn parse(text: &str, feeds: &Feeds) -> Result<Self, String> {
        Self::read(text, feeds, |_| Wrap::Plain)
    }

    /// Reads a JSON text, whose holes take values without ever breaking it.
    pub fn json(text: &str, feeds: &Feeds) -> Result<Self, String> {
        let mut inside = false;
        Self::read(text, feeds, move |before| {
            inside = ends_inside(inside, before);
            if inside { Wrap::JsonText } else { Wrap::JsonValue }
        })
    }

    fn read(text: &str, feeds: &Feeds, mut wrap: impl FnMut(&str) -> Wrap) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let (before, after) = rest.split_at(start);
            let end = after.find("}}").ok_or_else(|| format!("{text:?} opens {{{{ and never closes it; write }}}}"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Hole(hole(after[2..end].trim(), feeds)?, wrap(before)));
            rest = &after[end + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// Names that must have been extracted before this can be filled.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Hole(Hole::Kept(name), _) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The text with its holes filled.
    pub fn fill(&self, with: &mut Filling<'_>) -> Result<String, Unfilled> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(words) => text.push_str(words),
                Part::Hole(hole, Wrap::Plain) => text.push_str(&hole.value(with)?),
                Part::Hole(hole, Wrap::JsonText) => {
                    let quoted = serde_json::Value::from(hole.value(with)?).to_string();
                    text.push_str(&quoted[1..quoted.len() - 1]);
                }
                Part::Hole(hole, Wrap::JsonValue) => {
                    let value = hole.value(with)?;
                    if serde_json::from_str::<serde::de::IgnoredAny>(&value).is_ok() {
                        text.push_str(&value);
                    } else {
                        text.push_str(&serde_json::Value::from(value).to_string());
                    }
                }
            }
        }
        Ok(text)
    }
}

impl Hole {
    fn value<'v>(&self, with: &'v mut Filling<'_>) -> Result<Cow<'v, str>, Unfilled> {
        Ok(match self {
            Self::User => with.user.to_string().into(),
            Self::UserIp => address(with.user).into(),
            Self::Random(least, most) => with.dice.random_range(*least..=*most).to_string().into(),
            Self::Fed(cell) => {
                let rows = with.rows.as_deref_mut().ok_or(Unfilled::Dry)?;
                let value = with.feeds.deal(*cell, rows).ok_or(Unfilled::Dry)?;
                if with.hide.is_some() && with.feeds.is_secret(*cell) { VEIL.into() } else { value }
            }
            Self::Kept(name) if with.hide.is_some_and(|hidden| hidden.contains(name)) => VEIL.into(),
            Self::Kept(name) => {
                with.kept.get(name).map(|value| value.as_str().into()).ok_or_else(|| Unfilled::Unknown(name.clone()))?
            }
        })
    }
}

/// Whether a JSON text that goes on with `piece` is inside a string behind it.
fn ends_inside(mut inside: bool, piece: &str) -> bool {
    let mut letters = piece.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => inside = !inside,
            '\\' if inside => drop(letters.next()),
            _ => {}
        }
    }
    inside
}

fn hole(name: &str, feeds: &Feeds) -> Result<Hole, String> {
    let mut words = name.split_whitespace();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("user"), None, ..) => Ok(Hole::User),
        (Some("user.ip"), None, ..) => Ok(Hole::UserIp),
        (Some("random"), Some(least), Some(most), None) => match (least.parse(), most.parse()) {
            (Ok(least), Ok(most)) if least <= most => Ok(Hole::Random(least, most)),
            _ => Err(format!("{{{{{name}}}}} needs two whole numbers, the smaller first: {{{{random 1 100}}}}")),
        },
        (Some(word), None, ..) if word != "random" => match feeds.find(word) {
            Some(cell) => Ok(Hole::Fed(cell)),
            None if word.contains('.') => {
                Err(format!("{{{{{name}}}}} names no column of a [[feeder]]; correct it or add the feeder"))
            }
            None => Ok(Hole::Kept(word.to_owned())),
        },
        _ => Err(format!(
            "{{{{{name}}}}} is not known; write user, user.ip, random A B, FEEDER.COLUMN or the name of an extract"
        )),
    }
}

/// The user's own address in 10.0.0.0/8: no two of 16 million are alike, none ends in 0 or 255.
fn address(user: u32) -> String {
    let (high, low) = (user / 254, user % 254 + 1);
    format!("10.{}.{}.{low}", high / 256 % 256, high % 256)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::super::feed::tests::feeds;
    use super::*;

    fn filled(parse: fn(&str, &Feeds) -> Result<Template, String>, text: &str, hide: bool) -> Result<String, String> {
        let kept = HashMap::from([
            ("slug".to_owned(), "red-tea".to_owned()),
            ("said".to_owned(), "a \"b\"\n".to_owned()),
            ("ticket".to_owned(), r#"{"url":"u"}"#.to_owned()),
        ]);
        let feeds = feeds();
        let (dice, hidden) = (&mut SmallRng::seed_from_u64(7), HashSet::from(["slug".to_owned()]));
        let rows = &mut Rows::default();
        let hide = hide.then_some(&hidden);
        let mut filling = Filling { user: 300, kept: &kept, dice, feeds: &feeds, rows: Some(rows), hide };
        parse(text, &feeds)?.fill(&mut filling).map_err(|e| format!("{e:?}"))
    }

    fn fill(text: &str) -> Result<String, String> {
        filled(Template::parse, text, false)
    }

    #[test]
    fn holes_are_filled() {
        for (text, filled) in [
            ("/plain?a={1}", "/plain?a={1}"),
            ("/p/{{ slug }}/{{user}}", "/p/red-tea/300"),
            ("{{user.ip}}", "10.0.1.47"),
            ("{{random 5 5}}", "5"),
            ("{{users.email}}/{{users.password}}", "ada@shop.example/s3cret"),
            ("{{orders}}{{orders}}", "44"),
            (r#"{"a":{"b":"{{slug}}"}}"#, r#"{"a":{"b":"red-tea"}}"#),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(filled), "{text}");
        }
        let number: u64 = fill("{{random 3 9}}").unwrap().parse().unwrap();
        assert!((3..=9).contains(&number));
    }

    #[test]
    fn a_json_text_stays_json_whatever_fills_it() {
        for (text, json) in [
            (r#"{"a":"x {{said}} y"}"#, r#"{"a":"x a \"b\"\n y"}"#),
            (r#"{"a":{{said}}}"#, r#"{"a":"a \"b\"\n"}"#),
            (r#"{"a":{{ticket}},"b":{{user}}}"#, r#"{"a":{"url":"u"},"b":300}"#),
            (r#"{"a":"\"{{slug}}","b":{{slug}}}"#, r#"{"a":"\"red-tea","b":"red-tea"}"#),
        ] {
            assert_eq!(filled(Template::json, text, false).as_deref(), Ok(json), "{text}");
        }
    }

    #[test]
    fn what_is_shown_hides_what_is_secret() {
        let shown = filled(Template::parse, "/{{slug}}/{{users.password}}/{{users.email}}", true);
        assert_eq!(shown.as_deref(), Ok("/…/…/ada@shop.example"));
    }

    #[test]
    fn what_cannot_be_filled_says_so() {
        assert_eq!(fill("/p/{{token}}"), Err("Unknown(\"token\")".to_owned()));
        for text in ["{{slug", "{{random 9 3}}", "{{random}}", "{{}}", "{{a b}}", "{{random x y}}", "{{users.x}}"] {
            assert!(Template::parse(text, &feeds()).is_err(), "{text}");
        }
    }

    #[test]
    fn no_two_users_share_an_address() {
        let all: std::collections::HashSet<_> = (0..100_000).map(address).collect();
        assert_eq!(all.len(), 100_000);
    }
}
