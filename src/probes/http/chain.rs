//! A chain of redirects, followed hop by hop as a browser would follow it, cookies included, but never off the site.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use url::Url;

use super::answer::Trail;
use super::assets::same_site;
use super::{Http, ProbeError};
use crate::domain::text::tame;

/// Hops after which browsers are near giving up (they do at 20); no healthy page needs half of them.
const HOPS: usize = 10;

/// Where a page led to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// Every address asked, the first one first, without queries.
    pub hops: Vec<String>,
    /// How it ended.
    pub end: End,
}

/// How a chain of redirects ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// An answer that is no redirect.
    Answered(Box<Trail>),
    /// The same address again.
    Loop,
    /// Still going on.
    Endless,
    /// To another site's host, which was not asked.
    Left(String),
    /// An address that did not answer.
    Unreachable(String),
}

impl Http {
    /// Follows redirects from here on.
    ///
    /// # Errors
    /// When the first address does not answer, or any answers with a challenge.
    pub async fn follow(&self, start: Url) -> Result<Chain, ProbeError> {
        let mut chain = Chain { hops: Vec::new(), end: End::Endless };
        let (mut at, mut seen) = (start, Vec::<Url>::new());
        // A site may send a visitor back to the same page once it has given him a cookie.
        let mut cookies: BTreeMap<String, String> = BTreeMap::new();
        for hop in 0..HOPS {
            chain.hops.push(shown(&at));
            let header = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join("; ");
            let mut ask = self.ask(Method::GET, Ok(at.clone()));
            if !header.is_empty() {
                ask = ask.header("cookie", header);
            }
            let answer = match ask.send().await {
                Ok(answer) => answer,
                Err(ProbeError::Challenged) => return Err(ProbeError::Challenged),
                Err(why) if hop == 0 => return Err(why),
                Err(why) => {
                    chain.end = End::Unreachable(why.to_string());
                    break;
                }
            };
            let to = (300..400).contains(&answer.status).then(|| answer.header("location")).flatten();
            let Some(to) = to.and_then(|to| at.join(&to).ok()) else {
                chain.end = End::Answered(Box::new(answer.trail()));
                break;
            };
            let fresh = answer.cookies().filter(|(n, v)| cookies.get(n) != Some(v)).count();
            cookies.extend(answer.cookies());
            seen.push(at);
            // With a cookie it did not have before, the same address is another question.
            if fresh == 0 && seen.contains(&to) {
                chain.hops.push(shown(&to));
                chain.end = End::Loop;
                break;
            }
            if !same_site(&to, &self.base) {
                chain.end = End::Left(tame(to.host_str().unwrap_or_default(), 120));
                break;
            }
            at = to;
        }
        Ok(chain)
    }
}

fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    tame(url.as_str(), 160)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer, server};
    use super::*;

    async fn follow(answers: &[String]) -> Chain {
        let (http, _) = server(answers).await;
        http.follow(http.base().clone()).await.unwrap()
    }

    #[tokio::test]
    async fn chains_end_or_are_found_out() {
        let to = |path: &str| answer("301 Moved", &format!("Location: {path}\r\n"), "");
        let page = || answer("200 OK", "cf-ray: 1-FRA\r\n", "hello");
        let chain = follow(&[to("/a/"), to("/b/?token=s3cret"), page()]).await;
        assert!(matches!(&chain.end, End::Answered(trail) if trail.status == 200 && trail.edge), "{chain:?}");
        assert!(chain.hops.len() == 3 && !format!("{chain:?}").contains("s3cret"), "{chain:?}");
        assert_eq!(follow(&[to("/")]).await.end, End::Loop);
        assert_eq!(follow(&[to("/a"), to("/a/"), to("/a")]).await.end, End::Loop);
        let endless: Vec<String> = (0..HOPS).map(|n| to(&format!("/{n}/"))).collect();
        assert_eq!(follow(&endless).await.end, End::Endless);
        assert_eq!(follow(&[to("https://login.other.test/x")]).await.end, End::Left("login.other.test".to_owned()));
        // A cookie that was asked for and given is no loop.
        let cookie = answer("302 Found", "Location: /\r\nSet-Cookie: lang=en\r\n", "");
        assert!(matches!(follow(&[cookie.clone(), page()]).await.end, End::Answered(_)));
        assert_eq!(follow(&[cookie.clone(), cookie]).await.end, End::Loop);
        // To a port where nobody listens.
        assert!(matches!(follow(&[to("http://127.0.0.1:9/")]).await.end, End::Unreachable(_)));
    }
}
