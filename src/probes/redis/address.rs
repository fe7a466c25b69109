//! A Redis address as redis-py and Celery read it: the client reads the address, and what it says of TLS is read here, so
//! that a certificate is judged as for any other database. Repeats no part of an address but a parameter's name.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redis::{Client, ConnectionAddr, RedisConnectionInfo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use crate::domain::site::Key;
use crate::probes::ProbeError;
use crate::probes::tls::{self, Check, Trust, Words};

use super::LIMIT;

/// How these addresses say what is checked.
const WORDS: Words = Words {
    roots: "ssl_ca_certs",
    own: ("ssl_certfile", "ssl_keyfile"),
    unchecked: "ssl_cert_reqs=none",
    unnamed: "ssl_check_hostname=false",
    plain: "redis:// instead of rediss://",
};

/// Where a Redis is and how it is spoken to.
#[derive(Clone)]
pub(super) struct Address {
    /// The client, who knows nothing of TLS.
    pub client: Client,
    tls: Option<Arc<ClientConfig>>,
}

impl Address {
    /// Reads a key's address.
    ///
    /// # Errors
    /// It is none; a file that it names cannot be used.
    pub fn read(key: &Key) -> Result<Self, ProbeError> {
        let none = || ProbeError::NotGiven {
            what: format!("{} does not hold a Redis address that can be used", key.variable),
            provide: "write it as redis://user:password@host:6379/0, or as rediss://… where it is spoken to with TLS"
                .to_owned(),
        };
        let text = key.secret.expose().trim();
        let (plain, tls) = match split(text, &key.variable)? {
            Some((plain, trust)) => (plain, Some(Arc::new(trust.config(&WORDS, &key.variable)?))),
            None => (text.to_owned(), None),
        };
        // The client's own error may quote the address with its password.
        let client = Client::open(plain).map_err(|_| none())?;
        Ok(Self { client, tls })
    }

    /// User, password and database.
    pub fn settings(&self) -> &RedisConnectionInfo {
        self.client.get_connection_info().redis_settings()
    }

    /// An encrypted way there; none where the address asks for none.
    ///
    /// # Errors
    /// No connection; a certificate that is not trusted.
    pub async fn encrypted(
        &self,
        system: &'static str,
        variable: &str,
    ) -> Result<Option<TlsStream<TcpStream>>, ProbeError> {
        let (Some(tls), ConnectionAddr::Tcp(host, port)) = (&self.tls, self.client.get_connection_info().addr()) else {
            return Ok(None);
        };
        let unreachable = |e: &dyn std::fmt::Display| ProbeError::unreachable(system, e);
        let name = ServerName::try_from(host.clone()).map_err(|e| unreachable(&e))?;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(|e| unreachable(&e))?;
        stream.set_nodelay(true).map_err(|e| unreachable(&e))?;
        // A Redis without TLS waits for the end of a command that never comes.
        let shaken = timeout(LIMIT, TlsConnector::from(tls.clone()).connect(name, stream)).await;
        let shaken = shaken.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        shaken.map(Some).map_err(|e| refusal(&e, system, variable))
    }
}

/// A handshake that failed.
fn refusal(error: &io::Error, system: &'static str, variable: &str) -> ProbeError {
    match tls::cause(error) {
        Some(error) => tls::refusal(error, &WORDS, system, variable),
        None => ProbeError::Refused {
            system,
            why: format!("the TLS handshake came to nothing ({error})"),
            provide: format!("if it speaks no TLS, write {} into {variable}", WORDS.plain),
        },
    }
}

/// The address without TLS, and what it says of it; none when it speaks none.
fn split(text: &str, variable: &str) -> Result<Option<(String, Trust)>, ProbeError> {
    let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
    let plain = match scheme.to_ascii_lowercase().as_str() {
        "rediss" => "redis",
        "valkeys" => "valkey",
        _ => return Ok(None),
    };
    let plain = format!("{plain}://{rest}");
    // What is no URL is refused by the client.
    let trust = Url::parse(&plain).map_or(Ok(Trust::default()), |url| trust(&url, variable))?;
    Ok(Some((plain, trust)))
}

/// What redis-py would check: issuer and name, unless it is told otherwise. Its other parameters change nothing here.
fn trust(url: &Url, variable: &str) -> Result<Trust, ProbeError> {
    let (mut needed, mut named) = (true, true);
    let (mut roots, mut certificate, mut key) = (None, None, None);
    let wrong = |what: String, provide: &str| ProbeError::NotGiven { what, provide: provide.to_owned() };
    for (parameter, value) in url.query_pairs() {
        let path = || Some(PathBuf::from(value.as_ref())).filter(|path| !path.as_os_str().is_empty());
        match parameter.as_ref() {
            "ssl_cert_reqs" => {
                let value = value.to_ascii_lowercase();
                needed = match value.trim_start_matches("ssl.").trim_start_matches("cert_") {
                    "none" => false,
                    "optional" | "required" => true,
                    _ => {
                        return Err(wrong(
                            format!("ssl_cert_reqs in {variable} has a value that rampup does not know"),
                            "write ssl_cert_reqs=required or ssl_cert_reqs=none",
                        ));
                    }
                };
            }
            "ssl_check_hostname" => {
                named = !matches!(value.to_ascii_lowercase().as_str(), "false" | "0" | "no" | "off")
            }
            "ssl_ca_certs" => roots = path(),
            "ssl_certfile" => certificate = path(),
            "ssl_keyfile" => key = path(),
            "ssl_ca_path" | "ssl_ca_data" => {
                return Err(wrong(
                    format!("{parameter} in {variable} is not read by rampup"),
                    "name one file instead: ssl_ca_certs=FILE",
                ));
            }
            _ => {}
        }
    }
    let own = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => {
            return Err(wrong(
                format!("ssl_certfile and ssl_keyfile belong together, and only one of them stands in {variable}"),
                "write both",
            ));
        }
    };
    let check = match (needed, named) {
        (false, _) => Check::Nothing,
        (true, false) => Check::Issuer,
        (true, true) => Check::Name,
    };
    Ok(Trust { check, roots, own })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;

    fn read(address: &str) -> Result<Address, String> {
        let secret = Secret::new(address.to_owned());
        Address::read(&Key { variable: "BROKER_URL".to_owned(), secret }).map_err(|e| e.to_string())
    }

    #[test]
    fn tls_is_spoken_as_redis_py_would() {
        for (address, check, roots) in [
            ("rediss://u:p@h:6380/1", Check::Name, None),
            ("REDISS://h", Check::Name, None),
            ("valkeys://h", Check::Name, None),
            ("rediss://h?ssl_cert_reqs=none", Check::Nothing, None),
            ("rediss://h/0?ssl_cert_reqs=CERT_NONE", Check::Nothing, None),
            ("rediss://h/0?ssl_cert_reqs=CERT_OPTIONAL", Check::Name, None),
            ("rediss://h/0?ssl_cert_reqs=required&ssl_ca_certs=%2Fca.pem", Check::Name, Some("/ca.pem")),
            ("rediss://h/0?ssl_check_hostname=False&ssl_ca_certs=/ca.pem", Check::Issuer, Some("/ca.pem")),
            ("rediss://h/0?health_check_interval=30&socket_timeout=5&ssl_cert_reqs=none", Check::Nothing, None),
        ] {
            let (plain, trust) = split(address, "BROKER_URL").unwrap().unwrap();
            assert!(plain.starts_with("redis://") || plain.starts_with("valkey://"), "{plain}");
            assert_eq!((trust.check, trust.roots), (check, roots.map(PathBuf::from)), "{address}");
        }
        for plain in ["redis://h?ssl_cert_reqs=none", "unix:///run/redis.sock", "h:6379", ""] {
            assert_eq!(split(plain, "BROKER_URL").unwrap(), None, "{plain}");
        }
    }

    #[test]
    fn the_rest_of_an_address_is_read_as_before() {
        for address in [
            "redis://u:p%40w@h:6380/3?health_check_interval=30",
            "rediss://u:p%40w@h:6380/3?ssl_cert_reqs=none&socket_timeout=5&health_check_interval=30",
        ] {
            let read = read(address).unwrap();
            assert_eq!((read.settings().db(), read.settings().username()), (3, Some("u")), "{address}");
            assert_eq!(read.settings().password(), Some("p@w"), "{address}");
            assert_eq!(read.client.get_connection_info().addr(), &ConnectionAddr::Tcp("h".to_owned(), 6380));
            assert_eq!(read.tls.is_some(), address.starts_with("rediss"));
        }
    }

    #[test]
    fn a_refusal_names_the_parameter_and_nothing_else() {
        for (address, words) in [
            ("rediss://u:geheim@h/0?ssl_cert_reqs=geheim", &["ssl_cert_reqs in BROKER_URL", "=none"][..]),
            ("rediss://u:geheim@h/0?ssl_ca_path=/geheim", &["ssl_ca_path in BROKER_URL", "ssl_ca_certs=FILE"]),
            ("rediss://u:geheim@h/0?ssl_ca_certs=/geheim", &["ssl_ca_certs in BROKER_URL", "PEM"]),
            ("rediss://u:geheim@h/0?ssl_keyfile=/geheim", &["ssl_certfile and ssl_keyfile", "write both"]),
            ("rediss://u:geheim@h/geheim?ssl_cert_reqs=none", &["does not hold a Redis address", "rediss://"]),
            ("geheim", &["does not hold a Redis address"]),
        ] {
            let said = read(address).err().unwrap();
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
            assert!(!said.contains("geheim"), "{said}");
        }
    }

    #[test]
    fn a_handshake_that_failed_says_what_to_write() {
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let garbled = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        for (error, words) in [
            (io::Error::new(io::ErrorKind::InvalidData, unknown), ["ssl_cert_reqs=none", "ssl_ca_certs=FILE"]),
            (io::Error::new(io::ErrorKind::InvalidData, garbled), ["speaks no TLS", "redis:// instead"]),
            (io::ErrorKind::UnexpectedEof.into(), ["came to nothing", "redis:// instead"]),
        ] {
            let said = refusal(&error, "the job broker's Redis", "BROKER_URL").to_string();
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }
}
