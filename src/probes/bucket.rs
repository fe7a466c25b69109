//! A bucket as a stranger meets it: does it tell the names of what lies in it?

use reqwest::Method;
use serde::{Deserialize, Serialize};
use url::Url;

use super::ProbeError;
use super::http::Http;
use super::http::assets::bare_bucket;
use crate::domain::text::tame;

/// Times a bucket may say that it is somewhere else: from the old global address to its region, and once more.
const MOVES: usize = 2;

/// What one address answered to the question what lies there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// The address, with the question.
    pub address: String,
    /// Status.
    pub status: u16,
    /// The storage's own word: "AccessDenied".
    pub code: Option<String>,
    /// It told names.
    pub listed: bool,
    /// Where it says that the bucket is, when nobody was asked there.
    pub moved: Option<String>,
}

/// Asks in both of S3's ways what lies at an address; follows the bucket to its region.
///
/// # Errors
/// When an address does not answer or answers with a challenge.
pub async fn list(http: &Http, root: &Url) -> Result<Vec<Asked>, ProbeError> {
    let mut asked = Vec::new();
    // One key is enough to know, and a bucket may hold a million.
    for question in ["list-type=2&max-keys=1", "max-keys=1", ""] {
        let mut url = root.clone();
        url.set_query(Some(question).filter(|q| !q.is_empty()));
        asked.push(ask(http, url).await?);
    }
    Ok(asked)
}

async fn ask(http: &Http, mut url: Url) -> Result<Asked, ProbeError> {
    for last in (0..=MOVES).rev() {
        let answer = http.ask(Method::GET, Ok(url.clone())).bare().send().await?;
        let text = answer.text();
        let location = answer.header("location").and_then(|to| url.join(&to).ok());
        let endpoint = between(&text, "Endpoint").and_then(|host| {
            let mut to = url.clone();
            to.set_host(Some(&host)).ok()?;
            Some(to)
        });
        let moved = (300..400).contains(&answer.status).then(|| endpoint.or(location)).flatten();
        match moved {
            // Only to a storage's own address: a redirect to a page is no region.
            Some(to) if last > 0 && bare_bucket(&to) => url = to,
            moved => {
                return Ok(Asked {
                    address: tame(url.as_str(), 200),
                    status: answer.status,
                    code: between(&text, "Code"),
                    listed: answer.status == 200 && lists(&text),
                    moved: moved.and_then(|to| to.host_str().map(|host| tame(host, 120))),
                });
            }
        }
    }
    Err(ProbeError::odd("the bucket", "it is always somewhere else"))
}

/// S3 and its kin, Azure, and servers that make a page of what lies in a folder.
fn lists(text: &str) -> bool {
    ["<ListBucketResult", "<ListAllMyBucketsResult", "<EnumerationResults", "<title>Index of /"]
        .iter()
        .any(|sign| text.contains(sign))
}

fn between(text: &str, tag: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!("<{tag}>"))?;
    Some(tame(rest.split_once(&format!("</{tag}>"))?.0.trim(), 120))
}

#[cfg(test)]
mod tests {
    use super::super::http::tests::{answer, server};
    use super::*;

    #[tokio::test]
    async fn a_bucket_lists_denies_or_is_elsewhere() {
        let denied = answer("403 Forbidden", "", "<Error><Code>AccessDenied</Code></Error>");
        let listing = answer("200 OK", "", "<?xml?><ListBucketResult><Name>b</Name></ListBucketResult>");
        let elsewhere =
            answer("301 Moved", "", "<Error><Code>PermanentRedirect</Code><Endpoint>shop.test</Endpoint></Error>");
        let page = answer("200 OK", "", "<title>Shop</title>");
        let (http, seen) = server(&[denied, listing, elsewhere]).await;
        let asked = list(&http, http.base()).await.unwrap();
        assert_eq!((asked[0].status, asked[0].code.as_deref(), asked[0].listed), (403, Some("AccessDenied"), false));
        assert!(asked[1].listed);
        // Not a storage's own address: nobody is asked there.
        assert_eq!((asked[2].moved.as_deref(), asked[2].listed), (Some("shop.test"), false));
        assert!(seen.lock().unwrap()[0].starts_with("GET /?list-type=2&max-keys=1 HTTP/1.1"));
        let (http, _) = server(&[page.clone(), page.clone(), page]).await;
        assert!(list(&http, http.base()).await.unwrap().iter().all(|a| !a.listed && a.code.is_none()));
    }
}
