//! What is known of a zone at Cloudflare. Each is read straight from an answer; text is tamed on the way in.

use serde::Deserialize;

use crate::probes::api::{tamed, tamed_option};

/// A zone: a domain and what is below it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Zone {
    /// Its id.
    #[serde(deserialize_with = "tamed")]
    pub id: String,
    /// Its domain.
    #[serde(deserialize_with = "tamed")]
    pub name: String,
    /// `active` once the domain's name servers are Cloudflare's.
    #[serde(deserialize_with = "tamed_option", default)]
    pub status: Option<String>,
    /// True while Cloudflare only answers DNS for it.
    #[serde(default)]
    pub paused: bool,
    /// Whose it is.
    pub account: Account,
}

/// The account that a zone belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// Its id.
    #[serde(deserialize_with = "tamed")]
    pub id: String,
}

/// What Cloudflare says of the token itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Token {
    /// `active`, `disabled`, `expired`.
    #[serde(deserialize_with = "tamed")]
    pub status: String,
    /// When it ends, in RFC 3339, if it does.
    #[serde(deserialize_with = "tamed_option", default)]
    pub expires_on: Option<String>,
}

/// Rules of one phase, in the order in which they are tried.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ruleset {
    /// Counts up with every change.
    #[serde(deserialize_with = "tamed")]
    pub version: String,
    /// Empty where nobody made one.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

impl Default for Ruleset {
    fn default() -> Self {
        Self { version: "0".to_owned(), rules: Vec::new() }
    }
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Rule {
    /// False when it was switched off.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// `set_cache_settings`, `block`, `skip`, `managed_challenge`, …
    #[serde(deserialize_with = "tamed")]
    pub action: String,
    /// Which requests it is for, in Cloudflare's language; its beginning when it is long.
    #[serde(deserialize_with = "tamed")]
    pub expression: String,
    /// What its owner calls it.
    #[serde(deserialize_with = "tamed_option", default)]
    pub description: Option<String>,
    /// How it treats the cache, where it does.
    #[serde(rename = "action_parameters", default)]
    pub cache: CacheSettings,
    /// When it counts as too many, in a rate limit.
    #[serde(default)]
    pub ratelimit: Option<RateLimit>,
}

fn yes() -> bool {
    true
}

/// How a cache rule treats an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct CacheSettings {
    /// Whether the answer may be kept at all.
    pub cache: Option<bool>,
    /// How long the edge keeps it.
    pub edge_ttl: Option<Ttl>,
    /// How long browsers keep it.
    pub browser_ttl: Option<Ttl>,
}

/// How long an answer is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Ttl {
    /// `respect_origin`, `bypass_by_default`, `override_origin`.
    #[serde(deserialize_with = "tamed")]
    pub mode: String,
    /// Seconds, where the origin is overridden.
    pub default: Option<u64>,
}

/// When a rate limit counts requests as too many.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RateLimit {
    /// What is counted apart: `ip.src`, `cf.colo.id`.
    pub characteristics: Vec<String>,
    /// Seconds over which requests are counted.
    pub period: u64,
    /// Requests in that time.
    pub requests_per_period: Option<u64>,
    /// Seconds for which it refuses then.
    pub mitigation_timeout: Option<u64>,
}

/// A page rule that is switched on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct PageRule {
    /// Which addresses it is for.
    pub targets: Vec<Target>,
    /// What it does.
    pub actions: Vec<Action>,
}

/// What a page rule is for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Target {
    /// The pattern.
    pub constraint: Constraint,
}

/// A pattern of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Constraint {
    /// Like `*example.com/static/*`.
    #[serde(deserialize_with = "tamed")]
    pub value: String,
}

/// One thing that a page rule does.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Action {
    /// `cache_level`, `edge_cache_ttl`, `forwarding_url`, …
    #[serde(deserialize_with = "tamed_option", default, alias = "name")]
    pub id: Option<String>,
}

/// Addresses that a Worker answers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WorkersRoute {
    /// Like `shop.example/api/*`.
    #[serde(deserialize_with = "tamed")]
    pub pattern: String,
    /// The Worker; none where the route keeps Workers away.
    #[serde(deserialize_with = "tamed_option", default)]
    pub script: Option<String>,
}

/// What would happen to a request, without sending it to the origin.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Trace {
    /// What is tried, and what is tried within it.
    #[serde(default)]
    pub trace: Vec<Tried>,
}

/// A rule or a set of rules that is tried on a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tried {
    /// Which: a rule's id, or a phase.
    #[serde(deserialize_with = "tamed_option", default)]
    pub step_name: Option<String>,
    /// What a rule does.
    #[serde(deserialize_with = "tamed_option", default)]
    pub action: Option<String>,
    /// It had an effect.
    #[serde(default)]
    pub matched: bool,
    /// What is tried within it.
    #[serde(default)]
    pub trace: Vec<Tried>,
}

impl Trace {
    /// Actions of all rules that had an effect, in order.
    #[must_use]
    pub fn effects(&self) -> Vec<&str> {
        fn collect<'a>(tried: &'a [Tried], into: &mut Vec<&'a str>) {
            for step in tried.iter().filter(|step| step.matched) {
                into.extend(step.action.as_deref());
                collect(&step.trace, into);
            }
        }
        let mut effects = Vec::new();
        collect(&self.trace, &mut effects);
        effects
    }
}
