//! The database's statements: may they be counted, does a page ask row by row, what is read whole, which index is
//! missing or broken, and did the costly ones really get cheaper? Statements are shown normalised; no literal leaves.

mod foreign_keys;
mod indexes_valid;
mod loops;
mod n_plus_one;
mod others;
mod plans;
mod ready;
mod remedy;
mod scans;
mod shape;
mod spending;
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
const SHOWN: usize = 200;

/// Rows from which a table is worth an index.
const BIG: u64 = 10_000;

/// Times in a hold that something must happen before it is the pages' doing: a job beside it does a thing every few
/// seconds, and in a small hold that is a share of the requests like any other.
const OFTEN: u64 = 10;

const PGSS: &str = "https://www.postgresql.org/docs/current/pgstatstatements.html";
const INDEXES: &str = "https://docs.djangoproject.com/en/5.2/ref/models/indexes/";
