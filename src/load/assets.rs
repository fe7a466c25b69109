//! What a page links to, fetched as a browser would: in parallel, over the user's own connections, each file once.
//!
//! Counted apart and never part of a request's time: many fast files would hide a few slow pages.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use reqwest::RequestBuilder;
use url::Url;

use super::answer::{self, Outcome};
use super::body::{Body, Broken};
use super::request::Visitor;
use crate::domain::measurement::ErrorKind;

/// Connections that browsers open to one host over HTTP/1.1.
const AT_ONCE: usize = 6;

/// A file that was fetched, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// When its request left.
    pub left: Instant,
    /// Status, when there was one.
    pub status: Option<u16>,
    /// From then to the last byte.
    pub latency: Duration,
    /// From then to the headers.
    pub first_byte: Duration,
    /// Length, decoded.
    pub bytes: u64,
    /// What it counts as.
    pub outcome: Outcome,
}

impl Visitor<'_> {
    /// Fetches files that a page links to, each to its last byte. The client's timeout ends each of them.
    pub async fn fetch(&self, links: &[Url]) -> Vec<File> {
        let mut waiting = links.iter();
        let mut under_way = FuturesUnordered::new();
        let mut files = Vec::with_capacity(links.len());
        loop {
            while under_way.len() < AT_ONCE
                && let Some(link) = waiting.next()
            {
                under_way.push(one(self.file(link)));
            }
            match under_way.next().await {
                Some(file) => files.push(file),
                None => return files,
            }
        }
    }
}

async fn one(request: RequestBuilder) -> File {
    let left = Instant::now();
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            let latency = left.elapsed();
            let outcome = Outcome::Error(answer::failure(&error, false).kind);
            return File { left, status: None, latency, first_byte: latency, bytes: 0, outcome };
        }
    };
    let (first_byte, status) = (left.elapsed(), response.status().as_u16());
    let body = Body::read(&mut response, false).await;
    let outcome = match &body.broken {
        Some(Broken::Off(error)) => Outcome::Error(answer::failure(error, true).kind),
        Some(Broken::TooLong) => Outcome::Error(ErrorKind::Truncated),
        None => answer::judge(status, response.headers(), &[]),
    };
    File { left, status: Some(status), latency: left.elapsed(), first_byte, bytes: body.bytes, outcome }
}
