//! TLS below a database's own protocol: what a client checks of the server, and a handshake that failed in words that say
//! what to write. Knows no protocol that is spoken inside, and repeats no part of an address: a certificate that is for
//! another name is told without either name.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use super::ProbeError;

/// What a client wants to know of a server before it says a password.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Trust {
    /// What is checked of the server's certificate.
    pub check: Check,
    /// A PEM file of those who may issue it; the machine's own list where there is none.
    pub roots: Option<PathBuf>,
    /// Files of our own certificate and of its key.
    pub own: Option<(PathBuf, PathBuf)>,
}

/// What is checked of a server's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Check {
    /// Nothing: whoever answers is believed.
    #[default]
    Nothing,
    /// Who issued it.
    Issuer,
    /// Who issued it, and that it is for the host.
    Name,
}

/// How the addresses of one system say these things.
#[derive(Debug)]
pub(super) struct Words {
    /// The parameter that names a file of roots.
    pub roots: &'static str,
    /// The parameters that name our own certificate and its key.
    pub own: (&'static str, &'static str),
    /// What leaves the certificate unchecked.
    pub unchecked: &'static str,
    /// What leaves the name alone unchecked.
    pub unnamed: &'static str,
    /// What does without TLS.
    pub plain: &'static str,
}

impl Trust {
    /// A client's settings.
    ///
    /// # Errors
    /// A file that the address names cannot be used; this machine has no roots.
    pub(super) fn config(&self, words: &Words, variable: &str) -> Result<ClientConfig, ProbeError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let (roots, named) = self.roots(words, variable)?;
        let verifier = Verifier { check: self.check, roots, named, algorithms };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| ProbeError::odd("TLS", e))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let Some((certificate, key)) = &self.own else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates(certificate).map_err(|e| useless(words.own.0, variable, &e))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| useless(words.own.1, variable, &e))?;
        builder.with_client_auth_cert(chain, key).map_err(|e| useless(words.own.0, variable, &e))
    }

    /// Those who may issue a certificate, and certificates that the address names themselves.
    fn roots(
        &self,
        words: &Words,
        variable: &str,
    ) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), ProbeError> {
        let mut roots = RootCertStore::empty();
        let named = match (self.check, &self.roots) {
            (Check::Nothing, _) => return Ok((roots, Vec::new())),
            (_, Some(file)) => certificates(file).map_err(|e| useless(words.roots, variable, &e))?,
            (_, None) => Vec::new(),
        };
        if self.roots.is_some() {
            roots.add_parsable_certificates(named.iter().cloned());
        } else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        if roots.is_empty() && named.is_empty() {
            return Err(ProbeError::NotGiven {
                what: "this machine has no root certificates to check a server by".to_owned(),
                provide: format!("install ca-certificates, or name a file in {variable}: {}=FILE", words.roots),
            });
        }
        Ok((roots, named))
    }
}

/// All certificates of a PEM file; none is an error.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    let found = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(found) }
}

/// A file that cannot be used. Where it lies is part of the address; what is wrong with it is not.
fn useless(parameter: &str, variable: &str, why: &dyn std::fmt::Display) -> ProbeError {
    ProbeError::NotGiven {
        what: format!("the file that {parameter} in {variable} names cannot be used: {why}"),
        provide: "give it as PEM, without a passphrase, where rampup may read it".to_owned(),
    }
}

/// Judges a server's certificate. Whoever holds it must have signed the handshake, also where nobody asks who that is.
#[derive(Debug)]
struct Verifier {
    check: Check,
    roots: RootCertStore,
    named: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Verifier {
    /// Version 1 of X.509, which OpenSSL still makes and takes, is not read by webpki, and so neither is the key in it.
    /// Where any certificate would do, that one does too; a wrong signature of one that is read never does.
    fn signed(&self, judged: Result<HandshakeSignatureValid, Error>) -> Result<HandshakeSignatureValid, Error> {
        match judged {
            Err(Error::InvalidCertificate(CertificateError::Other(_))) if self.check == Check::Nothing => {
                Ok(HandshakeSignatureValid::assertion())
            }
            judged => judged,
        }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.check == Check::Nothing {
            return Ok(ServerCertVerified::assertion());
        }
        let parsed = ParsedCertificate::try_from(certificate)?;
        // A server's own certificate, named as its root as OpenSSL allows, has nobody above it to ask. Its dates are
        // not looked at: whoever names one certificate means that one.
        if !self.named.iter().any(|named| named.as_ref() == certificate.as_ref()) {
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, algorithms)?;
        }
        if self.check == Check::Name {
            verify_server_name(&parsed, name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(verify_tls12_signature(message, certificate, signature, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(verify_tls13_signature(message, certificate, signature, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What TLS itself said of a connection that failed, however deep the errors of other libraries hide it.
pub(super) fn cause<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<Error>() {
            return Some(tls);
        }
        // An `io::Error` does not name what it holds as its source.
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match held {
            Some(held) => Some(held as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    None
}

/// The same as an answer: what is wrong, and what to write.
pub(super) fn refusal(error: &Error, words: &Words, system: &'static str, variable: &str) -> ProbeError {
    let Words { roots, own, unchecked, unnamed, plain } = words;
    let issuer = format!(
        "write {roots}=FILE into {variable}, the certificate of its issuer as your provider offers it, or {unchecked} \
         if nobody needs to check it"
    );
    let (why, provide) = match error {
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            "its certificate is not for the host that the address names (names in its subjectAltName count)".to_owned(),
            format!("check the host in {variable}, or write {unnamed} if who issued it is enough"),
        ),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => (
            "its certificate has expired".to_owned(),
            format!("renew it, or write {unchecked} into {variable} if nobody needs to check it"),
        ),
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => (
            "its certificate is not valid yet, by this machine's clock".to_owned(),
            "set the clock, or wait until it is".to_owned(),
        ),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            ("its certificate comes from an issuer that is not trusted here".to_owned(), issuer)
        }
        Error::InvalidCertificate(_) => (format!("its certificate is not trusted ({error})"), issuer),
        Error::AlertReceived(AlertDescription::ProtocolVersion) | Error::PeerIncompatible(_) => {
            (format!("it speaks no TLS that rampup speaks ({error})"), "let it speak TLS 1.2 or 1.3".to_owned())
        }
        Error::AlertReceived(_) => (
            format!("it ended the TLS handshake ({error})"),
            format!("if it wants a certificate of ours, name the files in {variable}: {}=FILE, {}=FILE", own.0, own.1),
        ),
        Error::InvalidMessage(_) => {
            ("what answers there speaks no TLS".to_owned(), format!("check the port in {variable}, or write {plain}"))
        }
        _ => (format!("the TLS handshake failed ({error})"), format!("check host and port in {variable}")),
    };
    ProbeError::Refused { system, why, provide }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Words = Words {
        roots: "roots",
        own: ("cert", "key"),
        unchecked: "check=none",
        unnamed: "name=none",
        plain: "plain://",
    };

    #[test]
    fn what_tls_said_is_found_below_other_errors() {
        let deep = io::Error::other(io::Error::other(Error::DecryptError));
        assert_eq!(cause(&deep), Some(&Error::DecryptError));
        assert_eq!(cause(&io::Error::from(io::ErrorKind::UnexpectedEof)), None);
    }

    #[test]
    fn a_refusal_says_what_to_write_and_no_host() {
        let named = CertificateError::NotValidForNameContext {
            expected: ServerName::try_from("geheim.example").unwrap(),
            presented: vec!["DnsName(\"other.example\")".to_owned()],
        };
        for (error, why, provide) in [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "not trusted", "roots=FILE"),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "not trusted", "check=none"),
            (Error::InvalidCertificate(CertificateError::BadEncoding), "not trusted", "roots=FILE"),
            (Error::InvalidCertificate(CertificateError::Expired), "expired", "renew"),
            (Error::InvalidCertificate(named), "not for the host", "name=none"),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "speaks no TLS", "plain://"),
            (Error::AlertReceived(AlertDescription::CertificateRequired), "ended the TLS handshake", "cert=FILE, key"),
            (Error::DecryptError, "handshake failed", "check host and port"),
        ] {
            let said = refusal(&error, &WORDS, "PostgreSQL", "DATABASE_URL").to_string();
            assert!(said.contains(why) && said.contains(provide) && said.contains("PostgreSQL"), "{said}");
            assert!(!said.contains(".example"), "{said}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_used_is_told_by_its_parameter_alone() {
        let dir = tempfile::tempdir().unwrap();
        let empty = dir.path().join("geheim.pem");
        std::fs::File::create(&empty).unwrap();
        let missing = dir.path().join("geheim.none");
        let own = |certificate: &Path, key: &Path| Some((certificate.to_owned(), key.to_owned()));
        for (trust, word) in [
            (Trust { check: Check::Issuer, roots: Some(missing.clone()), own: None }, "roots in DB"),
            (Trust { check: Check::Name, roots: Some(empty.clone()), own: None }, "roots in DB"),
            (Trust { own: own(&empty, &missing), ..Trust::default() }, "cert in DB"),
        ] {
            let said = trust.config(&WORDS, "DB").unwrap_err().to_string();
            assert!(said.contains(word) && !said.contains("geheim"), "{said}");
        }
        let unread = Trust { roots: Some(missing), ..Trust::default() };
        assert!(unread.config(&WORDS, "DB").is_ok(), "where nothing is checked, no root is read");
    }
}
