//! One request of one user: filled in, sent, read to its last byte, judged, and what is to be kept of it kept.
//!
//! Knows nothing of phases or think time, and sends through whatever [`Transport`] it is given.

use std::collections::HashMap;
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

use super::answer::{self, CacheWord, Outcome};
use super::client::may_visit;
use super::extract;
use super::script::{Action, Payload, Script, SignIn};
use super::template::{Filling, Template};
use crate::domain::measurement::ErrorKind;

/// Bytes of a body that are kept for reading; the rest is read off the wire and dropped.
const KEPT: usize = 8 << 20;
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
    /// What it counts as.
    pub outcome: Outcome,
    /// What went wrong, for people.
    pub why: Option<String>,
    /// Names that were extracted.
    pub extracted: Vec<String>,
    /// The generator itself ran out of files or ports.
    pub local: bool,
    /// Bytes of the body, as far as it was read.
    pub bytes: u64,
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
            extracted: Vec::new(),
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
    /// The engine underneath failed.
    Engine(String),
}

impl fmt::Display for NotMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "nothing was extracted for {{{{{name}}}}}"),
            Self::Engine(why) => f.write_str(why),
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

/// A user: number, session, memory, dice.
#[derive(Debug)]
pub(super) struct Visitor<'a> {
    number: u32,
    script: &'a Script,
    target: &'a Url,
    client: Client,
    jar: Arc<Jar>,
    kept: HashMap<String, String>,
    /// The user's own dice; the same for the same seed.
    pub dice: SmallRng,
}

impl<'a> Visitor<'a> {
    /// A user with an empty session.
    pub fn new(number: u32, script: &'a Script, target: &'a Url, session: (Client, Arc<Jar>), seed: u64) -> Self {
        let (client, jar) = session;
        let dice = SmallRng::seed_from_u64(seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { number, script, target, client, jar, kept: HashMap::new(), dice }
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
        Ok((done, extract::hidden_field(&body, CSRF_FIELD)))
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
    ) -> Result<(Done, Vec<u8>), NotMade> {
        let path = self.fill(&action.path)?;
        let url = match self.target.join(&path) {
            Ok(url) if may_visit(self.target, &url) => url,
            Ok(url) => {
                let why = format!("{} is not the target; users do not go there", url.host_str().unwrap_or("it"));
                return Ok((Done::failed(due, ErrorKind::Assertion, why), Vec::new()));
            }
            Err(e) => {
                return Ok((Done::failed(due, ErrorKind::Assertion, format!("no URL: {e}")), Vec::new()));
            }
        };
        let keep = extra.keep;
        let request = self.request(action, &url, extra.fields)?;
        let endpoint = &self.script.endpoints[action.endpoint];
        let response = match transport.send(endpoint, request).await {
            Ok(response) => response,
            Err(SendError::Engine(why)) => return Err(NotMade::Engine(why)),
            Err(SendError::Http(error)) => {
                let failure = answer::failure(&error, false);
                let done = Done::failed(due, failure.kind, error.without_url().to_string());
                return Ok((Done { local: failure.local, ..done }, Vec::new()));
            }
        };
        Ok(self.read(action, keep, response, due).await)
    }

    /// Reads an answer to its end and judges it. The clock stops at the last byte, before anything is looked at.
    async fn read(&mut self, action: &Action, keep: bool, mut response: Response, due: Instant) -> (Done, Vec<u8>) {
        let first_byte = due.elapsed();
        let status = response.status().as_u16();
        let keep = keep || action.reads_body();
        let (mut body, mut bytes) = (Vec::new(), 0);
        let broken = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    bytes += chunk.len() as u64;
                    if keep && body.len() < KEPT {
                        body.extend_from_slice(&chunk);
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let latency = due.elapsed();
        let (mut outcome, mut why) = match &broken {
            Some(error) => (Outcome::Error(answer::failure(error, true).kind), Some("the body ended early".into())),
            None => (answer::judge(status, response.headers(), &action.expect), None),
        };
        let mut extracted = Vec::new();
        if outcome == Outcome::Success {
            match self.look(action, response.headers(), &body) {
                Ok(names) => extracted = names,
                Err(missing) => (outcome, why) = (Outcome::Error(ErrorKind::Assertion), Some(missing)),
            }
        } else if why.is_none() {
            why = Some(match outcome {
                Outcome::Blocked => format!("status {status}, answered by the edge instead of the app"),
                _ => format!("status {status}"),
            });
        }
        let cache = CacheWord::of(response.headers());
        (Done { status: Some(status), latency, first_byte, outcome, why, extracted, local: false, bytes, cache }, body)
    }

    /// Checks what must be in a body, keeps what is to be kept.
    fn look(&mut self, action: &Action, headers: &header::HeaderMap, body: &[u8]) -> Result<Vec<String>, String> {
        if let Some(expected) = &action.expect_text {
            let expected = self.fill(expected).map_err(|_| "the expected text could not be filled in".to_owned())?;
            if !extract::contains(body, &expected) {
                return Err(format!("the body lacks {expected:?}"));
            }
        }
        let found = extract::all(&action.extract, headers, body, &mut self.dice)?;
        let names = found.iter().map(|(name, _)| name.clone()).collect();
        self.kept.extend(found);
        Ok(names)
    }

    fn request(&mut self, action: &Action, url: &Url, extra: Vec<(String, String)>) -> Result<RequestBuilder, NotMade> {
        let mut request = self.client.request(action.method.clone(), url.clone());
        let script = self.script;
        for (name, text) in script.headers.iter().chain(&action.headers) {
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
        let mut fields = extra;
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
        Ok(match &action.payload {
            Payload::Empty => request,
            Payload::Form(_) => request.form(&fields),
            Payload::Json(text) => request.header(header::CONTENT_TYPE, "application/json").body(self.fill(text)?),
            Payload::File { field, content, content_type, .. } => {
                let form = fields.into_iter().fold(Form::new(), |form, (name, text)| form.text(name, text));
                let part = Part::bytes(content.clone()).file_name("upload");
                match part.mime_str(content_type) {
                    Ok(part) => request.multipart(form.part(field.clone(), part)),
                    Err(e) => return Err(NotMade::Engine(format!("the upload's content type: {e}"))),
                }
            }
        })
    }

    fn fill(&mut self, text: &Template) -> Result<String, NotMade> {
        text.fill(&mut Filling { user: self.number, kept: &self.kept, dice: &mut self.dice }).map_err(NotMade::Unknown)
    }
}

/// The value of a cookie that would be sent there.
fn cookie(jar: &Jar, url: &Url, name: &str) -> Option<String> {
    let header = jar.cookies(url)?;
    let pairs = header.to_str().ok()?;
    pairs.split("; ").find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}
