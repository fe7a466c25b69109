//! A user who visits the site: makes a request, reads its answer to the last byte, and says what came of it.
//!
//! Knows nothing of phases or think time. How a request is filled in stands in `visitor/request.rs`, what is looked
//! at in its answer in `visitor/look.rs`.

mod look;
mod request;
mod trace;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::SmallRng;
use url::Url;

pub(super) use self::trace::Trace;
use super::action::Action;
use super::answer::{self, CacheWord, Outcome};
use super::body::{self, Body, Broken};
use super::client::may_visit;
use super::feed::Rows;
use super::script::{Script, SignIn};
use super::wire::{Answer, Wire};
use crate::domain::login_form::LoginForm;
use crate::domain::measurement::ErrorKind;
use crate::domain::secret::Secret;
use crate::domain::text::tame;

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
}

impl fmt::Display for NotMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(f, "nothing was extracted for {{{{{name}}}}}"),
            Self::Dry(why) => f.write_str(why),
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
    /// Its connections and cookies.
    pub(super) wire: Wire,
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
    pub fn new(number: u32, script: &'a Script, target: &'a Url, wire: Wire, seed: u64) -> Self {
        let dice = SmallRng::seed_from_u64(seed ^ u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (kept, rows, has) = (HashMap::new(), Rows::default(), HashSet::new());
        Self { number, script, target, wire, kept, rows, has, dice, trace: None }
    }

    /// Begins another pass through its flow.
    pub fn begin_pass(&mut self) {
        self.script.feeds.begin_pass(&mut self.rows);
    }

    /// Makes one step, which should have left at `due`.
    pub async fn step(&mut self, action: &Action, due: Instant) -> Result<Done, NotMade> {
        Ok(self.exchange(action, Extra::default(), due).await?.0)
    }

    /// Gets the login form.
    pub async fn login_form(&mut self, login: &SignIn, due: Instant) -> Result<(Done, LoginForm), NotMade> {
        let (done, body) = self.exchange(&login.form, Extra { keep: true, ..Extra::default() }, due).await?;
        Ok((done, LoginForm::of(&String::from_utf8_lossy(&body.kept))))
    }

    /// Posts the login form.
    pub async fn sign_in(&mut self, login: &SignIn, form: &LoginForm, due: Instant) -> Result<Done, NotMade> {
        if let Some(action) = &form.action
            && let Ok((page, _)) = self.address(&login.post)?
            && page.join(action).is_ok_and(|url| url.path() != page.path() || !may_visit(&page, &url))
        {
            let why = format!("the form on this page is posted to {}: write that path at the login", tame(action, 80));
            return Ok(Done::failed(due, ErrorKind::Assertion, why));
        }
        let username = self.fill(&login.username)?;
        let password = self.script.passwords.get(&login.password_env).map(Secret::expose);
        let fields = form.filled(&username, password.unwrap_or_default());
        let (mut done, _) = self.exchange(&login.post, Extra { fields, keep: false }, due).await?;
        if done.status == Some(200) {
            done.why = Some("the form came back: wrong name or password of the test user".into());
        }
        Ok(done)
    }

    async fn exchange(&mut self, action: &Action, extra: Extra, due: Instant) -> Result<(Done, Body), NotMade> {
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
        let answer = match self.wire.send(request).await {
            Ok(answer) => answer,
            Err(fault) => {
                let failure = answer::failure(&fault);
                let done = Done::failed(due, failure.kind, answer::reason(&fault));
                return Ok((Done { local: failure.local, ..done }, Body::default()));
            }
        };
        Ok(self.read(action, &url, keep, answer, due).await)
    }

    /// Reads an answer to its end and judges it. The clock stops at the last byte, before anything is looked at.
    async fn read(&mut self, action: &Action, url: &Url, keep: bool, arrived: Answer, due: Instant) -> (Done, Body) {
        let first_byte = due.elapsed();
        let Answer { status, headers, body, deadline } = arrived;
        let status = status.as_u16();
        let keep = keep || action.reads_body();
        let body = Body::read(body, deadline, keep).await;
        let latency = due.elapsed();
        let (mut outcome, mut why) = match &body.broken {
            Some(Broken::Off(fault)) => {
                let why = format!("the body ended early: {}", answer::reason(fault));
                (Outcome::Error(answer::failure(fault).kind), Some(why))
            }
            Some(Broken::TooLong) => {
                let why = format!("the body went on over {} MiB, and was read no further", body::READ >> 20);
                (Outcome::Error(ErrorKind::Truncated), Some(why))
            }
            None if action.wants_a_page() && answer::turned_away(url, status, &headers) => {
                let why = "sent to a login, to come back here: give the flow a login; expect = [302] if that was meant";
                (Outcome::Error(ErrorKind::UnexpectedStatus), Some(why.to_owned()))
            }
            None => (answer::judge(status, &headers, &action.expect.statuses), None),
        };
        let mut links = Vec::new();
        if outcome == Outcome::Success {
            match self.look(action, url, &headers, &body) {
                Ok(found) => links = found,
                Err(missing) => (outcome, why) = (Outcome::Error(ErrorKind::Assertion), Some(missing)),
            }
        } else if why.is_none() {
            why = Some(match outcome {
                Outcome::Blocked => format!("status {status}, answered by the edge instead of the app"),
                _ => format!("status {status}"),
            });
        }
        let (bytes, cache) = (body.bytes, CacheWord::of(&headers));
        (Done { status: Some(status), latency, first_byte, bytes, cache, outcome, why, links, local: false }, body)
    }
}
