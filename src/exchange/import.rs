//! From a browser's recording to one flow: the site's own requests in order, with their pauses and without secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use url::Url;

use super::har::{self, Entry};
use super::{ExchangeError, body, secrets};
use crate::domain::flow::{Flow, FlowStep, Login, Think};
use crate::domain::text::tame;

/// A longer pause is somebody fetching coffee, not reading.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A script's call that follows sooner belongs to its page.
const AT_ONCE_MS: f64 = 1000.0;
/// A page that follows sooner was a redirect.
const REDIRECT_MS: f64 = 100.0;
/// The variable that will hold the test users' password, unless the settings name one.
const PASSWORD_ENV: &str = "TEST_PASSWORD";

/// A flow, and what it lacks of the recording.
#[derive(Debug)]
pub struct Imported {
    /// The flow.
    pub flow: Flow,
    /// What was left out or changed, one sentence each.
    pub notes: Vec<String>,
}

/// Turns the text of a HAR file into a flow of requests to `host` (`shop.example` or `shop.example:8000`; the host of the
/// first page when absent). A login's password will be looked for in the variable `password_env`.
///
/// # Errors
/// When it is no HAR file, or holds no request of the site.
pub fn import(
    text: &str,
    name: &str,
    host: Option<&str>,
    password_env: Option<&str>,
) -> Result<Imported, ExchangeError> {
    let log = har::read(text)?;
    let host = match host {
        Some(host) => host.to_ascii_lowercase(),
        None => first_page(&log.entries).ok_or(ExchangeError::NoHost)?,
    };
    let password_env = password_env.unwrap_or(PASSWORD_ENV).to_owned();
    let mut reader = Reader { password_env, ..Reader::default() };
    for entry in &log.entries {
        reader.take(entry, &host);
    }
    if reader.steps.is_empty() && reader.login.is_none() {
        let others: Vec<_> = reader.elsewhere.keys().map(|host| tame(host, 80)).collect();
        let others = if others.is_empty() { "nobody".to_owned() } else { others.join(", ") };
        return Err(ExchangeError::NoRequest { host: tame(&host, 80), others });
    }
    if reader.steps.is_empty() {
        // A flow needs a step; the page behind the form is the nearest.
        reader.notes.push("the recording holds a login alone; a step that gets / was added".into());
        reader.steps.push(FlowStep { get: Some("/".into()), ..FlowStep::default() });
    }
    let notes = reader.all_notes();
    Ok(Imported { flow: Flow { name: name.to_owned(), weight: 1, login: reader.login, steps: reader.steps }, notes })
}

fn first_page(entries: &[Entry]) -> Option<String> {
    let page = entries.iter().find(|entry| is_page(entry)).or_else(|| entries.first())?;
    authority(&Url::parse(&page.request.url).ok()?)
}

/// `host` or `host:port` when the port is not the scheme's own.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

fn is_page(entry: &Entry) -> bool {
    match entry.resource_type.as_str() {
        "" => {
            let accepts = entry
                .request
                .headers
                .iter()
                .any(|h| h.name.eq_ignore_ascii_case("accept") && h.value.starts_with("text/html"));
            accepts || entry.response.content.mime_type.starts_with("text/html")
        }
        kind => kind == "document",
    }
}

fn is_static(entry: &Entry, url: &Url) -> bool {
    let kinds = ["stylesheet", "script", "image", "font", "media", "manifest", "texttrack"];
    let endings = [
        ".css",
        ".js",
        ".mjs",
        ".map",
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".svg",
        ".webp",
        ".avif",
        ".ico",
        ".woff",
        ".woff2",
        ".ttf",
        ".otf",
        ".mp4",
        ".webm",
        ".mp3",
        ".webmanifest",
    ];
    let mime = entry.response.content.mime_type.to_ascii_lowercase();
    let path = url.path().to_ascii_lowercase();
    let by_mime = ["image/", "font/", "video/", "audio/", "text/css", "text/javascript", "application/javascript"];
    entry.request.method == "GET"
        && (kinds.contains(&entry.resource_type.as_str())
            || endings.iter().any(|ending| path.ends_with(ending))
            || by_mime.iter().any(|kind| mime.starts_with(kind)))
}

#[derive(Default)]
struct Reader {
    steps: Vec<FlowStep>,
    login: Option<Login>,
    password_env: String,
    /// Milliseconds since the epoch at which the last kept request ended.
    ended: Option<f64>,
    /// Requests to other hosts, by host.
    elsewhere: BTreeMap<String, usize>,
    /// Requests left out for another reason, by reason.
    dropped: BTreeMap<&'static str, usize>,
    secrets: BTreeSet<String>,
    notes: Vec<String>,
    header_names: BTreeSet<String>,
}

impl Reader {
    fn take(&mut self, entry: &Entry, host: &str) {
        let Some((url, place)) = Url::parse(&entry.request.url).ok().and_then(|url| authority(&url).map(|a| (url, a)))
        else {
            return self.drop("addresses that are none (data:, blob:, about:)");
        };
        if matches!(url.scheme(), "ws" | "wss") || entry.resource_type == "websocket" {
            return self.drop("websockets");
        }
        if place != host {
            *self.elsewhere.entry(place).or_default() += 1;
            return;
        }
        if is_static(entry, &url) {
            return self.drop("static files");
        }
        if !(100..600).contains(&entry.response.status) {
            return self.drop("requests without an answer");
        }
        if url.path().starts_with("//") {
            return self.drop("paths that begin with // and would lead to another host");
        }
        let mut step = FlowStep::default();
        let path = Some(self.path(&url));
        match entry.request.method.as_str() {
            "GET" => step.get = path,
            "POST" => step.post = path,
            "PUT" => step.put = path,
            "PATCH" => step.patch = path,
            "DELETE" => step.delete = path,
            _ => return self.drop("requests of other methods (HEAD, OPTIONS, …)"),
        }
        let sent = entry.request.post_data.as_ref().filter(|_| step.get.is_none());
        let sent = sent.map(|data| body::read(data, entry.request.body_size)).unwrap_or_default();
        if self.is_login(&sent, entry, &url) {
            return;
        }
        self.query(&url, &mut step);
        self.headers(entry, &mut step);
        let at = format!("step {} ({})", self.steps.len() + 1, tame(step.endpoint(), 80));
        self.notes.extend(sent.notes.iter().map(|note| format!("{at}: {}", tame(note, 200))));
        self.secrets.extend(sent.secrets);
        (step.form, step.json, step.upload) = (sent.form, sent.json, sent.upload);
        step.csrf = (step.csrf || sent.csrf) && step.get.is_none();
        if step.name.is_empty() {
            step.name = pattern(step.path(), &entry.request.method);
        }
        let status = u16::try_from(entry.response.status).unwrap_or_default();
        if status >= 400 {
            self.notes.push(format!("{at}: answered {status} in the recording, and that is what is expected now"));
        }
        if status >= 400 || (status >= 300 && step.get.is_none()) {
            step.expect = vec![status];
        }
        self.pause(entry, &mut step);
        self.steps.push(step);
    }

    fn drop(&mut self, why: &'static str) {
        *self.dropped.entry(why).or_default() += 1;
    }

    /// A post of Django's login form becomes the flow's login; the form's own page before it goes, the login gets it.
    fn is_login(&mut self, sent: &body::Body, entry: &Entry, url: &Url) -> bool {
        // Django's own names, or those with a prefix that form libraries put before them.
        let field = |ends: &[&str]| {
            sent.form
                .iter()
                .find(|(name, _)| ends.iter().any(|end| name.to_ascii_lowercase().ends_with(end)))
                .map(|f| f.1)
        };
        let username = field(&["username", "login", "email"]);
        let (Some(username), Some(_)) = (username, field(&["password"])) else { return false };
        if !sent.csrf || entry.request.method != "POST" || self.login.is_some() {
            return false;
        }
        let path = url.path().to_owned();
        if self.steps.last().is_some_and(|last| last.get.as_deref() == Some(path.as_str())) {
            self.steps.pop();
        }
        if !self.steps.is_empty() {
            let before = self.steps.len();
            self.notes.push(format!("the login moved to the front: {before} recorded steps came before it"));
        }
        self.notes.push(format!(
            "every user logs in as {:?}: write a name with {{{{user}}}} to tell them apart; set {} to the password",
            tame(username, 80),
            self.password_env
        ));
        self.login = Some(Login { path, username: username.clone(), password_env: self.password_env.clone() });
        self.ended = Some(end_of(entry));
        true
    }

    /// The path without its query, keys taken out.
    fn path(&mut self, url: &Url) -> String {
        let mut before = String::new();
        let mut parts = Vec::new();
        for segment in url.path().split('/') {
            if secrets::in_path(&before, segment) {
                let (text, column) = secrets::stand_in(&format!("path {before}"));
                self.secrets.insert(column);
                parts.push(text);
            } else {
                parts.push(segment.replace("{{", "%7B%7B"));
            }
            if !segment.is_empty() {
                segment.clone_into(&mut before);
            }
        }
        parts.join("/")
    }

    fn query(&mut self, url: &Url, step: &mut FlowStep) {
        for (name, value) in url.query_pairs().into_owned() {
            let at = step.query.contains_key(&name);
            let shown = tame(&name, 60);
            if at {
                self.notes.push(format!("the parameter {shown:?} came more than once; only its first value was kept"));
            } else if secrets::by_name(&name) || secrets::by_looks(&value) {
                let (text, column) = secrets::stand_in(&name);
                self.secrets.insert(column);
                step.query.insert(name, text);
            } else if value.contains("{{") {
                self.notes.push(format!("the parameter {shown:?} was left out: its {{{{ would be read as a hole"));
            } else {
                step.query.insert(name, value);
            }
        }
    }

    /// Headers of the page's own scripts stay; those a browser adds by itself go.
    fn headers(&mut self, entry: &Entry, step: &mut FlowStep) {
        for header in &entry.request.headers {
            let name = header.name.to_ascii_lowercase();
            let kinds = ["x-", "hx-"];
            let ours = kinds.iter().any(|kind| name.starts_with(kind))
                || matches!(name.as_str(), "authorization" | "idempotency-key")
                || (name == "accept" && header.value.starts_with("application/"));
            if name == "x-csrftoken" {
                step.csrf = true;
            } else if name == "x-forwarded-for" || name == "x-client-data" {
                self.header_names.insert(name);
            } else if ours && (secrets::by_name(&name) || secrets::by_looks(&header.value)) {
                let (text, column) = secrets::stand_in(&name);
                self.secrets.insert(column);
                step.headers.insert(name, text);
            } else if ours && !header.value.contains("{{") && !header.value.chars().any(char::is_control) {
                step.headers.insert(name, header.value.clone());
            } else if !name.starts_with(':') && !name.starts_with("sec-") {
                self.header_names.insert(name);
            }
        }
    }

    fn pause(&mut self, entry: &Entry, step: &mut FlowStep) {
        let started = begin_of(entry);
        let gap = self.ended.map(|ended| started - ended);
        self.ended = Some(self.ended.unwrap_or(f64::MIN).max(end_of(entry)));
        let Some(gap) = gap else { return };
        let at_once = if is_page(entry) { REDIRECT_MS } else { AT_ONCE_MS };
        if gap < at_once {
            step.at_once = true;
            return;
        }
        let mut pause = Duration::from_millis(100).mul_f64((gap / 100.0).round());
        if pause > LONGEST_PAUSE {
            self.notes.push(format!(
                "a pause of {:.0} s before {:?} was cut to 60 s",
                gap / 1000.0,
                tame(step.endpoint(), 80)
            ));
            pause = LONGEST_PAUSE;
        }
        step.think = Some(Think::constant(pause));
    }

    fn all_notes(&mut self) -> Vec<String> {
        let count = |n: usize, what: &str| format!("{n} {what}");
        let mut left: Vec<String> = self.dropped.iter().map(|(why, n)| count(*n, why)).collect();
        left.extend(self.elsewhere.iter().map(|(host, n)| count(*n, &format!("requests to {}", tame(host, 80)))));
        let mut notes = Vec::new();
        if !left.is_empty() {
            notes.push(format!("left out: {}", left.join(", ")));
        }
        if !self.header_names.is_empty() {
            let names: Vec<_> = self.header_names.iter().map(|name| tame(name, 40)).collect();
            notes.push(format!("headers left out (the browser's own): {}", names.join(", ")));
        }
        if !self.secrets.is_empty() {
            let columns: Vec<_> = self.secrets.iter().map(String::as_str).collect();
            notes.push(format!(
                "secrets were replaced by {{{{secrets.NAME}}}}: make a feeder named secrets with the columns {}, or take the \
                 values from an earlier answer (extract = …)",
                columns.join(", ")
            ));
        }
        notes.append(&mut self.notes);
        notes
    }
}

fn begin_of(entry: &Entry) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^53")]
    let begin = entry.started_date_time.as_millisecond() as f64;
    begin
}

fn end_of(entry: &Entry) -> f64 {
    begin_of(entry) + if entry.time.is_finite() { entry.time.max(0.0) } else { 0.0 }
}

/// A name under which requests that differ only in a number are counted together; empty when the path will do.
fn pattern(path: &str, method: &str) -> String {
    let number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    let parts: Vec<_> = path.split('/').map(|part| if number(part) { "ID" } else { part }).collect();
    let pattern = parts.join("/");
    match method {
        "GET" if pattern == path => String::new(),
        "GET" => pattern,
        _ => format!("{method} {pattern}"),
    }
}
