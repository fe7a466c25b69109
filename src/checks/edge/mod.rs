//! The edge: does all the site pass through it, does it serve static files from its cache, keep private pages out of it,
//! and stop a flood?

mod compressed;
mod cookies;
mod hit;
mod limit;
pub(super) mod private;
mod proxied;
mod redirects;

use super::Entry;

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<proxied::Proxied>(),
    Entry::of::<redirects::NoRedirectLoop>(),
    Entry::of::<hit::StaticHit>(),
    Entry::of::<cookies::NoCookie>(),
    Entry::of::<compressed::Compressed>(),
    Entry::of::<private::PrivateNeverCached>(),
    Entry::of::<limit::RateLimitFires>(),
];
