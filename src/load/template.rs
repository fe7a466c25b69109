//! Text with holes: `{{user}}`, `{{user.ip}}`, `{{random A B}}`, `{{NAME}}`. Parsed once, filled for every request.
//!
//! Knows no HTTP: what a text is for is its owner's business.

use std::collections::HashMap;

use rand::Rng;
use rand::rngs::SmallRng;

/// A parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    User,
    UserIp,
    Random(u64, u64),
    Kept(String),
}

/// What fills the holes.
pub(super) struct Filling<'a> {
    /// Number of the user, from 0.
    pub user: u32,
    /// What was extracted before.
    pub kept: &'a HashMap<String, String>,
    /// The user's own dice.
    pub dice: &'a mut SmallRng,
}

impl Template {
    /// Reads a text; the error says what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let (before, after) = rest.split_at(start);
            let end = after.find("}}").ok_or_else(|| format!("{text:?} opens {{{{ and never closes it; write }}}}"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(hole(after[2..end].trim())?);
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
            Part::Kept(name) => Some(name.as_str()),
            _ => None,
        })
    }

    /// The text with its holes filled, or the first name that nothing was extracted for.
    pub fn fill(&self, with: &mut Filling<'_>) -> Result<String, String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(words) => text.push_str(words),
                Part::User => text.push_str(&with.user.to_string()),
                Part::UserIp => text.push_str(&address(with.user)),
                Part::Random(least, most) => text.push_str(&with.dice.random_range(*least..=*most).to_string()),
                Part::Kept(name) => text.push_str(with.kept.get(name).ok_or_else(|| name.clone())?),
            }
        }
        Ok(text)
    }
}

fn hole(name: &str) -> Result<Part, String> {
    let mut words = name.split_whitespace();
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("user"), None, ..) => Ok(Part::User),
        (Some("user.ip"), None, ..) => Ok(Part::UserIp),
        (Some("random"), Some(least), Some(most), None) => match (least.parse(), most.parse()) {
            (Ok(least), Ok(most)) if least <= most => Ok(Part::Random(least, most)),
            _ => Err(format!("{{{{{name}}}}} needs two whole numbers, the smaller first: {{{{random 1 100}}}}")),
        },
        (Some(kept), None, ..) if kept != "random" => Ok(Part::Kept(kept.to_owned())),
        _ => Err(format!("{{{{{name}}}}} is not known; write user, user.ip, random A B or the name of an extract")),
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

    use super::*;

    fn fill(text: &str) -> Result<String, String> {
        let kept = HashMap::from([("slug".to_owned(), "red-tea".to_owned())]);
        let dice = &mut SmallRng::seed_from_u64(7);
        Template::parse(text)?.fill(&mut Filling { user: 300, kept: &kept, dice })
    }

    #[test]
    fn holes_are_filled() {
        for (text, filled) in [
            ("/plain?a={1}", "/plain?a={1}"),
            ("/p/{{ slug }}/{{user}}", "/p/red-tea/300"),
            ("{{user.ip}}", "10.0.1.47"),
            ("{{random 5 5}}", "5"),
            (r#"{"a":{"b":"{{slug}}"}}"#, r#"{"a":{"b":"red-tea"}}"#),
        ] {
            assert_eq!(fill(text).as_deref(), Ok(filled), "{text}");
        }
        let number: u64 = fill("{{random 3 9}}").unwrap().parse().unwrap();
        assert!((3..=9).contains(&number));
    }

    #[test]
    fn what_cannot_be_filled_says_so() {
        assert_eq!(fill("/p/{{token}}"), Err("token".to_owned()));
        for text in ["{{slug", "{{random 9 3}}", "{{random}}", "{{}}", "{{a b}}", "{{random x y}}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn no_two_users_share_an_address() {
        let all: std::collections::HashSet<_> = (0..100_000).map(address).collect();
        assert_eq!(all.len(), 100_000);
    }
}
