//! A line that is being typed into.

use super::paper::{Ink, ink, plain};
use crate::tui::theme::Role;
use crate::tui::words;

/// What was typed, its end in sight.
pub(in crate::tui) fn entered(text: &str, here: bool, columns: usize) -> Vec<Ink> {
    let tamed = words::tame(text);
    let skip = tamed.chars().count().saturating_sub(columns.saturating_sub(2));
    let shown: String = tamed.chars().skip(skip).collect();
    if here { vec![plain(shown), ink("▏", Role::Focus)] } else { vec![plain(shown)] }
}
