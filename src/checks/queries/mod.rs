//! The database's statements: may they be counted, does a page ask row by row, what is read whole, which index is
//! missing or broken, and did the costly ones really get cheaper? Statements are shown normalised; no literal leaves.

mod foreign_keys;
mod indexes_valid;
mod n_plus_one;
mod plans;
mod ready;
mod remedy;
mod scans;
mod top_improved;

use super::{Check, Context, Entry, ramp};

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<ready::StatementsReady>(),
    Entry::of::<n_plus_one::NoNPlusOne>(),
    Entry::of::<indexes_valid::IndexesValid>(),
    Entry::of::<foreign_keys::ForeignKeysIndexed>(),
    Entry::of::<plans::Plans>(),
    Entry::of::<scans::SequentialScans>(),
    Entry::of::<top_improved::TopImproved>(),
];

/// Characters of a statement that a finding shows.
const SHOWN: usize = 120;

/// Rows from which a table is worth an index.
const BIG: u64 = 10_000;

const PGSS: &str = "https://www.postgresql.org/docs/current/pgstatstatements.html";
const INDEXES: &str = "https://docs.djangoproject.com/en/5.2/ref/models/indexes/";
