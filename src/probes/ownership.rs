//! Whether load may be sent at an address: it is this machine, or its owner put an agreed sign there.

use std::net::IpAddr;
use std::time::Duration;

use url::Url;

use super::ProbeError;
use super::http::Http;

const SYSTEM: &str = "the target";
const LIMIT: Duration = Duration::from_secs(5);

/// A file that only the target's owner can put there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// Path on the target.
    pub path: String,
    /// What the answer must hold.
    pub nonce: String,
}

/// Whether the target is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// Every address the name stands for is this machine's own.
    Loopback,
    /// The target serves the sign.
    Signed,
    /// Neither, with the reason and what to do.
    NotShown(String),
}

/// Asks whether the target is ours. Redirects are not followed: a sign elsewhere says nothing about this host.
///
/// # Errors
/// When its name does not resolve, or the sign cannot be asked for.
pub async fn ask(http: &Http, target: &Url, sign: Option<&Sign>) -> Result<Ownership, ProbeError> {
    let addresses = resolve(target).await?;
    if addresses.iter().all(IpAddr::is_loopback) {
        return Ok(Ownership::Loopback);
    }
    let Some(sign) = sign else {
        return Ok(Ownership::NotShown(format!(
            "{} is not this machine; serve a text of your choice at a path of it and name both in rampup.toml: [site.ownership] path, nonce",
            target.host_str().unwrap_or_default()
        )));
    };
    signed(http, target, sign).await
}

/// Whether the target serves exactly the agreed text.
async fn signed(http: &Http, target: &Url, sign: &Sign) -> Result<Ownership, ProbeError> {
    // A short sign might be found by chance.
    if sign.nonce.trim().len() < 16 {
        return Ok(Ownership::NotShown(
            "the nonce in [site.ownership] is shorter than 16 characters; use a longer one".to_owned(),
        ));
    }
    let url = target.join(&sign.path).map_err(|e| ProbeError::odd(SYSTEM, e))?;
    if url.origin() != target.origin() {
        return Ok(Ownership::NotShown(
            "the path in [site.ownership] leads to another host; write a path of the target".to_owned(),
        ));
    }
    let answer = http.ask(reqwest::Method::GET, Ok(url.clone())).send().await?;
    if answer.status == 200 && answer.text().trim() == sign.nonce.trim() {
        return Ok(Ownership::Signed);
    }
    let saw = if answer.status == 200 { "another text".to_owned() } else { format!("status {}", answer.status) };
    Ok(Ownership::NotShown(format!(
        "{url} answered with {saw} instead of the nonce in [site.ownership]; serve exactly that text there"
    )))
}

async fn resolve(target: &Url) -> Result<Vec<IpAddr>, ProbeError> {
    let port = target.port_or_known_default().unwrap_or(80);
    let host = match target.host() {
        Some(url::Host::Ipv4(ip)) => return Ok(vec![ip.into()]),
        Some(url::Host::Ipv6(ip)) => return Ok(vec![ip.into()]),
        Some(url::Host::Domain(name)) => name.to_owned(),
        None => return Err(ProbeError::odd(SYSTEM, "an address without a host")),
    };
    super::error::within(SYSTEM, LIMIT, async {
        let found = tokio::net::lookup_host((host, port)).await.map_err(|e| ProbeError::unreachable(SYSTEM, e))?;
        let found: Vec<IpAddr> = found.map(|a| a.ip()).collect();
        if found.is_empty() {
            Err(ProbeError::unreachable(SYSTEM, "its name stands for no address"))
        } else {
            Ok(found)
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::http::tests::{answer, server, site};

    const NONCE: &str = "rampup-0123456789abcdef";

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test]
    async fn loopback_is_ours_by_address_not_by_name() {
        let http = Http::new(&site("http://127.0.0.1:9/"), &"r".into()).unwrap();
        for target in ["http://127.0.0.1:9/", "http://127.4.5.6/", "http://[::1]:9/", "http://localhost:9/"] {
            assert_eq!(ask(&http, &url(target), None).await.unwrap(), Ownership::Loopback, "{target}");
        }
        for target in ["http://192.0.2.7/", "http://[2001:db8::1]/", "http://0.0.0.0/"] {
            let said = ask(&http, &url(target), None).await.unwrap();
            assert!(
                matches!(&said, Ownership::NotShown(why) if why.contains("[site.ownership]")),
                "{target}: {said:?}"
            );
        }
        assert!(ask(&http, &url("http://localhost.invalid/"), None).await.is_err());
    }

    #[tokio::test]
    async fn only_exactly_the_agreed_text_counts() {
        let sign = Sign { path: "/.well-known/rampup.txt".to_owned(), nonce: NONCE.to_owned() };
        for (said, signed_) in [
            (answer("200 OK", "", &format!("{NONCE}\n")), true),
            (answer("200 OK", "", &format!("<html>{NONCE}</html>")), false),
            (answer("404 Not Found", "", NONCE), false),
            (answer("302 Found", "Location: https://other.test/\r\n", NONCE), false),
        ] {
            let (http, _) = server(&[said]).await;
            let target = http.base().clone();
            assert_eq!(signed(&http, &target, &sign).await.unwrap() == Ownership::Signed, signed_);
        }
    }

    #[tokio::test]
    async fn a_short_or_foreign_sign_is_refused() {
        let (http, asked) = server(&[answer("200 OK", "", "")]).await;
        let target = http.base().clone();
        for (path, nonce) in [("/x", ""), ("/x", "short"), ("http://other.test/x", NONCE)] {
            let sign = Sign { path: path.to_owned(), nonce: nonce.to_owned() };
            assert!(matches!(signed(&http, &target, &sign).await.unwrap(), Ownership::NotShown(_)), "{path} {nonce}");
        }
        assert!(asked.lock().unwrap().is_empty());
    }
}
