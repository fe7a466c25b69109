//! The `{{…}}` of texts: whether what stands between the braces is known where the text is used.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::flow::{Deal, Feeder};

use super::faults::Faults;

/// What texts may name at some point of a flow.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    extracted: BTreeSet<String>,
    feeders: BTreeMap<String, (Deal, Vec<String>)>,
}

impl Known {
    /// Feeders, and nothing extracted yet.
    pub fn new(feeders: &[Feeder]) -> Self {
        let of = |feeder: &Feeder| (feeder.name.clone(), (feeder.deal, feeder.rows.columns.clone()));
        Self { extracted: BTreeSet::new(), feeders: feeders.iter().map(of).collect() }
    }

    /// From here on a value is extracted under this name.
    pub fn add(&mut self, name: &str) {
        self.extracted.insert(name.to_owned());
    }

    /// True when a value was extracted under this name.
    pub fn extracts(&self, name: &str) -> bool {
        self.extracted.contains(name)
    }

    /// True for the name of a feeder.
    pub fn is_feeder(&self, name: &str) -> bool {
        self.feeders.contains_key(name)
    }

    /// The first feeder that a text names.
    pub fn fed<'a>(&self, text: &'a str) -> Option<&'a str> {
        holes(text).filter_map(|hole| hole.split('.').next()).find(|name| self.is_feeder(name))
    }

    /// Feeders in a text whose rows go by the pass, not by the user.
    pub fn shared_in(&self, text: &str) -> Vec<&str> {
        let named = |(name, (deal, _)): (&'_ String, &(Deal, Vec<String>))| {
            let dealt = holes(text).any(|hole| hole.split('.').next() == Some(name.as_str()));
            *deal == Deal::Shared && dealt
        };
        self.feeders.iter().filter(|(name, kind)| named((name, kind))).map(|(name, _)| name.as_str()).collect()
    }

    fn fault(&self, slot: &str) -> Option<String> {
        let mut words = slot.split_whitespace();
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("user" | "user.ip"), None, ..) => None,
            (Some("random"), Some(from), Some(to), None) => match (from.parse::<u64>(), to.parse::<u64>()) {
                (Ok(from), Ok(to)) if from <= to => None,
                _ => {
                    Some(format!("{{{{{slot}}}}} names no range; write {{{{random 1 500}}}}, the smaller number first"))
                }
            },
            (Some(name), None, ..) if self.extracted.contains(name) => None,
            (Some(name), None, ..) => self.feeder_fault(name).unwrap_or_else(|| Some(self.unknown(slot))),
            _ => Some(self.unknown(slot)),
        }
    }

    /// Of a slot that names a feeder: what is wrong with it, if anything.
    fn feeder_fault(&self, slot: &str) -> Option<Option<String>> {
        let (name, column) = slot.split_once('.').map_or((slot, None), |(name, column)| (name, Some(column)));
        let (_, columns) = self.feeders.get(name)?;
        let there_are = || columns.iter().map(|c| format!("{{{{{name}.{c}}}}}")).collect::<Vec<_>>().join(", ");
        Some(match column {
            None if columns.is_empty() => None,
            Some(column) if columns.iter().any(|known| known == column) => None,
            None => Some(format!("the feeder {name:?} has columns; write one of {}", there_are())),
            Some(column) if columns.is_empty() => {
                Some(format!("the feeder {name:?} is a range and has no {column:?}; write {{{{{name}}}}}"))
            }
            Some(column) => Some(format!("the feeder {name:?} has no column {column:?}; there are {}", there_are())),
        })
    }

    fn unknown(&self, slot: &str) -> String {
        let listed = |names: Vec<&String>| names.iter().map(|name| format!(", {{{{{name}}}}}")).collect::<String>();
        let feeders = match self.feeders.keys().collect::<Vec<_>>() {
            none if none.is_empty() => String::new(),
            some => format!("; feeders are {}", some.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(", ")),
        };
        format!(
            "{{{{{slot}}}}} is not known here; there are {{{{user}}}}, {{{{user.ip}}}}, {{{{random 1 500}}}} and what an \
             earlier step of the same flow extracts{}{feeders}",
            listed(self.extracted.iter().collect())
        )
    }
}

/// Checks the `{{…}}` of a text against what is known when it is used.
pub(super) fn template(text: &str, known: &Known, faults: &mut Faults<'_>, path: &[&str]) {
    for hole in holes(text) {
        if let Some(fault) = known.fault(hole) {
            faults.add(path, fault);
        }
    }
    if text.rfind("{{").is_some_and(|begin| !text[begin..].contains("}}")) {
        faults.add(path, "a {{ is never closed; write }} after the name");
    }
}

/// The text with a digit in every hole: a value where JSON wants one, and text inside a text.
pub(super) fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, (hole, after))) =
        rest.split_once("{{").and_then(|(before, after)| Some((before, after.split_once("}}")?)))
    {
        debug_assert!(!hole.contains("}}"));
        filled.push_str(before);
        filled.push('0');
        rest = after;
    }
    filled + rest
}

fn holes(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|part| Some(part.split_once("}}")?.0.trim()))
}
