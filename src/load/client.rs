//! One HTTP client a user, as cheap as a shared one: own cookies and connections, common TLS settings and addresses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use reqwest::cookie::Jar;
use reqwest::redirect::Policy;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use super::LoadError;

/// Sent by every user, so that a site's logs can tell who came.
const USER_AGENT: &str = concat!("rampup/", env!("CARGO_PKG_VERSION"));

/// What all clients of a ramp share.
#[derive(Debug, Clone)]
pub(super) struct Clients {
    tls: ClientConfig,
    /// The target's name with its addresses, asked once: a thousand users must not ask the resolver a thousand times.
    pinned: Option<(String, Vec<SocketAddr>)>,
    timeout: Duration,
}

impl Clients {
    /// Prepares clients for a target; a request may take `timeout`.
    pub async fn prepare(target: &Url, timeout: Duration) -> Result<Self, LoadError> {
        Ok(Self { tls: tls(target)?, pinned: resolve(target).await?, timeout })
    }

    /// A client with an empty cookie jar. Redirects are answers, not followed.
    pub fn build(&self) -> Result<(Client, Arc<Jar>), LoadError> {
        let jar = Arc::new(Jar::default());
        let mut builder = Client::builder()
            .user_agent(USER_AGENT)
            .tls_backend_preconfigured(self.tls.clone())
            .cookie_provider(jar.clone())
            .redirect(Policy::none())
            .no_proxy()
            .timeout(self.timeout);
        if let Some((host, addresses)) = &self.pinned {
            builder = builder.resolve_to_addrs(host, addresses);
        }
        let client = builder.build().map_err(|e| LoadError::Client(e.to_string()))?;
        Ok((client, jar))
    }
}

/// Roots are read once; a target without TLS needs none.
fn tls(target: &Url) -> Result<ClientConfig, LoadError> {
    let mut roots = RootCertStore::empty();
    if target.scheme() == "https" {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            let why = "this machine has no root certificates to check the target's by; install ca-certificates";
            return Err(LoadError::Client(why.into()));
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| LoadError::Client(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn resolve(target: &Url) -> Result<Option<(String, Vec<SocketAddr>)>, LoadError> {
    let Some(Host::Domain(host)) = target.host() else { return Ok(None) };
    let failed = |why: String| LoadError::Resolve { host: host.to_owned(), why };
    let port = target.port_or_known_default().unwrap_or(80);
    let found: Vec<_> = tokio::net::lookup_host((host, port)).await.map_err(|e| failed(e.to_string()))?.collect();
    if found.is_empty() {
        return Err(failed("no address".into()));
    }
    // The port of the URL is used, not this one.
    Ok(Some((host.to_owned(), found)))
}

/// Whether users may go there: the target's own host and port, or another server of this machine when the target is
/// one. A link or a ticket must not turn the load on a stranger.
pub(super) fn may_visit(target: &Url, url: &Url) -> bool {
    let same = url.host() == target.host() && url.port_or_known_default() == target.port_or_known_default();
    matches!(url.scheme(), "http" | "https") && (same || (is_local(target) && is_local(url)))
}

fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_never_leave_the_target() {
        for (target, url, may) in [
            ("https://shop.example/", "https://shop.example/p/1", true),
            ("https://shop.example/", "https://cdn.example/p/1", false),
            ("https://shop.example/", "http://127.0.0.1/", false),
            ("https://shop.example/", "http://shop.example/", false),
            ("http://127.0.0.1:8000/", "http://localhost:8333/bucket", true),
            ("http://127.0.0.1:8000/", "http://localhost.example/", false),
            ("http://127.0.0.1:8000/", "ftp://127.0.0.1:8000/", false),
            ("http://[::1]:8000/", "http://127.0.0.2/", true),
        ] {
            assert_eq!(may_visit(&Url::parse(target).unwrap(), &Url::parse(url).unwrap()), may, "{target} {url}");
        }
    }
}
