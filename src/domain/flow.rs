//! What a virtual user does: weighted flows of named steps with think time between them.
//!
//! Only the words; `load` speaks them. Text in paths, headers, forms and bodies may hold `{{…}}`:
//! `{{user}}` the user's number from 0, `{{user.ip}}` an address of its own in 10.0.0.0/8 (for a practice edge that
//! trusts a client-address header), `{{random A B}}` a number from A to B, `{{NAME}}` something extracted before.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::units::{parse_duration, show_duration};

/// A pause drawn evenly between two bounds, written `5s-10s` (or `5s` for a constant).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Think {
    /// Shortest pause.
    pub least: Duration,
    /// Longest pause.
    pub most: Duration,
}

impl Think {
    /// Mean pause in seconds.
    #[must_use]
    pub fn mean_seconds(&self) -> f64 {
        f64::midpoint(self.least.as_secs_f64(), self.most.as_secs_f64())
    }
}

impl TryFrom<String> for Think {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (least, most) = text.split_once('-').unwrap_or((&text, &text));
        let think = Self {
            least: parse_duration(least).map_err(|e| e.to_string())?,
            most: parse_duration(most).map_err(|e| e.to_string())?,
        };
        if think.least > think.most {
            return Err(format!("think time {text:?} runs backwards; write the shorter pause first"));
        }
        Ok(think)
    }
}

impl From<Think> for String {
    fn from(think: Think) -> String {
        think.to_string()
    }
}

impl fmt::Display for Think {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", show_duration(self.least), show_duration(self.most))
    }
}

/// A journey through the site that a share of the users makes, over and over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// Django's login form: get the page, read the hidden token, post name and password with cookie and Referer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowStep {
    /// Endpoint name in reports; the path as written when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Path to GET. Exactly one of `get` and `post` is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub get: Option<String>,
    /// Path to POST to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// Extra request headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Form fields (urlencoded).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub form: BTreeMap<String, String>,
    /// A JSON body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
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
    /// Values to keep for later steps of this user, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub extract: BTreeMap<String, Extract>,
    /// Make this step only in this share of the passes, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// Go on at once instead of thinking first (a script's call right after its page).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_once: bool,
}

impl FlowStep {
    /// The name under which the step is counted.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        if self.name.is_empty() { self.path() } else { &self.name }
    }

    /// The path as written; empty when neither `get` nor `post` is set, which settings refuse.
    #[must_use]
    pub fn path(&self) -> &str {
        self.get.as_deref().or(self.post.as_deref()).unwrap_or_default()
    }
}

/// A made-up file for a multipart form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// Everything a ramp plays: the flows and what all their requests share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Mix {
    /// The flows, at least one.
    pub flows: Vec<Flow>,
    /// Headers on every request; `{{…}}` allowed.
    pub headers: BTreeMap<String, String>,
    /// Pause between actions.
    pub think: Option<Think>,
}

impl Mix {
    /// Pause used when neither the mix nor the gate says one: a reader's 5 to 10 seconds.
    pub const THINK: Think = Think { least: Duration::from_secs(5), most: Duration::from_secs(10) };

    /// The share of all requests that goes to one endpoint, 0 to 1.
    ///
    /// Users repeat their flow and pause before every step that is not `at_once`, so a flow of few pauses comes round
    /// more often: requests per unit of time are `weight × steps ÷ pauses`.
    #[must_use]
    pub fn share_of(&self, endpoint: &str) -> f64 {
        let per_pause = |flow: &Flow, counts: &dyn Fn(&FlowStep) -> bool| {
            let made = |step: &&FlowStep| step.share.unwrap_or(1.0);
            let requests: f64 = flow.steps.iter().filter(|step| counts(step)).map(|step| made(&step)).sum();
            let pauses: f64 = flow.steps.iter().filter(|step| !step.at_once).map(|step| made(&step)).sum();
            if pauses > 0.0 { f64::from(flow.weight) * requests / pauses } else { 0.0 }
        };
        let all: f64 = self.flows.iter().map(|flow| per_pause(flow, &|_| true)).sum();
        let these: f64 = self.flows.iter().map(|flow| per_pause(flow, &|step| step.endpoint() == endpoint)).sum();
        if all > 0.0 { these / all } else { 0.0 }
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

    #[test]
    fn an_endpoints_share_follows_weights_and_pauses() {
        let mix = Mix {
            flows: vec![flow(3, &[("a", false), ("b", false)]), flow(1, &[("c", false), ("d", true)])],
            ..Mix::default()
        };
        // In one pause's time the first flow's users make 3 requests, the second's 2 (one of them at once).
        assert!((mix.share_of("a") - 1.5 / 5.0).abs() < 1e-9);
        assert!((mix.share_of("d") - 1.0 / 5.0).abs() < 1e-9);
        assert!(mix.share_of("nowhere").abs() < 1e-9);
    }

    #[test]
    fn think_times_are_read_and_backward_ones_refused() {
        assert!((Think::try_from("5s-10s".to_owned()).unwrap().mean_seconds() - 7.5).abs() < 1e-9);
        assert_eq!(Think::try_from("2s".to_owned()).unwrap().to_string(), "2s-2s");
        assert!(Think::try_from("10s-5s".to_owned()).is_err());
    }
}
