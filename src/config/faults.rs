//! Collects everything that is wrong in one file and finds the place of each thing.

use toml::de::{DeTable, DeValue};

use crate::domain::place::Place;
use crate::domain::secret::mask;

use super::Problem;

/// The faults of one TOML file.
pub(super) struct Faults<'a> {
    file: &'a str,
    text: &'a str,
    tree: DeTable<'a>,
    found: Vec<Problem>,
}

impl<'a> Faults<'a> {
    /// For a text that parses as TOML.
    pub fn new(file: &'a str, text: &'a str, tree: DeTable<'a>) -> Self {
        Self { file, text, tree, found: Vec::new() }
    }

    /// Notes a fault at a key path; list positions are written as numbers from 0. A path that is not in the file
    /// (a default, a missing key) stands for its nearest parent that is.
    pub fn add(&mut self, path: &[&str], what: impl AsRef<str>) {
        let place = self.place(path);
        self.found.push(Problem { file: self.file.to_owned(), place, what: mask(what.as_ref()) });
    }

    /// Calls `visit` with every text value in the file and where it begins.
    pub fn each_text(&self, visit: &mut dyn FnMut(&str, Place)) {
        for (_, value) in &self.tree {
            texts(value.get_ref(), value.span().start, &mut |text, at| visit(text, Place::of(self.text, at)));
        }
    }

    /// Notes a fault at a place found before.
    pub fn add_at(&mut self, place: Place, what: &str) {
        self.found.push(Problem { file: self.file.to_owned(), place, what: mask(what) });
    }

    /// Notes a fault in another file that the settings name.
    pub fn add_in(&mut self, file: &str, place: Place, what: &str) {
        self.found.push(Problem { file: file.to_owned(), place, what: mask(what) });
    }

    /// Where a key path stands; its nearest parent that is in the file when it is not.
    pub fn place(&self, path: &[&str]) -> Place {
        Place::of(self.text, offset(&self.tree, path))
    }

    /// All that was found, in the order of the file.
    pub fn into_found(mut self) -> Vec<Problem> {
        let own = self.file;
        self.found.sort_by(|a, b| (a.file != own, &a.file, a.place).cmp(&(b.file != own, &b.file, b.place)));
        self.found.dedup();
        self.found
    }
}

fn offset(tree: &DeTable<'_>, path: &[&str]) -> usize {
    let Some((first, rest)) = path.split_first() else { return 0 };
    let Some(mut value) = tree.get(*first) else { return 0 };
    for key in rest {
        let inner = match value.get_ref() {
            DeValue::Table(table) => table.get(*key),
            DeValue::Array(list) => key.parse().ok().and_then(|index: usize| list.get(index)),
            _ => None,
        };
        match inner {
            Some(inner) => value = inner,
            None => break,
        }
    }
    value.span().start
}

fn texts(value: &DeValue<'_>, at: usize, visit: &mut dyn FnMut(&str, usize)) {
    match value {
        DeValue::String(text) => visit(text, at),
        DeValue::Array(list) => list.iter().for_each(|item| texts(item.get_ref(), item.span().start, visit)),
        DeValue::Table(table) => table.iter().for_each(|(_, item)| texts(item.get_ref(), item.span().start, visit)),
        _ => {}
    }
}
