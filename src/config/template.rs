//! The commented `rampup.toml` that `rampup init` writes.

use rand::Rng;
use url::Url;

use super::FILE;

const TEMPLATE: &str = include_str!("../../assets/rampup.toml");

/// A settings file to begin with, for a site of this name at this address, with a fresh ownership nonce.
#[must_use]
pub fn template(name: &str, url: &Url) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let nonce = format!("rampup-{:032x}", rand::rng().random::<u128>());
    debug_assert!(TEMPLATE.starts_with("# rampup.toml"), "{FILE} opens with its own name");
    TEMPLATE
        .replace("\"@name@\"", &quoted(name))
        .replace("\"@url@\"", &quoted(url.as_str().trim_end_matches('/')))
        .replace("@nonce@", &nonce)
}
