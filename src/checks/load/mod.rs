//! The load test itself: was it one that counts, did it climb the whole ladder, do both ends agree, and were the systems
//! behind the app watched while it ran? Did the app stay at its size, and within its limits?

mod far_side;
mod headroom;
mod ladder;
mod memory;
mod run_valid;
mod series;

use super::{Check, Context, Entry, ramp};
use crate::domain::measurement::Measurement;

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<run_valid::RunValid>(),
    Entry::of::<ladder::LadderDone>(),
    Entry::of::<far_side::FarSideAgrees>(),
    Entry::of::<series::SeriesSampled>(),
    Entry::of::<memory::MemorySteady>(),
    Entry::of::<headroom::MemoryHeadroom>(),
];

/// Answers that a shared cache gave without asking the app, by its own word.
fn kept(measured: &Measurement) -> u64 {
    ["HIT", "STALE", "UPDATING"].iter().filter_map(|word| measured.answers.cache.get(*word)).sum()
}
