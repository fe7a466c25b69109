//! One request of one user: filled in, sent, read to its last byte, judged, and what is to be kept of it kept.
//!
//! Knows nothing of phases or think time, and sends through whatever [`Transport`] it is given.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use reqwest::cookie::{CookieStore, Jar};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder, Response, header};
use url::Url;

use super::action::{Action, Expected, Payload, Pick, To};
use super::answer::{self, CacheWord, Outcome};
use super::body::{self, Body, Broken};
use super::client::{may_upload, may_visit};
use super::extract::{self, Page};
use super::feed::Rows;
use super::script::{Script, SignIn};
use super::template::{Filling, Template, Unfilled, VEIL};
use crate::domain::measurement::ErrorKind;
use crate::domain::secret::{looks_like_a_key, sounds_secret};

/// Django's names for its token.
const CSRF_COOKIE: &str = "csrftoken";
const CSRF_FIELD: &str = "csrfmiddlewaretoken";
const CSRF_HEADER: &str = "x-csrftoken";

/// How a request leaves.
pub(super) trait Transport: Send {
    /// Sends it; answers when the headers are there.
    fn send(
        &mut self,
        endpoint: &str,
        request: RequestBuilder,
    ) -> impl Future<Output = Result<Response, SendError>> + Send;
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum SendError {
    /// The request failed.
    Http(reqwest::Error),
    /// The engine underneath failed; says nothing of the site.
    Engine(String),
}

/// A request that was made, or refused before it could be.
#[derive(Debug)]
pub(super) struct Done {
    /// Status, when there was one.
    pub status: Option<u16>,
    /// From when it should have left to the last byte.
    pub latency: Duration,
    /// From then to the headers.
    pub first_byte: Duration,
    /// Length of the body, decoded.
    pub bytes: u64,
    /// What it counts as.
    pub outcome: Outcome,
    /// What went wrong, for people.
    pub why: Option<String>,
    /// Files that the page links to and this user has not fetched yet.
    pub links: Vec<Url>,
    /// The generator itself ran out of files or ports.
    pub local: bool,
    /// What the edge says of its cache.
    pub cache: CacheWord,
}

impl Done {
    fn failed(since: Instant, kind: ErrorKind, why: String) -> Self {
        let latency = since.elapsed();
        Self {
            status: None,
            latency,
            first_byte: latency,
            outcome: Outcome::Error(kind),
            why: Some(why),
            links: Vec::new(),
            local: false,
            bytes: 0,
            cache: CacheWord::default(),
        }
    }

    /// True when the next step can follow.
    pub fn is_good(&self) -> bool {
        self.outcome == Outcome::Success
    }
}

/// Why a request was not made.
#[derive(Debug)]
pub(super) enum NotMade {
    /// It needs a value that no step of this user has extracted yet.
    Unknown(String),
    /// A feeder has no row left.
    Dry(String),
    /// The engine underneath failed.
    Engine(String),
}

impl fmt::Display for NotMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "nothing was extracted for {{{{{name}}}}}"),
            Self::Dry(why) | Self::Engine(why) => f.write_str(why),
        }
    }
}

/// What a request has beyond its action.
#[derive(Default)]
struct Extra {
    /// Form fields.
    fields: Vec<(String, String)>,
    /// Somebody wants the body.
    keep: bool,
}

/// What one request did, for eyes; kept only of a user that is watched. Holds no secret.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// GET, POST and so on.
    pub method: String,
    /// Path and query as sent; the whole address when it went elsewhere.
    pub path: String,
    /// Extracted values by name; none for one that nobody should see.
    pub values: Vec<(String, Option<String>)>,
    /// Extracted names whose values nobody should see.
    hidden: HashSet<String>,
}

/// A user: number, session, memory, dice.
#[derive(Debug)]
pub(super) struct Visitor<'a> {
    number: u32,
    script: &'a Script,
    target: &'a Url,
    client: Client,
    jar: Arc<Jar>,
    kept: HashMap<String, String>,
    rows: Rows,
    /// Addresses of files that it has.
    has: HashSet<Url>,
    /// The user's own dice; the same for the same seed.
    pub dice: SmallRng,
    /// What the last request did, if somebody watches.
    pub trace: Option<Trace>,
}

impl<'a> Visitor<'a> {
    /// A user with an empty session.
    pub fn new(number: u32, script: &'a Script, target: &'a Url, session: (Client, Arc<Jar>), seed: u64) -> Self {
        let (client, jar) = session;
        let dice = SmallRng::seed_from_u64(seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (kept, rows, has) = (HashMap::new(), Rows::default(), HashSet::new());
        Self { number, script, target, client, jar, kept, rows, has, dice, trace: None }
    }

    /// Begins another pass through its flow.
    pub fn begin_pass(&mut self) {
        self.script.feeds.begin_pass(&mut self.rows);
    }

    /// Makes one step, which should have left at `due`.
    pub async fn step<T: Transport>(
        &mut self,
        transport: &mut T,
        action: &Action,
        due: Instant,
    ) -> Result<Done, NotMade> {
        Ok(self.exchange(transport, action, Extra::default(), due).await?.0)
    }

    /// Gets Django's login form and the token in it.
    pub async fn login_form<T: Transport>(
        &mut self,
        transport: &mut T,
        login: &SignIn,
        due: Instant,
    ) -> Result<(Done, Option<String>), NotMade> {
        let (done, body) = self.exchange(transport, &login.form, Extra { keep: true, ..Extra::default() }, due).await?;
        Ok((done, extract::hidden_field(&body.kept, CSRF_FIELD)))
    }

    /// Posts the login form.
    pub async fn sign_in<T: Transport>(
        &mut self,
        transport: &mut T,
        login: &SignIn,
        token: Option<String>,
        due: Instant,
    ) -> Result<Done, NotMade> {
        let username = self.fill(&login.username)?;
        let password = self.script.passwords.get(&login.password_env).map(|p| p.expose().to_owned());
        let mut fields = vec![("username".to_owned(), username), ("password".to_owned(), password.unwrap_or_default())];
        fields.extend(token.map(|token| (CSRF_FIELD.to_owned(), token)));
        let (mut done, _) = self.exchange(transport, &login.post, Extra { fields, keep: false }, due).await?;
        if done.status == Some(200) {
            done.why = Some("the form came back: wrong name or password of the test user".into());
        }
        Ok(done)
    }

    async fn exchange<T: Transport>(
        &mut self,
        transport: &mut T,
        action: &Action,
        extra: Extra,
        due: Instant,
    ) -> Result<(Done, Body), NotMade> {
        let keep = extra.keep;
        let request = match self.address(action)? {
            Ok((url, ticket)) => {
                let fields = ticket.into_iter().chain(extra.fields).collect();
                self.request(action, &url, fields)?.map(|request| (url, request))
            }
            Err(why) => Err(why),
        };
        let (url, request) = match request {
            Ok(request) => request,
            Err(why) => return Ok((Done::failed(due, ErrorKind::Assertion, why), Body::default())),
        };
        let endpoint = &self.script.endpoints[action.endpoint];
        let response = match transport.send(endpoint, request).await {
            Ok(response) => response,
            Err(SendError::Engine(why)) => return Err(NotMade::Engine(why)),
            Err(SendError::Http(error)) => {
                let failure = answer::failure(&error, false);
                let done = Done::failed(due, failure.kind, answer::reason(&error));
                return Ok((Done { local: failure.local, ..done }, Body::default()));
            }
        };
        Ok(self.read(action, &url, keep, response, due).await)
    }

    /// Where a request goes, and the fields that a ticket adds; or why it goes nowhere.
    #[expect(clippy::type_complexity, reason = "two ways to fail: not now, and not at all")]
    fn address(&mut self, action: &Action) -> Result<Result<(Url, Vec<(String, String)>), String>, NotMade> {
        if let Some(trace) = &mut self.trace {
            (trace.method, trace.path) = (action.method.to_string(), String::new());
            trace.values.clear();
        }
        let (path, query) = match &action.to {
            To::Path(path, query) => (path, query),
            To::Ticket(name) => {
                let ticket = self.kept.get(name).ok_or_else(|| NotMade::Unknown(name.clone()))?;
                let address = super::ticket::read(ticket).and_then(|(url, fields)| {
                    may_upload(self.target, &self.script.upload_hosts, &url).map(|()| (url, fields))
                });
                if let (Some(trace), Ok((url, _))) = (&mut self.trace, &address) {
                    trace.path = format!("{}{}", url.origin().ascii_serialization(), url.path());
                }
                return Ok(address);
            }
        };
        let dice = self.dice.clone();
        let path_text = self.fill(path)?;
        let pairs: Vec<_> =
            query.iter().map(|(name, text)| Ok((name, self.fill(text)?))).collect::<Result<_, NotMade>>()?;
        let url = self.target.join(&path_text).map_err(|e| format!("no URL: {e}")).map(|mut url| {
            if !pairs.is_empty() {
                url.query_pairs_mut().extend_pairs(pairs);
            }
            url
        });
        if self.trace.is_some() {
            self.show(path, query, dice);
        }
        Ok(url.and_then(|url| {
            if may_visit(self.target, &url) {
                return Ok((url, Vec::new()));
            }
            Err(format!("{} is not the target; users do not go there", url.host_str().unwrap_or("it")))
        }))
    }

    /// Keeps for eyes what was sent: the same text by the same dice, without the secrets in it.
    fn show(&mut self, path: &Template, query: &[(String, Template)], mut dice: SmallRng) {
        let Some(trace) = &mut self.trace else { return };
        let mut filling = Filling {
            user: self.number,
            kept: &self.kept,
            dice: &mut dice,
            feeds: &self.script.feeds,
            rows: Some(&mut self.rows),
            hide: Some(&trace.hidden),
        };
        // What was just filled for the wire can be filled again.
        let mut shown = path.fill(&mut filling).unwrap_or_default();
        for (name, text) in query {
            let value = text.fill(&mut filling).unwrap_or_default();
            shown.push(if shown.contains('?') { '&' } else { '?' });
            shown.push_str(&format!("{name}={value}"));
        }
        trace.path = veiled(&shown);
    }

    /// Reads an answer to its end and judges it. The clock stops at the last byte, before anything is looked at.
    async fn read(
        &mut self,
        action: &Action,
        url: &Url,
        keep: bool,
        mut response: Response,
        due: Instant,
    ) -> (Done, Body) {
        let first_byte = due.elapsed();
        let status = response.status().as_u16();
        let keep = keep || action.reads_body();
        let body = Body::read(&mut response, keep).await;
        let latency = due.elapsed();
        let (mut outcome, mut why) = match &body.broken {
            Some(Broken::Off(error)) => {
                let why = format!("the body ended early: {}", answer::reason(error));
                (Outcome::Error(answer::failure(error, true).kind), Some(why))
            }
            Some(Broken::TooLong) => {
                let why = format!("the body went on over {} MiB, and was read no further", body::READ >> 20);
                (Outcome::Error(ErrorKind::Truncated), Some(why))
            }
            None => (answer::judge(status, response.headers(), &action.expect.statuses), None),
        };
        let mut links = Vec::new();
        if outcome == Outcome::Success {
            match self.look(action, url, response.headers(), &body) {
                Ok(found) => links = found,
                Err(missing) => (outcome, why) = (Outcome::Error(ErrorKind::Assertion), Some(missing)),
            }
        } else if why.is_none() {
            why = Some(match outcome {
                Outcome::Blocked => format!("status {status}, answered by the edge instead of the app"),
                _ => format!("status {status}"),
            });
        }
        let (bytes, cache) = (body.bytes, CacheWord::of(response.headers()));
        (Done { status: Some(status), latency, first_byte, bytes, cache, outcome, why, links, local: false }, body)
    }

    /// Checks what must be there, keeps what is to be kept, finds what is to be fetched.
    fn look(
        &mut self,
        action: &Action,
        url: &Url,
        headers: &header::HeaderMap,
        body: &Body,
    ) -> Result<Vec<Url>, String> {
        if body.cut && action.reads_body() {
            return Err(format!("the body is too large to be looked at (over {} MiB)", body::KEPT >> 20));
        }
        let expect = &action.expect;
        let unfilled = |_| "what is expected could not be filled in".to_owned();
        for (name, text) in &expect.headers {
            let text = self.fill(text).map_err(unfilled)?.to_ascii_lowercase();
            let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).peekable();
            if values.peek().is_none() {
                return Err(format!("the answer has no header {name}"));
            }
            if !values.any(|value| value.to_ascii_lowercase().contains(&text)) {
                return Err(format!("the header {name} lacks {text:?}"));
            }
        }
        if let Some(text) = &expect.text {
            let text = self.fill(text).map_err(unfilled)?;
            if !extract::contains(&body.kept, &text) {
                return Err(format!("the body lacks {text:?}"));
            }
        }
        let mut page = Page::new(headers, &body.kept);
        if let Some((written, selector)) = &expect.select
            && !page.selects(selector)
        {
            return Err(format!("nothing in the body matches {written:?}"));
        }
        for (at, expected) in &expect.json {
            let Some(found) = page.at(at) else { return Err(format!("there is nothing at {at:?} in the answer")) };
            let (right, wanted) = match expected {
                Expected::Value(value) => (extract::same(found, value), value.to_string()),
                Expected::Text(text) => {
                    let text = self.fill(text).map_err(unfilled)?;
                    (extract::plain(found).as_deref() == Some(&text), format!("{text:?}"))
                }
            };
            if !right {
                return Err(format!("at {at:?} the answer does not have {wanted}"));
            }
        }
        for (name, pick) in &action.extract {
            let found = page.pick(pick, &mut self.dice, |name| cookie(&self.jar, url, name));
            let value = found.ok_or_else(|| format!("{name:?} was not found in the answer"))?;
            self.keep(name, pick, value);
        }
        let mut links = if action.assets { page.links(url) } else { Vec::new() };
        links.retain(|link| may_visit(self.target, link) && self.has.insert(link.clone()));
        Ok(links)
    }

    fn keep(&mut self, name: &str, pick: &Pick, value: String) {
        if let Some(trace) = &mut self.trace {
            let secret = pick.is_secret() || sounds_secret(name) || looks_like_a_key(&value) || {
                // A ticket signs what it lets in.
                value.contains("signature") || value.contains("Signature")
            };
            if secret {
                trace.hidden.insert(name.to_owned());
            } else {
                trace.hidden.remove(name);
            }
            trace.values.push((name.to_owned(), (!secret).then(|| value.clone())));
        }
        self.kept.insert(name.to_owned(), value);
    }

    /// The request as it leaves; or why it cannot be built.
    fn request(
        &mut self,
        action: &Action,
        url: &Url,
        mut fields: Vec<(String, String)>,
    ) -> Result<Result<RequestBuilder, String>, NotMade> {
        let mut request = self.client.request(action.method.clone(), url.clone());
        // A stranger's store gets what its ticket says and nothing of ours.
        let ours = may_visit(self.target, url);
        for (name, text) in self.script.headers.iter().filter(|_| ours).chain(&action.headers) {
            request = request.header(name, self.fill(text)?);
        }
        let token = action.csrf.then(|| cookie(&self.jar, url, CSRF_COOKIE)).flatten();
        if action.csrf {
            // Over HTTPS Django looks where a post comes from.
            request = request.header(header::REFERER, url.as_str());
        }
        if let Some(token) = &token {
            request = request.header(CSRF_HEADER, token);
        }
        if let Payload::Form(texts) | Payload::File { fields: texts, .. } = &action.payload {
            for (name, text) in texts {
                fields.push((name.clone(), self.fill(text)?));
            }
        }
        if let Some(token) = token
            && !fields.iter().any(|(name, _)| name == CSRF_FIELD)
        {
            fields.push((CSRF_FIELD.to_owned(), token));
        }
        Ok(Ok(match &action.payload {
            Payload::Empty => request,
            Payload::Form(_) => request.form(&fields),
            Payload::Json(text) => request.header(header::CONTENT_TYPE, "application/json").body(self.fill(text)?),
            Payload::File { field, content, content_type, .. } => {
                let form = fields.into_iter().fold(Form::new(), |form, (name, text)| form.text(name, text));
                match Part::bytes(content.clone()).file_name("upload").mime_str(content_type) {
                    Ok(part) => request.multipart(form.part(field.clone(), part)),
                    Err(e) => return Ok(Err(format!("the upload's content type: {e}"))),
                }
            }
        }))
    }

    fn fill(&mut self, text: &Template) -> Result<String, NotMade> {
        let feeds = &self.script.feeds;
        let filled = text.fill(&mut Filling {
            user: self.number,
            kept: &self.kept,
            dice: &mut self.dice,
            feeds,
            rows: Some(&mut self.rows),
            hide: None,
        });
        filled.map_err(|why| match why {
            Unfilled::Unknown(name) => NotMade::Unknown(name),
            Unfilled::Dry => NotMade::Dry(feeds.dry().unwrap_or("a feeder ran dry").to_owned()),
        })
    }

    /// A plain GET of a file that a page links to.
    pub(super) fn file(&self, url: &Url) -> RequestBuilder {
        let headers = self.script.common_headers(self.number);
        self.client.get(url.clone()).headers(headers)
    }
}

/// A path without the values of parameters that sound secret.
fn veiled(path: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if sounds_secret(name) || looks_like_a_key(value) => format!("{name}={VEIL}"),
        _ => pair.to_owned(),
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

/// The value of a cookie that would be sent there.
fn cookie(jar: &Jar, url: &Url, name: &str) -> Option<String> {
    let header = jar.cookies(url)?;
    let pairs = header.to_str().ok()?;
    pairs.split("; ").find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}
