//! A user's own wire to the site: a request goes out, its answer comes in. Cookies and connections are the user's.
//!
//! It is put together from the parts that reqwest is made of, as reqwest does it. What is left out is what no user
//! needs: layers that follow redirects, repeat requests and parse the address three more times for it took half of
//! a request's instructions (`docs/peers.md`). reqwest still writes the requests: forms, files, credentials.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use reqwest::cookie::{CookieStore, Jar};
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Body, Method, RequestBuilder, StatusCode};
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};
use tower_http::decompression::{Decompression, DecompressionBody};
use tower_service::Service;
use url::Url;

use super::BoxFuture;

/// Sent by every user, so that a site's logs can tell who came.
const USER_AGENT: HeaderValue = HeaderValue::from_static(concat!("rampup/", env!("CARGO_PKG_VERSION")));
/// Idle connections are kept this long; browsers keep them about as long.
const IDLE: Duration = Duration::from_secs(90);
/// A connection is probed after this long without a word, and so often, so many times.
const KEEPALIVE: (Duration, u32) = (Duration::from_secs(15), 3);

type Connector = HttpsConnector<HttpConnector<Names>>;

/// Sends one user's requests.
#[derive(Debug)]
pub(super) struct Wire {
    http: Decompression<Client<Connector, Body>>,
    /// Writes requests, sends none.
    writer: reqwest::Client,
    jar: Jar,
    timeout: Duration,
}

/// What all wires share.
#[derive(Debug, Clone)]
pub(super) struct Wires {
    connector: Connector,
    writer: reqwest::Client,
    timeout: Duration,
}

/// An answer whose headers have come.
pub(super) struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// What is still to be read, unpacked on the way.
    pub body: DecompressionBody<Incoming>,
    /// When it must be whole.
    pub deadline: Instant,
}

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub(super) enum Fault {
    /// It took longer than it may.
    Late,
    /// The request cannot be written.
    Unwritten(reqwest::Error),
    /// No headers came.
    Unanswered(legacy::Error),
    /// The body broke off, or cannot be unpacked.
    Broken(Box<dyn Error + Send + Sync>),
}

impl Wires {
    /// With these TLS settings; names that are `pinned` have the addresses that are given with them. A request may take
    /// `timeout`, to its last byte.
    pub fn new(
        tls: ClientConfig,
        pinned: Vec<(String, Vec<SocketAddr>)>,
        timeout: Duration,
    ) -> Result<Self, reqwest::Error> {
        let writer = reqwest::Client::builder().tls_backend_preconfigured(tls.clone()).no_proxy().build()?;
        let mut tcp = HttpConnector::new_with_resolver(Names { pinned: pinned.into(), others: GaiResolver::new() });
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE.0));
        tcp.set_keepalive_interval(Some(KEEPALIVE.0));
        tcp.set_keepalive_retries(Some(KEEPALIVE.1));
        Ok(Self { connector: (tcp, tls).into(), writer, timeout })
    }

    /// One with an empty cookie jar. Redirects are answers, not followed.
    pub fn build(&self) -> Wire {
        let http = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(self.connector.clone());
        let http = Decompression::new(http).no_deflate().no_br().no_zstd();
        Wire { http, writer: self.writer.clone(), jar: Jar::default(), timeout: self.timeout }
    }
}

impl Wire {
    /// A request to be filled in.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        self.writer.request(method, url)
    }

    /// Sends a request with the user's cookies; answers when the headers are there, and keeps the cookies among them.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answer, Fault> {
        let deadline = Instant::now() + self.timeout;
        let request = request.build().map_err(Fault::Unwritten)?;
        let url = request.url().clone();
        let mut request = Request::try_from(request).map_err(Fault::Unwritten)?;
        let headers = request.headers_mut();
        headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
        headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let header::Entry::Vacant(free) = headers.entry(header::COOKIE)
            && let Some(cookies) = self.jar.cookies(&url)
        {
            free.insert(cookies);
        }
        let sent = timeout_at(deadline, self.http.clone().call(request)).await;
        let (head, body) = sent.map_err(|_| Fault::Late)?.map_err(Fault::Unanswered)?.into_parts();
        let mut cookies = head.headers.get_all(header::SET_COOKIE).iter().peekable();
        if cookies.peek().is_some() {
            self.jar.set_cookies(&mut cookies, &url);
        }
        Ok(Answer { status: head.status, headers: head.headers, body, deadline })
    }

    /// The value of a cookie that would be sent there.
    pub fn cookie(&self, url: &Url, name: &str) -> Option<String> {
        let header = self.jar.cookies(url)?;
        let pairs = header.to_str().ok()?;
        pairs.split("; ").find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    }
}

/// Addresses of names: the pinned ones, and the system's for others.
#[derive(Debug, Clone)]
struct Names {
    pinned: Arc<[(String, Vec<SocketAddr>)]>,
    others: GaiResolver,
}

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.others.poll_ready(cx)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        if let Some((_, addresses)) = self.pinned.iter().find(|(pinned, _)| pinned == name.as_str()) {
            return Box::pin(std::future::ready(Ok(addresses.clone().into_iter())));
        }
        let found = self.others.call(name);
        Box::pin(async move { Ok(found.await?.collect::<Vec<_>>().into_iter()) })
    }
}
