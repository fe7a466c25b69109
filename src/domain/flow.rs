//! What a virtual user does: weighted flows of named steps with think time between them.
//!
//! Only the words; `load` speaks them. Text in paths, headers, forms and bodies may hold `{{…}}`:
//! `{{user}}` the user's number from 0, `{{user.ip}}` an address of its own in 10.0.0.0/8 (for a practice edge that
//! trusts a client-address header), `{{random A B}}` a number from A to B, `{{FEEDER.COLUMN}}` (of a range: `{{FEEDER}}`)
//! a value that a feeder deals, `{{NAME}}` something extracted before.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fingerprint::digest;
pub use super::think::Think;

/// A journey through the site that a share of the users makes, over and over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// Its name in reports.
    pub name: String,
    /// How many users of the mix make it, against the other flows' weights.
    #[serde(default = "one")]
    pub weight: u32,
    /// Log in once, before the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// What happens, in order.
    #[serde(rename = "step")]
    pub steps: Vec<FlowStep>,
}

fn one() -> u32 {
    1
}

impl Flow {
    /// Time of a request when nothing is known yet, seconds: a third of the usual limit.
    const LATENCY: f64 = 0.1;

    /// Seconds that one pass takes on average on a fast site: a pause before every step that is not `at_once` (the first
    /// step of a pass always waits), and [`Flow::LATENCY`] a request.
    #[must_use]
    pub fn pass_seconds(&self, pauses: Pauses) -> f64 {
        let of = |(index, step): (usize, &FlowStep)| {
            let pause = match step.think {
                _ if step.at_once && index > 0 => 0.0,
                Some(own) => own.mean_seconds() * pauses.own,
                None => pauses.usual.mean_seconds(),
            };
            step.made() * (pause + Self::LATENCY)
        };
        self.steps.iter().enumerate().map(of).sum()
    }
}

/// How long the users of a ramp pause before a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pauses {
    /// Before a step that says nothing of its own.
    pub usual: Think,
    /// Factor on the pause that a step has of its own.
    pub own: f64,
}

/// Django's login form: get the page, read the hidden token, post name and password with cookie and Referer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Path of the form.
    pub path: String,
    /// User name; may hold `{{user}}`.
    pub username: String,
    /// Name of the environment variable that holds the test users' password.
    pub password_env: String,
}

/// One action: a request, what must come back, what to keep of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowStep {
    /// Endpoint name in reports; the path as written when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Path to GET. Exactly one of `get`, `post`, `put`, `patch`, `delete` and `presigned` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// Path to POST to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// Path to PUT to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub put: Option<String>,
    /// Path to PATCH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patch: Option<String>,
    /// Path to DELETE.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// Name of an earlier extract that holds a presigned-POST ticket, a JSON object with `url` and `fields` as boto3's
    /// `generate_presigned_post` makes it: `upload` is sent there with all of its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presigned: Option<String>,
    /// Query parameters, percent-encoded and added to the path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, String>,
    /// Extra request headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Form fields (urlencoded).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub form: BTreeMap<String, String>,
    /// A JSON body, as text or as an inline table; text from outside is escaped when it fills a hole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<Json>,
    /// A file of this many bytes as multipart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
    /// Send Django's CSRF token (cookie as header and form field, with Referer).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub csrf: bool,
    /// Statuses that are right; 200–399 when empty. Redirects are not followed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<u16>,
    /// Text the body must hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_text: Option<String>,
    /// Headers the answer must have, with a text that each must hold (ignoring case; empty: any value).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub expect_header: BTreeMap<String, String>,
    /// CSS selector that must match something in the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_select: Option<String>,
    /// JSON pointers with the value that must be there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub expect_json: BTreeMap<String, serde_json::Value>,
    /// Values to keep for later steps of this user, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extract: BTreeMap<String, Extract>,
    /// Make this step only in this share of the passes, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Go on at once instead of thinking first (a script's call right after its page).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
    /// Pause before this step; the gate's or the mix's when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub think: Option<Think>,
    /// Fetch what the page links to as a browser would: style sheets, scripts, images and icons of this site, in
    /// parallel, each once a user. They are counted apart and never part of p95: many fast files would hide slow pages.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub assets: bool,
}

/// A JSON body as written: its text, or the value itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Json {
    /// `json = '{"id": {{id}}}'`
    Text(String),
    /// `json = { id = "{{id}}" }`
    Value(serde_json::Value),
}

impl FlowStep {
    /// The name under which the step is counted.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        if self.name.is_empty() { self.path() } else { &self.name }
    }

    /// How often a pass makes it, on average.
    fn made(&self) -> f64 {
        self.share.unwrap_or(1.0)
    }

    /// The path as written; empty for a presigned upload, whose ticket says where, and for a step that settings refuse.
    #[must_use]
    pub fn path(&self) -> &str {
        self.request().map(|(_, path)| path).unwrap_or_default()
    }

    /// Method and path; none unless exactly one of the five is set.
    #[must_use]
    pub fn request(&self) -> Option<(Method, &str)> {
        let mut set = [
            (Method::Get, &self.get),
            (Method::Post, &self.post),
            (Method::Put, &self.put),
            (Method::Patch, &self.patch),
            (Method::Delete, &self.delete),
        ]
        .into_iter()
        .filter_map(|(method, path)| Some((method, path.as_deref()?)));
        let first = set.next()?;
        set.next().is_none().then_some(first)
    }
}

/// What a step does to its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Sends something new.
    Post,
    /// Replaces.
    Put,
    /// Changes a part.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    /// As HTTP writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A made-up file for a multipart form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Upload {
    /// Form field.
    pub field: String,
    /// Size in bytes.
    pub bytes: usize,
    /// Content type of the part.
    pub content_type: String,
}

/// Where a value is found in an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Extract {
    /// `{ css = { select = "a.product", attribute = "href" } }`: one random match among the first hundred.
    Css {
        /// CSS selector.
        select: String,
        /// Attribute to read; the element's text when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        attribute: Option<String>,
    },
    /// `{ json = "/results/0/id" }`: a JSON pointer (RFC 6901).
    Json(String),
    /// `{ header = "location" }`.
    Header(String),
    /// `{ cookie = "sessionid" }`: of the user's own jar after the answer.
    Cookie(String),
    /// `{ regex = 'data-id="(\d+)"' }`: the first group, or the whole match without one; the first match.
    Regex(String),
}

/// Rows that are dealt to users: from a file beside the settings, or whole numbers of a range.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Feeder {
    /// Its name; texts write `{{NAME.COLUMN}}`, and `{{NAME}}` for a range.
    pub name: String,
    /// A CSV file with a header line. Exactly one of `csv`, `jsonl` and `range` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csv: Option<String>,
    /// A file with one JSON object a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jsonl: Option<String>,
    /// First and last number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[u64; 2]>,
    /// To whom the rows go.
    #[serde(default)]
    pub deal: Deal,
    /// What happens behind the last row.
    #[serde(default)]
    pub end: AtEnd,
    /// The file's rows, read when the settings are. Part of the flows' digest: other rows are another load.
    #[serde(skip_deserializing)]
    #[schemars(skip)]
    pub rows: Rows,
}

/// To whom a feeder's rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deal {
    /// Each pass of any user takes the next row.
    #[default]
    Shared,
    /// Each user keeps one row of its own for the whole ramp.
    PerUser,
}

/// What happens when a feeder has no row left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AtEnd {
    /// From the first row again.
    #[default]
    Repeat,
    /// The ramp ends, and what it measured is invalid: each row may be used once.
    Stop,
}

/// A feeder's rows. They may hold test users' passwords, so nothing prints them.
#[derive(Clone, PartialEq, Default, Serialize)]
pub struct Rows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// One list of values a row, as long as the columns.
    pub values: Vec<Vec<String>>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} rows of {:?}", self.values.len(), self.columns)
    }
}

/// Everything a ramp plays: the flows and what all their requests share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mix {
    /// The flows, at least one.
    pub flows: Vec<Flow>,
    /// What their texts are fed from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feeders: Vec<Feeder>,
    /// Headers on every request; `{{…}}` allowed.
    pub headers: BTreeMap<String, String>,
    /// Pause between actions.
    pub think: Option<Think>,
    /// Hosts besides the target that presigned uploads may go to, `host` or `host:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upload_hosts: Vec<String>,
}

impl Mix {
    /// Pause used when neither the mix nor the gate says one: a reader's 5 to 10 seconds.
    pub const THINK: Think = Think::Even { least: Duration::from_secs(5), most: Duration::from_secs(10) };

    /// What a script for another engine was written from: these flows against this target, by this version.
    #[must_use]
    pub fn digest(&self, target: &url::Url) -> String {
        let written = (env!("CARGO_PKG_VERSION"), target.as_str(), self);
        // Plain structs, lists and maps with text keys: serde_json cannot refuse them.
        digest(&serde_json::to_vec(&written).unwrap_or_default())
    }

    /// Requests a second that one user makes on average, as far as they count.
    ///
    /// Users repeat their flow, so a flow of few or short pauses comes round more often: a user of it makes `requests of a
    /// pass ÷ seconds of a pass`, and users are shared out by weight. Nothing without a flow that has a weight.
    #[must_use]
    pub fn rate(&self, pauses: Pauses, counts: impl Fn(&FlowStep) -> bool) -> f64 {
        let of = |flow: &Flow| {
            let requests: f64 = flow.steps.iter().filter(|step| counts(step)).map(FlowStep::made).sum();
            let seconds = flow.pass_seconds(pauses);
            if seconds > 0.0 { f64::from(flow.weight) * requests / seconds } else { 0.0 }
        };
        let weights: f64 = self.flows.iter().map(|flow| f64::from(flow.weight)).sum();
        if weights > 0.0 { self.flows.iter().map(of).sum::<f64>() / weights } else { 0.0 }
    }

    /// The share of all requests that goes to one endpoint, 0 to 1.
    #[must_use]
    pub fn share_of(&self, endpoint: &str, pauses: Pauses) -> f64 {
        let all = self.rate(pauses, |_| true);
        if all > 0.0 { self.rate(pauses, |step| step.endpoint() == endpoint) / all } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(weight: u32, names: &[(&str, bool)]) -> Flow {
        let step = |(name, at_once): &(&str, bool)| FlowStep {
            name: (*name).into(),
            get: Some("/".into()),
            at_once: *at_once,
            ..FlowStep::default()
        };
        Flow { name: "f".into(), weight, login: None, steps: names.iter().map(step).collect() }
    }

    const USUAL: Pauses = Pauses { usual: Mix::THINK, own: 1.0 };

    #[test]
    fn an_endpoints_share_follows_weights_and_pauses() {
        let mix = Mix {
            flows: vec![flow(3, &[("a", false), ("b", false)]), flow(1, &[("c", false), ("d", true)])],
            ..Mix::default()
        };
        // A pass of the first flow takes 15.2 s and makes 2 requests, one of the second takes 7.7 s for as many.
        let (first, second) = (3.0 * 2.0 / 15.2, 2.0 / 7.7);
        assert!((mix.share_of("a", USUAL) - first / 2.0 / (first + second)).abs() < 1e-9);
        assert!((mix.share_of("d", USUAL) - second / 2.0 / (first + second)).abs() < 1e-9);
        assert!(mix.share_of("nowhere", USUAL).abs() < 1e-9);
        assert!((mix.rate(USUAL, |_| true) - (first + second) / 4.0).abs() < 1e-9);
        assert!(Mix::default().rate(USUAL, |_| true).abs() < 1e-9);
    }

    #[test]
    fn a_step_with_a_long_pause_of_its_own_makes_its_flow_rarer() {
        let mut mix = Mix { flows: vec![flow(1, &[("a", false)]), flow(1, &[("b", false)])], ..Mix::default() };
        assert!((mix.share_of("a", USUAL) - 0.5).abs() < 1e-9);
        mix.flows[1].steps[0].think = Some(Think::constant(Duration::from_secs(15)));
        assert!((mix.share_of("a", USUAL) - 15.1 / (15.1 + 7.6)).abs() < 1e-9);
        let hurried = Pauses { own: 0.5, ..USUAL };
        assert!((mix.rate(hurried, |_| true) - 1.0 / 7.6).abs() < 1e-9, "7.5 s, all the same by then");
        mix.flows[1].steps[0].at_once = true;
        assert!((mix.rate(hurried, |_| true) - 1.0 / 7.6).abs() < 1e-9, "the first step of a pass waits");
        mix.flows[1].steps[0].think = Some(Think::constant(Duration::ZERO));
        assert!(mix.share_of("b", USUAL) > 0.98, "no pause at all is no division by zero");
    }
}
