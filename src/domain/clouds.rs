//! The clouds behind a site, Railway and Cloudflare: where their APIs are asked, and that a token goes nowhere else.

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// Host of Railway's API.
pub const RAILWAY: &str = "backboard.railway.com";
/// Host of Cloudflare's API.
pub const CLOUDFLARE: &str = "api.cloudflare.com";

/// The app as Railway knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Railway {
    /// Base of the API.
    pub api: Url,
    /// The project's id. Only a token that sees many projects needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The environment's name. A project's token knows its own.
    pub environment: String,
    /// Name of the service that runs the app.
    pub service: String,
}

/// The site as Cloudflare knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cloudflare {
    /// Base of the API.
    pub api: Url,
    /// The zone's name: `shop.example`.
    pub zone: String,
}

/// True when a token of this vendor may be sent there: to the vendor itself over TLS, or to an address of this machine.
///
/// A loopback *name* is refused: what it leads to is decided elsewhere.
#[must_use]
pub fn may_have_token(api: &Url, vendor: &str) -> bool {
    match api.host() {
        Some(Host::Domain(name)) => name == vendor && api.scheme() == "https" && api.port().is_none(),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_its_vendor_or_stays_here() {
        for (api, may) in [
            ("https://api.cloudflare.com", true),
            ("http://127.0.0.1:9000/", true),
            ("http://[::1]:9000/", true),
            ("http://api.cloudflare.com", false),
            ("https://api.cloudflare.com:8443", false),
            ("https://api.cloudflare.com.evil.example", false),
            ("https://evil.example/api.cloudflare.com", false),
            ("https://backboard.railway.com", false),
            ("http://localhost:9000", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(may_have_token(&Url::parse(api).unwrap(), CLOUDFLARE), may, "{api}");
        }
    }
}
