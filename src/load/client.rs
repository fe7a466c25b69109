//! What all clients of a ramp share: TLS settings, addresses asked for once, and where they may go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use super::LoadError;
use super::wire::Wires;

/// Prepares wires to a target and the hosts that uploads may go to; a request may take `timeout`.
///
/// Names are asked for once: a thousand users must not ask the resolver a thousand times, and a name that points
/// elsewhere in the midst of a ramp must not take the load with it.
pub(super) async fn prepare(target: &Url, upload_hosts: &[String], timeout: Duration) -> Result<Wires, LoadError> {
    let mut pinned = Vec::new();
    let uploads = upload_hosts.iter().filter_map(|host| upload_url(host));
    let all: Vec<Url> = std::iter::once(target.clone()).chain(uploads).collect();
    for url in all {
        pinned.extend(resolve(&url).await?);
    }
    let tls = tls(target.scheme() == "https" || !upload_hosts.is_empty())?;
    Wires::new(tls, pinned, timeout).map_err(|e| LoadError::Client(e.to_string()))
}

/// Roots are read once, and only if somebody speaks TLS.
pub(super) fn tls(needed: bool) -> Result<ClientConfig, LoadError> {
    let mut roots = RootCertStore::empty();
    if needed {
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
    // Port 0 leaves the port to the URL.
    let found: Vec<_> = tokio::net::lookup_host((host, 0)).await.map_err(|e| failed(e.to_string()))?.collect();
    if found.is_empty() {
        return Err(failed("no address".into()));
    }
    Ok(Some((host.to_owned(), found)))
}

/// Whether users may go there: the target's own host and port, or another server of this machine when the target is
/// one. A link or a ticket must not turn the load on a stranger.
pub(super) fn may_visit(target: &Url, url: &Url) -> bool {
    let same = url.host() == target.host() && url.port_or_known_default() == target.port_or_known_default();
    matches!(url.scheme(), "http" | "https") && (same || (is_local(target) && is_local(url)))
}

/// Whether a ticket's upload may go there: wherever users may, and over TLS to a host that the settings name. The owner
/// of the site has written down that load may go to that one.
pub(super) fn may_upload(target: &Url, hosts: &[String], url: &Url) -> Result<(), String> {
    let named = hosts.iter().filter_map(|host| upload_url(host)).any(|host| host.origin() == url.origin());
    if may_visit(target, url) || named {
        return Ok(());
    }
    Err(format!(
        "the ticket leads to {}, where no load may go; if that is your own bucket, add upload_hosts = [{:?}] to [load]",
        url.origin().ascii_serialization(),
        url.host_str().unwrap_or_default()
    ))
}

fn upload_url(host: &str) -> Option<Url> {
    Url::parse(&format!("https://{host}")).ok()
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
    fn uploads_go_where_the_settings_say_and_nowhere_else() {
        let hosts = ["bucket.s3.example".to_owned(), "minio.example:9000".to_owned()];
        for (url, may) in [
            ("https://bucket.s3.example/", true),
            ("https://minio.example:9000/b", true),
            ("https://shop.example/upload", true),
            ("http://bucket.s3.example/", false),
            ("https://bucket.s3.example:444/", false),
            ("https://minio.example/", false),
            ("https://evil.example/?bucket.s3.example", false),
            ("https://bucket.s3.example.evil.example/", false),
            ("http://127.0.0.1:9000/", false),
        ] {
            let target = Url::parse("https://shop.example/").unwrap();
            assert_eq!(may_upload(&target, &hosts, &Url::parse(url).unwrap()).is_ok(), may, "{url}");
        }
    }

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
