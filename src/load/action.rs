//! One step of a flow made ready: texts parsed, selectors and expressions compiled. What cannot be played is refused.

use std::collections::BTreeMap;

use regex::bytes::Regex;
use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue};
use scraper::Selector;
use serde_json::Value;

use super::feed::Feeds;
use super::template::Template;
use crate::domain::flow::{self, Extract, FlowStep, Json, Think, Upload};
use crate::domain::secret::sounds_secret;

/// One request and what must come back.
#[derive(Debug)]
pub(super) struct Action {
    /// Index into the script's endpoints.
    pub endpoint: usize,
    /// GET, POST and so on.
    pub method: Method,
    /// Where it goes.
    pub to: To,
    /// Headers of this request alone.
    pub headers: Vec<(HeaderName, Template)>,
    /// What is sent.
    pub payload: Payload,
    /// Send Django's token.
    pub csrf: bool,
    /// What must come back.
    pub expect: Expect,
    /// What to keep.
    pub extract: Vec<(String, Pick)>,
    /// Share of the passes that make it.
    pub share: Option<f64>,
    /// No thinking before it.
    pub at_once: bool,
    /// Pause before it, when it has one of its own.
    pub think: Option<Think>,
    /// Fetch what the page links to.
    pub assets: bool,
}

/// Where a request goes.
#[derive(Debug)]
pub(super) enum To {
    /// A path or a whole URL, and query parameters to add.
    Path(Template, Vec<(String, Template)>),
    /// Where the ticket that was extracted under this name says.
    Ticket(String),
}

/// What must come back.
#[derive(Debug, Default)]
pub(super) struct Expect {
    /// Right statuses; 200 to 399 when empty.
    pub statuses: Vec<u16>,
    /// Headers that must be there, with a text that each must hold.
    pub headers: Vec<(HeaderName, Template)>,
    /// Text that must be in the body.
    pub text: Option<Template>,
    /// Selector that must match, as written and compiled.
    pub select: Option<(String, Selector)>,
    /// JSON pointers and what must be there.
    pub json: Vec<(String, Expected)>,
}

/// What must be at a JSON pointer.
#[derive(Debug)]
pub(super) enum Expected {
    /// A text with holes: compared with the value as text.
    Text(Template),
    /// This very value.
    Value(Value),
}

/// Names and values of a form's fields; a shop may name one after what is bought.
pub(super) type Fields = Vec<(Template, Template)>;

/// A request's body.
#[derive(Debug)]
pub(super) enum Payload {
    /// None.
    Empty,
    /// Urlencoded fields.
    Form(Fields),
    /// JSON.
    Json(Template),
    /// Multipart: the fields, then the file (object stores ignore fields after it).
    File {
        /// Text fields.
        fields: Fields,
        /// Name of the file's field.
        field: String,
        /// Its content.
        content: Vec<u8>,
        /// Its type.
        content_type: String,
    },
}

/// Where a value is.
#[derive(Debug)]
pub(super) enum Pick {
    /// Matches of a selector: an attribute, or the text; with the selector as written.
    Css(Selector, Option<String>, String),
    /// A JSON pointer.
    Json(String),
    /// A header.
    Header(HeaderName),
    /// A cookie of the user's jar.
    Cookie(String),
    /// The first match of an expression, or its first group.
    Regex(Regex),
}

impl Action {
    /// Makes a step ready; `endpoint` numbers its name.
    pub fn new(step: &FlowStep, feeds: &Feeds, endpoint: impl FnOnce(&str) -> usize) -> Result<Self, String> {
        let (method, to) = to(step, feeds)?;
        Ok(Self {
            endpoint: endpoint(step.endpoint()),
            method,
            to,
            headers: headers(&step.headers, feeds)?,
            payload: payload(step, feeds)?,
            csrf: step.csrf,
            expect: expect(step, feeds)?,
            extract: step
                .extract
                .iter()
                .map(|(name, e)| Ok((name.clone(), Pick::new(e)?)))
                .collect::<Result<_, String>>()?,
            share: step.share,
            at_once: step.at_once,
            think: step.think,
            assets: step.assets,
        })
    }

    /// True when it asks for a page and says nothing of the status.
    pub fn wants_a_page(&self) -> bool {
        self.method == Method::GET && self.expect.statuses.is_empty()
    }

    /// True when the body must be kept for what follows; otherwise it is read and thrown away.
    pub fn reads_body(&self) -> bool {
        let expect = &self.expect;
        self.assets
            || expect.text.is_some()
            || expect.select.is_some()
            || !expect.json.is_empty()
            || self.extract.iter().any(|(_, pick)| !matches!(pick, Pick::Header(_) | Pick::Cookie(_)))
    }

    /// Names that must have been extracted before this can be made.
    pub fn needs(&self) -> impl Iterator<Item = &str> {
        let fields: &[(Template, Template)] = match &self.payload {
            Payload::Form(fields) | Payload::File { fields, .. } => fields,
            Payload::Empty | Payload::Json(_) => &[],
        };
        let json = match &self.payload {
            Payload::Json(text) => Some(text),
            _ => None,
        };
        let (path, query, ticket) = match &self.to {
            To::Path(path, query) => (Some(path), query.as_slice(), None),
            To::Ticket(name) => (None, &[][..], Some(name.as_str())),
        };
        let expected = self.expect.json.iter().filter_map(|(_, expected)| match expected {
            Expected::Text(text) => Some(text),
            Expected::Value(_) => None,
        });
        path.into_iter()
            .chain(query.iter().map(|(_, text)| text))
            .chain(fields.iter().flat_map(|(name, text)| [name, text]))
            .chain(self.headers.iter().chain(&self.expect.headers).map(|(_, text)| text))
            .chain(json)
            .chain(&self.expect.text)
            .chain(expected)
            .flat_map(Template::needs)
            .chain(ticket)
    }
}

fn to(step: &FlowStep, feeds: &Feeds) -> Result<(Method, To), String> {
    if let Some(ticket) = &step.presigned {
        if step.request().is_some() || step.upload.is_none() {
            return Err(format!(
                "step {:?} is presigned: its ticket says where, so it has an upload and no path",
                step.endpoint()
            ));
        }
        return Ok((Method::POST, To::Ticket(ticket.clone())));
    }
    let (method, path) = step.request().ok_or_else(|| {
        format!("step {:?} must have exactly one of get, post, put, patch, delete and presigned", step.endpoint())
    })?;
    let method = match method {
        flow::Method::Get => Method::GET,
        flow::Method::Post => Method::POST,
        flow::Method::Put => Method::PUT,
        flow::Method::Patch => Method::PATCH,
        flow::Method::Delete => Method::DELETE,
    };
    Ok((method, To::Path(Template::parse(path, feeds)?, texts(&step.query, feeds)?)))
}

fn expect(step: &FlowStep, feeds: &Feeds) -> Result<Expect, String> {
    let select = step.expect_select.as_ref().map(|select| Ok::<_, String>((select.clone(), selector(select)?)));
    let json = step.expect_json.iter().map(|(at, value)| {
        let expected = match value {
            Value::String(text) => Expected::Text(Template::parse(text, feeds)?),
            other => Expected::Value(other.clone()),
        };
        Ok((pointer(at)?, expected))
    });
    Ok(Expect {
        statuses: step.expect.clone(),
        headers: headers(&step.expect_header, feeds)?,
        text: step.expect_text.as_deref().map(|text| Template::parse(text, feeds)).transpose()?,
        select: select.transpose()?,
        json: json.collect::<Result<_, String>>()?,
    })
}

fn payload(step: &FlowStep, feeds: &Feeds) -> Result<Payload, String> {
    let parse = |text: &String| Template::parse(text, feeds);
    let fields = step.form.iter().map(|(name, text)| Ok((parse(name)?, parse(text)?)));
    let fields = fields.collect::<Result<Fields, String>>()?;
    if step.get.is_some() && (!fields.is_empty() || step.json.is_some() || step.upload.is_some()) {
        return Err(format!("step {:?} is a get with a body; make it a post", step.endpoint()));
    }
    Ok(match (&step.json, &step.upload) {
        (Some(_), _) if step.upload.is_some() || !fields.is_empty() => {
            return Err(format!("step {:?} has json and a form; a body is one of them", step.endpoint()));
        }
        (Some(Json::Text(json)), _) => Payload::Json(Template::json(json, feeds)?),
        (Some(Json::Value(json)), _) => Payload::Json(Template::json(&json.to_string(), feeds)?),
        (None, Some(upload)) => Payload::File {
            fields,
            field: upload.field.clone(),
            content: made_up_file(upload),
            content_type: upload.content_type.clone(),
        },
        // A token needs a form to travel in where Django reads forms, even when nothing else does.
        (None, None) if fields.is_empty() && !(step.csrf && step.post.is_some()) => Payload::Empty,
        (None, None) => Payload::Form(fields),
    })
}

/// Bytes that begin like what they claim to be, so that a server that looks is content.
fn made_up_file(upload: &Upload) -> Vec<u8> {
    let start: &[u8] = match upload.content_type.as_str() {
        "image/jpeg" => b"\xff\xd8\xff\xe0\x00\x10JFIF\x00",
        "image/png" => b"\x89PNG\r\n\x1a\n",
        "image/gif" => b"GIF89a",
        "application/pdf" => b"%PDF-1.7\n",
        _ => b"",
    };
    let filler = (0..).map(|i: usize| b'a' + u8::try_from(i % 26).unwrap_or_default());
    start.iter().copied().chain(filler).take(upload.bytes).collect()
}

impl Pick {
    /// True when what it finds is a key by where it stands.
    pub fn is_secret(&self) -> bool {
        match self {
            Self::Cookie(_) => true,
            Self::Header(name) => sounds_secret(name.as_str()),
            Self::Json(pointer) => sounds_secret(pointer),
            Self::Css(_, _, written) => sounds_secret(written),
            Self::Regex(expression) => sounds_secret(expression.as_str()),
        }
    }

    /// Makes an extract ready.
    pub fn new(extract: &Extract) -> Result<Self, String> {
        Ok(match extract {
            Extract::Css { select, attribute } => Self::Css(selector(select)?, attribute.clone(), select.clone()),
            Extract::Json(at) => Self::Json(pointer(at)?),
            Extract::Header(name) => Self::Header(name.parse().map_err(|_| no_header(name))?),
            Extract::Cookie(name) => Self::Cookie(name.clone()),
            Extract::Regex(text) => {
                Self::Regex(Regex::new(text).map_err(|_| format!("{text:?} is not a regular expression"))?)
            }
        })
    }
}

fn selector(text: &str) -> Result<Selector, String> {
    Selector::parse(text).map_err(|_| format!("{text:?} is not a CSS selector"))
}

fn pointer(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(format!("{text:?} is not a JSON pointer; write for example /results/0/id"))
}

fn no_header(name: &str) -> String {
    format!("{name:?} is not the name of a header")
}

fn texts(written: &BTreeMap<String, String>, feeds: &Feeds) -> Result<Vec<(String, Template)>, String> {
    written.iter().map(|(name, text)| Ok((name.clone(), Template::parse(text, feeds)?))).collect()
}

/// Names and values of headers made ready.
pub(super) fn headers(
    written: &BTreeMap<String, String>,
    feeds: &Feeds,
) -> Result<Vec<(HeaderName, Template)>, String> {
    written
        .iter()
        .map(|(name, text)| {
            let header = name.parse().map_err(|_| no_header(name))?;
            if HeaderValue::from_str(text).is_err() {
                return Err(format!("the value of header {name:?} holds characters that no header may hold"));
            }
            Ok((header, Template::parse(text, feeds)?))
        })
        .collect()
}
