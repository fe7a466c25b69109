//! What a page links to, fetched as a browser would: in parallel, over the user's own connections, each file once.
//!
//! Counted apart and never part of a request's time: many fast files would hide a few slow pages.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use url::Url;

use super::answer::{self, Outcome};
use super::body::{Body, Broken};
use super::visitor::Visitor;
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
    /// Fetches files that a page links to, each to its last byte. The wire's timeout ends each of them.
    pub async fn fetch(&self, links: &[Url]) -> Vec<File> {
        let mut waiting = links.iter();
        let mut under_way = FuturesUnordered::new();
        let mut files = Vec::with_capacity(links.len());
        loop {
            while under_way.len() < AT_ONCE
                && let Some(link) = waiting.next()
            {
                under_way.push(self.file(link));
            }
            match under_way.next().await {
                Some(file) => files.push(file),
                None => return files,
            }
        }
    }

    async fn file(&self, link: &Url) -> File {
        let left = Instant::now();
        let request = self.plain_get(link);
        let answer = match self.wire.send(request).await {
            Ok(answer) => answer,
            Err(fault) => {
                let latency = left.elapsed();
                let outcome = Outcome::Error(answer::failure(&fault).kind);
                return File { left, status: None, latency, first_byte: latency, bytes: 0, outcome };
            }
        };
        let (first_byte, status) = (left.elapsed(), answer.status.as_u16());
        let body = Body::read(answer.body, answer.deadline, false).await;
        let outcome = match &body.broken {
            Some(Broken::Off(fault)) => Outcome::Error(answer::failure(fault).kind),
            Some(Broken::TooLong) => Outcome::Error(ErrorKind::Truncated),
            None => answer::judge(status, &answer.headers, &[]),
        };
        File { left, status: Some(status), latency: left.elapsed(), first_byte, bytes: body.bytes, outcome }
    }
}
