//! The edge: does all the site pass through it, does it serve static files from its cache, keep private pages out of it,
//! and stop a flood? Is it the only way in?

pub(super) mod alike;
mod compressed;
mod cookies;
mod deception;
mod firewall;
mod hit;
mod limit;
mod origin;
mod private;
mod proxied;
mod redirects;
mod throttle;

use url::{Position, Url};

use super::Entry;
use crate::domain::text::tame;

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<proxied::Proxied>(),
    Entry::of::<redirects::NoRedirectLoop>(),
    Entry::of::<hit::StaticHit>(),
    Entry::of::<cookies::NoCookie>(),
    Entry::of::<compressed::Compressed>(),
    Entry::of::<private::PrivateNeverCached>(),
    Entry::of::<deception::DeceptionSafe>(),
    Entry::of::<limit::RateLimitFires>(),
    Entry::of::<throttle::ThrottleHolds>(),
    Entry::of::<firewall::FirewallRule>(),
    Entry::of::<origin::OriginNotBypassable>(),
];

/// An address without its path: "https://shop.test:8000".
fn authority(url: &Url) -> String {
    tame(&url[..Position::AfterPort], 120)
}
