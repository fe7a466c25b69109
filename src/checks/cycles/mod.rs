//! Repeating: was it measured more than once, and does what was proven on the way still stand?

mod fresh;
mod one_release;
mod repeated;

use super::{Check, Context, Entry, ramp};

/// The checks of this group.
pub const CHECKS: &[Entry] =
    &[Entry::of::<fresh::Fresh>(), Entry::of::<one_release::OneRelease>(), Entry::of::<repeated::Repeated>()];
