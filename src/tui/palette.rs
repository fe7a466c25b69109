//! Commands by name: every key of the table that does something here, found by a few of its letters. No IO.

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::act::refusal;
use super::keys::Action;
use super::model::Model;
use super::words;
use crate::domain::ids::StepId;

/// What was typed, and the row that is pointed at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Palette {
    pub(super) text: String,
    pub(super) at: usize,
}

/// A row of the palette.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) words: String,
    /// What it is found by, besides.
    short: &'static str,
    pub(super) key: String,
    pub(super) action: Action,
    /// Why it cannot be done now.
    pub(super) off: Option<String>,
}

/// The rows that fit what was typed, best first; all of them in the table's order when nothing was.
pub(super) fn entries(model: &Model, typed: &str) -> Vec<Entry> {
    let all = commands(model);
    if typed.trim().is_empty() {
        return all;
    }
    let mut matcher = Matcher::new(Config::DEFAULT);
    let pattern = Pattern::parse(typed, CaseMatching::Ignore, Normalization::Smart);
    let mut scratch = Vec::new();
    let mut found: Vec<(u32, Entry)> = all
        .into_iter()
        .filter_map(|entry| {
            let names = format!("{} {}", entry.short, entry.words);
            Some((pattern.score(Utf32Str::new(&names, &mut scratch), &mut matcher)?, entry))
        })
        .collect();
    // Stable: of equal ones the table's first.
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    found.into_iter().map(|(_, entry)| entry).collect()
}

fn commands(model: &Model) -> Vec<Entry> {
    let at = model.screen();
    let moves = |action: Action| {
        use Action::{Bottom, Down, NextPane, PageDown, PageUp, PreviousPane, Top, Up};
        matches!(action, Up | Down | PageUp | PageDown | Top | Bottom | NextPane | PreviousPane | Action::Palette)
    };
    let named = model.keys.bindings().iter().filter(|b| b.at.meets(at) && !b.long.is_empty() && !moves(b.action));
    let mut all: Vec<Entry> = named
        .filter(|b| !matches!(b.action, Action::Step(_)))
        .map(|b| Entry {
            words: b.long.to_owned(),
            short: b.short,
            key: b.label.to_string(),
            action: b.action,
            off: refusal(model, b.action),
        })
        .collect();
    all.extend(StepId::all().map(|id| Entry {
        words: format!("go to step {}", words::name(model, id)),
        short: "",
        key: (id.number() % 10).to_string(),
        action: Action::Step(id.number()),
        off: None,
    }));
    all
}
