//! One object in a bucket: is it there, may a stranger read it, and away with it. Signs by the owner's keys; asks for
//! nothing but this one object.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Method;
use rusty_s3::actions::{DeleteObject, HeadObject, S3Action};
use rusty_s3::{Bucket, Credentials, UrlStyle};
use url::Url;

use crate::domain::site::{Access, Key};

use super::ProbeError;
use super::http::Http;
use super::s3::Ticket;

/// How long a signed request of ours is valid.
const VALID: Duration = Duration::from_secs(60);

/// Where a form puts its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    bucket: Bucket,
    key: String,
    /// Where the bucket would be if its name stood in the path after all.
    aside: Option<Url>,
}

/// The keys by which objects are looked at and removed.
pub struct Keys(Credentials);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys([redacted])")
    }
}

impl Keys {
    /// The keys that the settings name; none when one of the two is missing.
    #[must_use]
    pub fn of(access: &Access) -> Option<Self> {
        let text = |key: &Option<Key>| Some(key.as_ref()?.secret.expose().to_owned());
        Some(Self(Credentials::new(text(&access.bucket_access)?, text(&access.bucket_secret)?)))
    }
}

impl Object {
    /// The object that a form will make.
    ///
    /// # Errors
    /// When the form does not say which, or names a key that would reach beyond one object.
    pub fn of(ticket: &Ticket) -> Result<Self, ProbeError> {
        let odd = |saw: &str| ProbeError::odd("the upload endpoint", saw);
        // "AKID/20261126/eu-central-1/s3/aws4_request"
        let scope = ticket.scope();
        let region = scope.split('/').nth(2).filter(|r| !r.is_empty()).unwrap_or("us-east-1").to_owned();
        let mut endpoint = ticket.url().clone();
        endpoint.set_query(None);
        let host = endpoint.host_str().unwrap_or_default().to_owned();
        // A form's address is the bucket's; a signed one is the object's own.
        let put = ticket.method() == Method::PUT;
        let path = percent_decode_str(endpoint.path().trim_start_matches('/')).decode_utf8_lossy().into_owned();
        let (first, below) = path.split_once('/').unwrap_or((&path, ""));
        let in_path = if put { in_path(&endpoint) } else { !first.is_empty() };
        let key = match ticket.field("key") {
            _ if put => if in_path { below } else { &path }.to_owned(),
            Some(key) => key.replace("${filename}", "probe"),
            None => return Err(odd("a form without a key")),
        };
        let (style, name) = if in_path {
            (UrlStyle::Path, first.to_owned())
        } else {
            let (name, rest) = host.split_once('.').ok_or_else(|| odd("an address without a bucket"))?;
            endpoint.set_host(Some(rest)).map_err(|_| odd("an address without a bucket"))?;
            (UrlStyle::VirtualHost, name.to_owned())
        };
        // Such a key stands for the bucket itself or for one beside it, also in a request that deletes.
        if key.is_empty() || key.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(odd("a ticket whose key is no object's"));
        }
        // A host of one's own may be a bucket, or a storage with many: both are asked for a list.
        let aside =
            (put && !in_path && !below.is_empty()).then(|| ticket.url().join(&format!("/{first}/")).ok()).flatten();
        endpoint.set_path("/");
        let bucket = Bucket::new(endpoint, style, name, region).map_err(|_| odd("an address without a bucket"))?;
        Ok(Self { bucket, key, aside })
    }

    /// "uploads/7/ab.jpg in shop-media".
    #[must_use]
    pub fn name(&self) -> String {
        format!(
            "{} in {}",
            crate::domain::text::tame(&self.key, 120),
            crate::domain::text::tame(self.bucket.name(), 80)
        )
    }

    /// A question about the bucket itself (`?lifecycle`), signed by these keys.
    pub(super) fn question(&self, keys: &Keys, word: &str) -> Url {
        rusty_s3::signing::sign(
            &jiff::Timestamp::now(),
            rusty_s3::Method::Get,
            self.bucket.base_url().clone(),
            keys.0.key(),
            keys.0.secret(),
            keys.0.token(),
            self.bucket.region(),
            VALID.as_secs(),
            std::iter::once((word, "")),
            std::iter::empty(),
        )
    }

    /// Its address without any right.
    fn address(&self) -> Url {
        self.bucket.object_url(&self.key)
    }

    /// The status with which a stranger is answered, and the one for a list of the whole bucket.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn to_a_stranger(&self, http: &Http) -> Result<(u16, u16), ProbeError> {
        let object = http.ask(Method::GET, Ok(self.address())).bare().send_raw().await?;
        let list = async |mut bucket: Url| {
            bucket.set_query(Some("list-type=2&max-keys=1"));
            http.ask(Method::GET, Ok(bucket)).bare().send_raw().await
        };
        let status = list(self.bucket.base_url().clone()).await?.status;
        let Some(aside) = &self.aside else { return Ok((object.status, status)) };
        let beside = list(aside.clone()).await?;
        Ok((object.status, if beside.text().contains("<ListBucketResult") { beside.status } else { status }))
    }

    /// What the bucket answers to its owner who asks whether the object is there.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn status(&self, http: &Http, keys: &Keys) -> Result<u16, ProbeError> {
        let signed = HeadObject::new(&self.bucket, Some(&keys.0), &self.key).sign(VALID);
        Ok(http.ask(Method::HEAD, Ok(signed)).bare().send_raw().await?.status)
    }

    /// Removes it; false when the bucket did not let us.
    ///
    /// # Errors
    /// No answer in time.
    pub async fn remove(&self, http: &Http, keys: &Keys) -> Result<bool, ProbeError> {
        let signed = DeleteObject::new(&self.bucket, Some(&keys.0), &self.key).sign(VALID);
        let status = http.ask(Method::DELETE, Ok(signed)).bare().send_raw().await?.status;
        Ok((200..300).contains(&status) || status == 404)
    }
}

/// True when the bucket is the first part of the path and not of the host: at AWS's and R2's own addresses, and at one
/// without a name. Elsewhere it makes no difference to the object's address.
fn in_path(address: &Url) -> bool {
    match address.host() {
        Some(url::Host::Domain(host)) => {
            let account = host.strip_suffix(".r2.cloudflarestorage.com");
            host.starts_with("s3.")
                || host.starts_with("s3-")
                || !host.contains('.')
                || account.is_some_and(|account| !account.contains('.'))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(url: &str, key: &str) -> Ticket {
        let credential = "AKID/20261126/eu-central-1/s3/aws4_request";
        let form = serde_json::json!({ "url": url, "fields": { "key": key, "policy": "e30=", "x-amz-credential": credential } });
        Ticket::read(form.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn an_object_is_found_in_both_styles_of_address() {
        for (url, address) in [
            ("http://127.0.0.1:8333/shop-media", "http://127.0.0.1:8333/shop-media/uploads/7/a.jpg"),
            ("https://shop-media.s3.amazonaws.com/", "https://shop-media.s3.amazonaws.com/uploads/7/a.jpg"),
            (
                "https://s3.eu-central-1.amazonaws.com/shop-media",
                "https://s3.eu-central-1.amazonaws.com/shop-media/uploads/7/a.jpg",
            ),
        ] {
            let object = Object::of(&form(url, "uploads/7/a.jpg")).unwrap();
            assert_eq!(object.address().as_str(), address);
            assert_eq!((object.bucket.name(), object.bucket.region()), ("shop-media", "eu-central-1"));
            assert_eq!(object.name(), "uploads/7/a.jpg in shop-media");
        }
        for (url, address, key) in [
            ("http://127.0.0.1:8333/shop-media/uploads/7/a%20b.jpg", "shop-media", "uploads/7/a b.jpg"),
            ("https://shop-media.s3.amazonaws.com/uploads/7/a.jpg", "shop-media", "uploads/7/a.jpg"),
            ("https://s3.eu-central-1.amazonaws.com/shop-media/a.jpg", "shop-media", "a.jpg"),
            ("https://account.r2.cloudflarestorage.com/shop-media/a.jpg", "shop-media", "a.jpg"),
            ("https://shop-media.account.r2.cloudflarestorage.com/a.jpg", "shop-media", "a.jpg"),
        ] {
            let signed = format!("{url}?X-Amz-Credential=A%2F1%2Feu-central-1%2Fs3%2Faws4_request&X-Amz-Signature=0");
            let ticket = Ticket::read(serde_json::json!({ "url": signed }).to_string().as_bytes()).unwrap();
            let object = Object::of(&ticket).unwrap();
            assert_eq!((object.bucket.name(), object.key.as_str()), (address, key), "{url}");
            assert_eq!((object.address().as_str(), object.bucket.region()), (url, "eu-central-1"));
        }
        let named = Object::of(&form("https://b.s3.test/", "up/${filename}")).unwrap();
        assert_eq!(named.address().path(), "/up/probe");
    }

    #[test]
    fn a_key_that_is_no_object_s_is_never_used() {
        for key in ["", "..", "a/../../other-bucket/x", "./x", "a/."] {
            assert!(Object::of(&form("https://s3.test/bucket", key)).is_err(), "{key:?}");
        }
        assert!(Object::of(&form("https://localhost/", "a")).is_err(), "no bucket in the address");
    }
}
