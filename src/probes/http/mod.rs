//! The way in through the front door: requests that follow no redirect, carry our name, and stop at a size and a time.
//!
//! Knows how to ask; what an answer's headers say is in [`answer`], what a page links to in [`assets`].

pub mod answer;
pub mod assets;
pub mod chain;
pub mod direct;
pub mod session;

use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use url::Url;

use crate::domain::ids::RunId;
use crate::domain::site::{Key, Site};

use super::ProbeError;
use answer::Answer;
use session::Session;

/// Longest wait for a whole answer.
pub const LIMIT: Duration = Duration::from_secs(20);
/// Bytes of a body that are read; what comes after is left unread.
pub const BODY_LIMIT: usize = 1 << 20;
/// Query parameter that makes an address new to every cache.
pub const NONCE: &str = "_probe";
/// The client address our probes show where `[site.probe_headers]` asks for one by `{{user.ip}}`: outside the range of
/// the load's users.
const PROBE_ADDRESS: &str = "198.18.0.1";

/// How long a connection waits to be used again. gunicorn closes one after two seconds: a request that meets the
/// closing gets no answer, which would say nothing about the site.
const IDLE: Duration = Duration::from_secs(1);

/// HTTP clients and addresses of one site.
#[derive(Debug)]
pub struct Http {
    /// Keeps connections, as a browser does.
    kept: Client,
    /// A new connection for every request, so that requests spread over an origin's processes.
    fresh: Client,
    /// Leaves bodies packed as they came, so that their encoding can be seen.
    packed: Client,
    base: Url,
    origin: Option<Url>,
    headers: Vec<(String, String)>,
    /// What the app knows the edge by: sent to the app's own address and nowhere else.
    key: Option<(HeaderName, HeaderValue)>,
}

impl Http {
    /// Clients for one site; nothing is contacted yet.
    ///
    /// # Errors
    /// When TLS roots are missing or a probe header is not a header.
    pub fn new(site: &Site, run: &RunId) -> Result<Self, ProbeError> {
        for (name, value) in &site.probe_headers {
            header(name, &render(value, PROBE_ADDRESS))?;
        }
        // Same encoding in every request: caches may keep one copy per encoding.
        let client = || {
            Client::builder()
                .user_agent(format!("rampup/{} (+probe {run})", env!("CARGO_PKG_VERSION")))
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(Duration::from_secs(5))
                .pool_idle_timeout(IDLE)
                .timeout(LIMIT)
        };
        let failed = |e| ProbeError::unreachable("HTTP", e);
        Ok(Self {
            kept: client().gzip(true).build().map_err(failed)?,
            fresh: client().gzip(true).pool_max_idle_per_host(0).build().map_err(failed)?,
            packed: client().gzip(false).build().map_err(failed)?,
            base: site.url.clone(),
            origin: site.origin.clone(),
            headers: site.probe_headers.iter().map(|(n, v)| (n.clone(), v.clone())).collect(),
            key: None,
        })
    }

    /// The same, with the key that opens the app's own address to the edge alone.
    ///
    /// # Errors
    /// When it cannot be sent as a header.
    pub fn keyed(mut self, site: &Site, secret: Option<&Key>) -> Result<Self, ProbeError> {
        let name = site.edge.as_ref().and_then(|edge| edge.secret_header.as_deref());
        if let (Some(name), Some(secret)) = (name, secret) {
            let bad = |_| ProbeError::NotGiven {
                what: format!("the value of {} cannot be sent in the header {name}", secret.variable),
                provide: "give the variable the header's plain value, without line breaks".to_owned(),
            };
            let (name, _) = header(name, "")?;
            let mut value = HeaderValue::from_str(secret.secret.expose()).map_err(|_| ()).map_err(bad)?;
            value.set_sensitive(true);
            self.key = Some((name, value));
        }
        Ok(self)
    }

    /// A GET on the address that users use.
    pub fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, join(&self.base, path))
    }

    /// A GET on the app itself where its own address is known, else on the address that users use.
    pub fn get_origin(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, join(self.origin.as_ref().unwrap_or(&self.base), path))
    }

    /// Any request at any address.
    pub fn ask(&self, method: Method, url: Result<Url, ProbeError>) -> Ask<'_> {
        Ask {
            http: self,
            method,
            url,
            headers: Vec::new(),
            cookies: String::new(),
            address: PROBE_ADDRESS.to_owned(),
            body: Body::None,
            fresh: false,
            packed: false,
            bare: false,
            client: None,
        }
    }

    /// The address that users use.
    #[must_use]
    pub fn base(&self) -> &Url {
        &self.base
    }
}

/// A request in the making. Holds cookies and tokens, so it is not shown whole.
#[must_use = "nothing is asked before `send`"]
pub struct Ask<'a> {
    http: &'a Http,
    method: Method,
    url: Result<Url, ProbeError>,
    headers: Vec<(String, String)>,
    cookies: String,
    address: String,
    body: Body,
    fresh: bool,
    packed: bool,
    bare: bool,
    client: Option<Client>,
}

impl std::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("method", &self.method).finish_non_exhaustive()
    }
}

enum Body {
    None,
    Form(Vec<(String, String)>),
    Multipart(Vec<(String, String)>, Vec<u8>),
    Bytes(Vec<u8>),
}

impl Ask<'_> {
    /// Makes the address new to every cache.
    pub fn nonce(mut self, nonce: &str) -> Self {
        if let Ok(url) = &mut self.url {
            url.query_pairs_mut().append_pair(NONCE, nonce);
        }
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Asks as a user who has signed in.
    pub fn session(mut self, session: Option<&Session>) -> Self {
        if let Some(session) = session {
            self.cookies = session.cookies();
        }
        self
    }

    /// Shows another client address where `[site.probe_headers]` asks for one.
    pub fn from_address(mut self, address: &str) -> Self {
        address.clone_into(&mut self.address);
        self
    }

    /// Takes a new connection.
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    /// Asks as browsers do for a packed body, and leaves it packed.
    pub fn packed(mut self) -> Self {
        self.packed = true;
        self.header("accept-encoding", "gzip, br, zstd")
    }

    /// Leaves the site's own probe headers out: for addresses that are not the site's.
    pub fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Asks through a client of its own.
    fn through(mut self, client: &Client) -> Self {
        self.client = Some(client.clone());
        self
    }

    /// Sends form fields.
    pub fn form(mut self, fields: Vec<(String, String)>) -> Self {
        self.body = Body::Form(fields);
        self
    }

    /// Sends fields and one file as multipart, the file last, as S3 wants it.
    pub fn upload(mut self, fields: Vec<(String, String)>, file: Vec<u8>) -> Self {
        self.body = Body::Multipart(fields, file);
        self
    }

    /// Sends these bytes as they are.
    pub fn body(mut self, bytes: Vec<u8>) -> Self {
        self.body = Body::Bytes(bytes);
        self
    }

    /// Asks. An edge's challenge is an error here: it says nothing about the page behind it.
    ///
    /// # Errors
    /// No connection, no whole answer in time, a challenge.
    pub async fn send(self) -> Result<Answer, ProbeError> {
        let answer = self.send_raw().await?;
        if answer.challenged() { Err(ProbeError::Challenged) } else { Ok(answer) }
    }

    /// Asks, and takes a challenge for an answer.
    ///
    /// # Errors
    /// No connection, no whole answer in time.
    pub async fn send_raw(self) -> Result<Answer, ProbeError> {
        let url = self.url?;
        let client = match (&self.client, self.packed, self.fresh) {
            (Some(own), ..) => own,
            (None, true, _) => &self.http.packed,
            (None, false, true) => &self.http.fresh,
            (None, false, false) => &self.http.kept,
        };
        let mut headers = HeaderMap::new();
        let site = self.http.headers.iter().filter(|_| !self.bare).map(|(n, v)| (n.as_str(), render(v, &self.address)));
        for (name, value) in site.chain(self.headers.iter().map(|(n, v)| (n.as_str(), v.clone()))) {
            let (name, value) = header(name, &value)?;
            headers.insert(name, value);
        }
        if !self.cookies.is_empty() {
            let (name, value) = header("cookie", &self.cookies)?;
            headers.insert(name, value);
        }
        let at_app = self.http.origin.as_ref().is_some_and(|origin| origin.origin() == url.origin());
        if let (Some((name, value)), true, false) = (&self.http.key, at_app, self.bare) {
            headers.insert(name, value.clone());
        }
        let request = client.request(self.method, url.clone()).headers(headers);
        let request = match self.body {
            Body::None => request,
            Body::Form(fields) => request.form(&fields),
            Body::Bytes(bytes) => request.body(bytes),
            Body::Multipart(fields, file) => {
                let form = fields.into_iter().fold(reqwest::multipart::Form::new(), |form, (n, v)| form.text(n, v));
                request.multipart(form.part("file", reqwest::multipart::Part::bytes(file).file_name("probe")))
            }
        };
        let began = Instant::now();
        let failed = |e: reqwest::Error| {
            if e.is_timeout() && !e.is_connect() {
                ProbeError::TimedOut { system: "the site", limit: LIMIT }
            } else {
                ProbeError::unreachable("the site", root(&e.without_url()))
            }
        };
        let mut response = request.send().await.map_err(failed)?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (mut body, mut whole) = (Vec::new(), true);
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            let room = BODY_LIMIT - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                whole = false;
                break;
            }
        }
        Ok(Answer::new(url, status, headers, body, whole, began.elapsed()))
    }
}

/// The innermost cause: reqwest's own words only say "error sending request".
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ProbeError> {
    let bad = |_| ProbeError::NotGiven {
        what: format!("{name:?} cannot be sent as a header"),
        provide: "write a plain header name and value in rampup.toml: [site.probe_headers]".to_owned(),
    };
    let value = HeaderValue::from_str(value).map_err(|_| ()).map_err(bad)?;
    Ok((HeaderName::from_bytes(name.as_bytes()).map_err(|_| ()).map_err(bad)?, value))
}

fn render(value: &str, address: &str) -> String {
    value.replace("{{user.ip}}", address)
}

/// A path of the site as an address. A path with a host of its own is refused: probes stay where the owner sent them.
fn join(base: &Url, path: &str) -> Result<Url, ProbeError> {
    let refused = || ProbeError::NotGiven {
        what: format!("{path:?} is not a path of {base}"),
        provide: "write paths in rampup.toml from the first slash on, like \"/account/\"".to_owned(),
    };
    let url = base.join(path).map_err(|_| refused())?;
    if url.origin() == base.origin() { Ok(url) } else { Err(refused()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::domain::secret::Secret;
    use crate::domain::site::{Account, Key};

    /// A site with nothing but an address.
    pub(crate) fn site(url: &str) -> Site {
        let site = serde_json::json!({
            "name": "x", "url": url, "health": "/healthz", "public_pages": [], "private_pages": [], "slow_endpoints": [],
            "queue": "celery", "probe_headers": { "x-client": "{{user.ip}}" },
        });
        serde_json::from_value(site).unwrap()
    }

    /// A server that gives each answer once, in turn, and keeps what it was asked.
    pub(crate) async fn server(answers: &[String]) -> (Http, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let mut answers: VecDeque<String> = answers.iter().cloned().collect();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = asked.clone();
        tokio::spawn(async move {
            while let Some(answer) = answers.pop_front() {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                let mut buffer = [0; 65536];
                loop {
                    let n = socket.read(&mut buffer).await.unwrap();
                    request.extend_from_slice(&buffer[..n]);
                    let text = String::from_utf8_lossy(&request).to_ascii_lowercase();
                    let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                    let length =
                        head.split("content-length: ").nth(1).and_then(|l| l.lines().next()?.parse().ok()).unwrap_or(0);
                    if n == 0 || body.len() >= length {
                        break;
                    }
                }
                kept.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
                // A client that has read enough may be gone already.
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        (Http::new(&site(&url), &RunId::from("run-1")).unwrap(), asked)
    }

    pub(crate) fn answer(status: &str, headers: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn a_request_carries_our_name_and_follows_no_redirect() {
        let (http, asked) = server(&[answer("302 Found", "Location: /login/\r\n", "")]).await;
        let answer = http.get("/a?b=1").nonce("n0").send().await.unwrap();
        assert_eq!((answer.status, answer.trail().location.as_deref()), (302, Some("/login/")));
        let asked = asked.lock().unwrap().join("");
        assert!(asked.starts_with("GET /a?b=1&_probe=n0 HTTP/1.1"), "{asked}");
        let name = format!("user-agent: rampup/{} (+probe run-1)", env!("CARGO_PKG_VERSION"));
        for line in [name.as_str(), "accept-encoding: gzip", "x-client: 198.18.0.1"] {
            assert!(asked.contains(line), "{line} in {asked}");
        }
    }

    #[tokio::test]
    async fn a_long_body_is_cut_and_a_challenge_is_no_answer() {
        let long = "x".repeat(BODY_LIMIT + 10_000);
        let challenge = answer("403 Forbidden", "cf-mitigated: challenge\r\n", "wait");
        let (http, _) = server(&[answer("200 OK", "", &long), challenge.clone(), challenge]).await;
        let cut = http.get("/").send().await.unwrap();
        assert_eq!((cut.body.len(), cut.whole), (BODY_LIMIT, false));
        assert_eq!(http.get("/").send().await.unwrap_err(), ProbeError::Challenged);
        assert_eq!(http.get("/").send_raw().await.unwrap().status, 403);
    }

    #[tokio::test]
    async fn a_packed_body_stays_packed() {
        let packed = answer("200 OK", "Content-Encoding: gzip\r\n", "not really gzip");
        let (http, asked) = server(&[packed]).await;
        let answer = http.get("/").packed().send().await.unwrap();
        assert_eq!((answer.header("content-encoding").as_deref(), answer.body.len()), (Some("gzip"), 15));
        assert!(asked.lock().unwrap()[0].contains("accept-encoding: gzip, br, zstd"));
    }

    #[tokio::test]
    async fn probes_stay_on_the_site() {
        let http = Http::new(&site("http://127.0.0.1:9/"), &RunId::from("r")).unwrap();
        for path in ["//other.test/x", "http://other.test/"] {
            assert!(matches!(http.get(path).send().await, Err(ProbeError::NotGiven { .. })), "{path}");
        }
        let refused = http.get("/").send().await.unwrap_err();
        assert!(refused.to_string().contains("refused"), "{refused}");
    }

    #[tokio::test]
    async fn a_user_signs_in_by_django_s_form() {
        let form = answer(
            "200 OK",
            "Set-Cookie: csrftoken=c00kie; Path=/\r\n",
            r#"<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="t0ken"></form>"#,
        );
        let welcome = answer("302 Found", "Location: /\r\nSet-Cookie: sessionid=s3ss; HttpOnly\r\n", "");
        let again = answer("200 OK", "", "wrong password");
        let (http, asked) = server(&[form.clone(), welcome, answer("200 OK", "", "hello"), form, again]).await;
        let account = Account { login: "/login/".to_owned(), username: "ann".to_owned() };
        let password = Key { variable: "PW".to_owned(), secret: Secret::new("geh&eim".to_owned()) };
        let session = http.sign_in(&account, &password).await.unwrap();
        http.get("/me").session(Some(&session)).send().await.unwrap();
        {
            let asked = asked.lock().unwrap();
            assert!(asked[1].contains("csrfmiddlewaretoken=t0ken&username=ann&password=geh%26eim"), "{}", asked[1]);
            assert!(asked[1].contains("cookie: csrftoken=c00kie") && asked[1].contains("referer: http://127.0.0.1"));
            assert!(asked[2].contains("cookie: csrftoken=c00kie; sessionid=s3ss"), "{}", asked[2]);
        }
        let refused = http.sign_in(&account, &password).await.unwrap_err().to_string();
        assert!(refused.contains("PW") && !refused.contains("geh"), "{refused}");
    }
}
