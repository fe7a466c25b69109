//! The edge: does all the site pass through it, does it serve static files from its cache, keep private pages out of it,
//! and stop a flood? Is it the only way in?

pub(super) mod alike;
mod app_answers;
mod compressed;
mod cookies;
mod deception;
mod expression;
mod firewall;
mod hit;
mod hit_ratio;
mod keepers;
mod limit;
mod origin;
mod private;
mod proxied;
mod redirects;
mod rules;
mod ssl_mode;
mod throttle;
mod tiered_cache;

use url::{Position, Url};

use super::Entry;
use crate::domain::text::tame;

/// The checks of this group.
pub const CHECKS: &[Entry] = &[
    Entry::of::<proxied::Proxied>(),
    Entry::of::<app_answers::AppAnswers>(),
    Entry::of::<redirects::NoRedirectLoop>(),
    Entry::of::<ssl_mode::SslMode>(),
    Entry::of::<hit::StaticHit>(),
    Entry::of::<hit_ratio::HitRatio>(),
    Entry::of::<tiered_cache::TieredCache>(),
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
