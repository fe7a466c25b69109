//! The back door: the app's own address, asked as a stranger would who knows it, under its own name or under the site's.
//!
//! Sends nothing secret: no cookies, no probe headers, no key of the edge.

use std::time::Duration;

use reqwest::{Client, Method};
use url::{Host, Position, Url};

use super::{Ask, Http, ProbeError};

/// Longest wait for a connection: a firewall that drops packets does not say so.
const LIMIT: Duration = Duration::from_secs(6);
/// Longest wait for a whole answer: an app that slept takes its time.
const ANSWER: Duration = Duration::from_secs(15);

/// A way to an address behind the edge.
#[derive(Debug)]
pub struct Door {
    client: Client,
    base: Url,
    /// The name asked for, where it is not the address's own.
    host: Option<String>,
}

impl Door {
    /// The way to this address; under the name that users know when `site` is given. None when the address's name does
    /// not exist.
    ///
    /// # Errors
    /// When a client cannot be built.
    pub async fn of(origin: &Url, site: Option<&Url>) -> Result<Option<Self>, ProbeError> {
        let (Some(at), Some(port)) = (origin.host_str(), origin.port_or_known_default()) else { return Ok(None) };
        let at = at.trim_matches(['[', ']']);
        let found = tokio::time::timeout(LIMIT, tokio::net::lookup_host((at, port))).await;
        let addresses: Vec<_> = match found {
            Ok(Ok(found)) => found.collect(),
            _ => return Ok(None),
        };
        if addresses.is_empty() {
            return Ok(None);
        }
        let mut client = Client::builder()
            .user_agent(format!("rampup/{} (+probe)", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .gzip(true)
            .pool_max_idle_per_host(0)
            .connect_timeout(LIMIT)
            .timeout(ANSWER)
            // Whoever walks around the edge does not mind a certificate that only the edge trusts.
            .tls_danger_accept_invalid_certs(true);
        let mut base = origin.clone();
        let host = site.map(|site| site[Position::BeforeHost..Position::AfterPort].to_owned());
        // The name travels in TLS too (SNI): a router in front of many apps chooses by it.
        if let Some(Host::Domain(name)) = site.and_then(Url::host) {
            client = client.resolve_to_addrs(name, &addresses);
            if base.set_host(Some(name)).is_err() {
                return Ok(None);
            }
        }
        let client = client.build().map_err(|e| ProbeError::unreachable("HTTP", e))?;
        Ok(Some(Self { client, base, host }))
    }
}

impl Http {
    /// A stranger's GET through a door.
    pub fn knock(&self, door: &Door, path: &str) -> Ask<'_> {
        let ask = self.ask(Method::GET, super::join(&door.base, path)).bare().through(&door.client);
        match &door.host {
            Some(host) => ask.header("host", host.clone()),
            None => ask,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::domain::site::{Edge, Key};
    use crate::probes::http::tests::{answer, server, site};

    #[tokio::test]
    async fn a_door_is_asked_under_either_name_without_key_and_cookies() {
        let (http, asked) =
            server(&[answer("200 OK", "", ""), answer("200 OK", "", ""), answer("200 OK", "", "")]).await;
        let origin = http.base().clone();
        let key = Key { variable: "K".into(), secret: Secret::new("s3cret".into()) };
        let mut settings = site(origin.as_str());
        settings.origin = Some(origin.clone());
        settings.edge = Some(Edge { secret_header: Some("x-edge".into()), ..Edge::default() });
        let http = Http::new(&settings, &"run-1".into()).unwrap().keyed(&settings, Some(&key)).unwrap();
        let users: Url = "http://shop.test:8000/".parse().unwrap();
        for site in [None, Some(&users)] {
            let door = Door::of(&origin, site).await.unwrap().unwrap();
            assert_eq!(http.knock(&door, "/a").send_raw().await.unwrap().status, 200);
        }
        assert_eq!(http.get_origin("/a").send().await.unwrap().status, 200);
        let asked = asked.lock().unwrap();
        let own = format!("host: {}", &origin[Position::BeforeHost..Position::AfterPort]);
        assert!(asked[0].contains(&own) && asked[1].contains("host: shop.test:8000"), "{asked:?}");
        assert!(!asked[..2].join("").contains("s3cret") && !asked[..2].join("").contains("x-client"), "{asked:?}");
        assert!(asked[2].contains("x-edge: s3cret"), "{}", asked[2]);
    }

    #[tokio::test]
    async fn the_key_goes_to_the_app_alone() {
        let (http, asked) = server(&[answer("200 OK", "", "")]).await;
        let key = Key { variable: "K".into(), secret: Secret::new("s3cret".into()) };
        let mut settings = site(http.base().as_str());
        settings.origin = Some("http://127.0.0.1:9/".parse().unwrap());
        settings.edge = Some(Edge { secret_header: Some("x-edge".into()), ..Edge::default() });
        let http = Http::new(&settings, &"run-1".into()).unwrap().keyed(&settings, Some(&key)).unwrap();
        http.get("/").send().await.unwrap();
        assert!(!asked.lock().unwrap()[0].contains("s3cret"));
        assert!(!format!("{http:?}").contains("s3cret"));
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_no_door() {
        let nowhere: Url = "https://no-such-name.invalid/".parse().unwrap();
        assert!(Door::of(&nowhere, None).await.unwrap().is_none());
    }
}
