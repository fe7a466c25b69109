//! A PostgreSQL address as libpq reads it, which Django's drivers hand it to: how TLS is spoken is taken out of the text,
//! what only libpq or another library asks for is left out, and the driver reads the rest. Repeats no part of an address
//! in an error but a parameter's name.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::domain::site::Key;
use crate::probes::ProbeError;
use crate::probes::tls::{Check, Trust, Words, cause};

use super::LIMIT;

/// How these addresses say what is checked.
pub(super) const WORDS: Words = Words {
    roots: "sslrootcert",
    own: ("sslcert", "sslkey"),
    unchecked: "sslmode=require without sslrootcert",
    unnamed: "sslmode=verify-ca",
    plain: "sslmode=disable",
};
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
/// What the driver reads by itself.
const READ: [&str; 18] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];
/// What libpq and others read, and what changes nothing for a few questions: encodings, Kerberos, limits of TLS, and
/// what Prisma, dj-database-url and hosts of databases put beside it.
const IDLE: [&str; 25] = [
    "client_encoding",
    "fallback_application_name",
    "gssencmode",
    "gssdelegation",
    "gsslib",
    "krbsrvname",
    "keepalives_count",
    "sslcompression",
    "sslsni",
    "sslcertmode",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "min_protocol_version",
    "max_protocol_version",
    "conn_max_age",
    "conn_health_checks",
    "disable_server_side_cursors",
    "connection_limit",
    "pool_timeout",
    "pool_mode",
    "pgbouncer",
    "prepare_threshold",
    "statement_cache_size",
    "schema",
    "supa",
];

/// The driver's handle, and what moves its bytes.
type Connected = (Client, Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>);

/// What an address says.
pub(in crate::probes) struct Address {
    /// For the driver.
    pub config: Config,
    trust: Trust,
    variable: String,
}

impl Address {
    /// Reads a key's address.
    ///
    /// # Errors
    /// It is none, or says what rampup does not understand.
    pub(in crate::probes) fn read(key: &Key) -> Result<Self, ProbeError> {
        let variable = &key.variable;
        let address = key.secret.expose();
        // With one more `@`, what looks like a parameter may be a piece of the password.
        let mut said = Said { unsure: address.matches('@').count() > 1, ..Said::default() };
        let text = sift(address, &mut |name, value| said.keeps(name, value));
        if let Some(name) = &said.unknown {
            return Err(ProbeError::NotGiven {
                what: format!("the address in {variable} has the parameter {name}, which rampup does not know"),
                provide: "name a variable of rampup's own, with the same address without it".to_owned(),
            });
        }
        let (mode, trust) = said.trust(variable)?;
        let mut config = text.parse::<Config>().map_err(|e| refused(&e, variable))?;
        // A certificate is for a host; where the address gives numbers alone, these are it.
        if config.get_hosts().is_empty() {
            for address in config.get_hostaddrs().to_vec() {
                config.host(address.to_string());
            }
        }
        let sockets = config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
        // libpq speaks no TLS over a Unix socket, whatever is asked for.
        config.ssl_mode(if sockets { SslMode::Disable } else { mode });
        config.connect_timeout(LIMIT).application_name("rampup");
        Ok(Self { config, trust, variable: variable.clone() })
    }

    /// The driver's TLS.
    ///
    /// # Errors
    /// A file that the address names cannot be used.
    pub(in crate::probes) fn tls(&self) -> Result<MakeRustlsConnect, ProbeError> {
        let mut tls = self.trust.config(&WORDS, &self.variable)?;
        if self.config.get_ssl_negotiation() == SslNegotiation::Direct {
            tls.alpn_protocols = vec![b"postgresql".to_vec()];
        }
        Ok(MakeRustlsConnect::new(tls))
    }

    /// Connects. As with libpq, `prefer` goes on without TLS when the server offers it and no handshake comes about.
    ///
    /// # Errors
    /// The driver's own.
    pub(in crate::probes) async fn connect(&self, tls: MakeRustlsConnect) -> Result<Connected, tokio_postgres::Error> {
        match self.config.connect(tls.clone()).await {
            Err(error) if self.config.get_ssl_mode() == SslMode::Prefer && cause(&error).is_some() => {
                self.config.clone().ssl_mode(SslMode::Disable).connect(tls).await
            }
            other => other,
        }
    }
}

/// The driver does not understand an address. Its own words may quote it, but not those on a value it knows the name of.
fn refused(error: &tokio_postgres::Error, variable: &str) -> ProbeError {
    let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    let named = why.strip_prefix("invalid value for option `").and_then(|rest| rest.strip_suffix('`'));
    match named.filter(|name| READ.contains(name)) {
        Some(name) => ProbeError::NotGiven {
            what: format!("{name} in {variable} has a value that rampup does not know"),
            provide: format!("name a variable of rampup's own, with the same address without {name} or with another"),
        },
        None => ProbeError::NotGiven {
            what: format!("{variable} does not hold a PostgreSQL address"),
            provide: "write it as postgres://user:password@host:5432/database, without parameters of other programs"
                .to_owned(),
        },
    }
}

/// What an address says of TLS, and the first parameter that nobody knows.
#[derive(Default)]
struct Said {
    mode: Option<String>,
    roots: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    unknown: Option<String>,
    /// What comes next may be a piece of the password.
    unsure: bool,
}

impl Said {
    /// Takes a parameter's value, and says whether the driver is to read it too. As in libpq an empty one is none.
    fn keeps(&mut self, name: &str, value: String) -> bool {
        let value = Some(value).filter(|value| !value.is_empty());
        match name {
            "sslmode" => self.mode = value,
            "sslrootcert" => self.roots = value,
            "sslcert" => self.certificate = value,
            "sslkey" => self.key = value,
            // As JDBC writes it; libpq understands it too.
            "ssl" if value.as_deref() == Some("true") => self.mode = Some("require".to_owned()),
            name if IDLE.contains(&name) => {}
            name if READ.contains(&name) => {
                // A password with a blank and no quotes goes on behind the blank.
                self.unsure |= name == "password";
                return true;
            }
            name => {
                // Where it may be a piece of a password, it is left to the driver, which refuses all of it.
                let plain = name.len() <= 40 && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
                if plain && !self.unsure && self.unknown.is_none() {
                    self.unknown = Some(name.to_owned());
                }
                return true;
            }
        }
        false
    }

    /// What libpq would make of it. `allow` and `prefer` differ only in what is tried first.
    fn trust(self, variable: &str) -> Result<(SslMode, Trust), ProbeError> {
        let wrong = |what: &str, provide: &str| ProbeError::NotGiven {
            what: format!("{what} in {variable}"),
            provide: provide.to_owned(),
        };
        let system = self.roots.as_deref() == Some("system");
        let usual = if system { "verify-full" } else { "prefer" };
        let mode = self.mode.as_deref().unwrap_or(usual);
        if system && mode != "verify-full" {
            return Err(wrong(
                "sslrootcert=system stands beside a weak sslmode",
                "write sslmode=verify-full, as libpq asks",
            ));
        }
        let named = self.roots.filter(|_| !system);
        let (ssl, check) = match mode {
            "disable" => (SslMode::Disable, Check::Nothing),
            "allow" | "prefer" if named.is_none() => (SslMode::Prefer, Check::Nothing),
            "allow" | "prefer" => (SslMode::Prefer, Check::Issuer),
            "require" if named.is_none() => (SslMode::Require, Check::Nothing),
            "require" | "verify-ca" => (SslMode::Require, Check::Issuer),
            "verify-full" => (SslMode::Require, Check::Name),
            _ => {
                let modes = "write disable, allow, prefer, require, verify-ca or verify-full";
                return Err(wrong("there is no such sslmode as the one", modes));
            }
        };
        let own = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => Some((certificate.into(), key.into())),
            (None, None) => None,
            _ => return Err(wrong("sslcert and sslkey belong together, and only one of them stands", "write both")),
        };
        Ok((ssl, Trust { check, roots: named.map(PathBuf::from), own }))
    }
}

/// The text without the parameters that `keeps` does not keep; each is shown to it by name and value. What is no address
/// stays as it is, for the driver to refuse.
fn sift(text: &str, keeps: &mut dyn FnMut(&str, String) -> bool) -> String {
    let text = text.trim();
    if SCHEMES.iter().any(|scheme| text.starts_with(scheme)) {
        sift_url(text, keeps)
    } else {
        sift_words(text, keeps).unwrap_or_else(|| text.to_owned())
    }
}

fn sift_url(text: &str, keeps: &mut dyn FnMut(&str, String) -> bool) -> String {
    // As the driver reads it: user and password go to the first `@`, and may hold a `?`.
    let host = text.find('@').map_or(0, |at| at + 1);
    let Some(query) = text[host..].find('?').map(|at| host + at) else { return text.to_owned() };
    let decoded = |text| percent_decode_str(text).decode_utf8().ok();
    let kept: Vec<&str> = text[query + 1..]
        .split('&')
        .filter(|piece| {
            let read = piece.split_once('=').and_then(|(name, value)| Some((decoded(name)?, decoded(value)?)));
            !piece.is_empty() && read.is_none_or(|(name, value)| keeps(&name, value.into_owned()))
        })
        .collect();
    if kept.is_empty() { text[..query].to_owned() } else { format!("{}?{}", &text[..query], kept.join("&")) }
}

/// `host=… user=…`; none when it is no such text.
fn sift_words(text: &str, keeps: &mut dyn FnMut(&str, String) -> bool) -> Option<String> {
    let (mut read, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (name, value, length) = word(rest)?;
        read.push((name, value, &rest[..length]));
        rest = rest[length..].trim_start();
    }
    let kept = read.into_iter().filter(|(name, value, _)| keeps(name, value.clone()));
    Some(kept.map(|(_, _, raw)| raw).collect::<Vec<_>>().join(" "))
}

/// The first `name = value` of a text, its quotes and backslashes resolved as the driver does it, and its length.
fn word(text: &str) -> Option<(&str, String, usize)> {
    let (name, after) = text.split_at(text.find(|c: char| c.is_whitespace() || c == '=')?);
    let after = after.trim_start().strip_prefix('=')?.trim_start();
    let quoted = after.starts_with('\'');
    let mut letters = after.char_indices().skip(usize::from(quoted));
    let (mut value, mut length, mut whole) = (String::new(), after.len(), !quoted);
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            '\'' if quoted => {
                (length, whole) = (at + 1, true);
                break;
            }
            letter if !quoted && letter.is_whitespace() => {
                length = at;
                break;
            }
            letter => value.push(letter),
        }
    }
    whole.then(|| (name, value, text.len() - after.len() + length))
}

#[cfg(test)]
mod tests;
