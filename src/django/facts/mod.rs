//! What is asked of a project, one file a family. Each answer rests on a place, or on absence; what cannot be known says
//! why. No answer judges.

mod celery;
mod files;
mod observe;
mod run;
mod stores;
mod work;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;

pub use run::server_of;

use super::condition::Condition;
use super::deploy::Deploy;
use super::eval::{Effect, Evaluator, Scope};
use super::mentions::Mention;
use super::production::Production;
use super::requirements::Requirements;
use super::urls::Route;
use super::value::{Guarded, Kind, Place, V};
use super::words::shown;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// The answer, in the words of docs/scan.md.
    pub value: String,
    /// The line that it rests on; none when it rests on absence.
    pub evidence: Option<String>,
    /// What switches it on; `always` when nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// Other answers, by what switches them on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub alt: BTreeMap<String, String>,
    /// More about it: a path, what else was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why it cannot be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

impl Fact {
    /// An answer.
    pub fn new(value: &str) -> Self {
        let value = shown(value);
        Self { value, evidence: None, when: None, alt: BTreeMap::new(), detail: None, why: None }
    }

    /// True when it cannot be known.
    pub fn is_unknown(&self) -> bool {
        self.value == "unknown"
    }

    /// It cannot be known.
    pub fn unknown(why: &str) -> Self {
        Self { why: Some(shown(why)), ..Self::new("unknown") }
    }

    /// It cannot be known, because a setting is not.
    fn unfollowed(setting: &str) -> Self {
        Self::unknown(&format!("{setting} is built in a way that is not followed"))
    }

    fn at(self, place: &Place) -> Self {
        Self { evidence: Some(shown(&place.to_string())), ..self }
    }

    fn when(self, when: &Condition) -> Self {
        Self { when: Some(shown(&when.to_string())), ..self }
    }

    fn detail(self, detail: &str) -> Self {
        Self { detail: Some(shown(detail)), ..self }
    }
}

/// What the answers are drawn from.
pub struct Project<'t> {
    /// How it is run.
    pub deploy: Deploy,
    /// What it asks for.
    pub requirements: Requirements,
    /// What production runs.
    pub production: Production,
    /// Production's settings at their end.
    pub settings: Rc<Scope>,
    /// What the settings called.
    pub effects: Vec<Effect>,
    /// Why the settings are not all known, when they are not.
    pub gap: Option<String>,
    /// Why any setting may be another than it is here, when it may.
    pub lost: Option<String>,
    /// Why not all paths are known, and where, when they are not.
    pub unrouted: Option<(&'static str, Place)>,
    /// Calls in its code.
    pub mentions: Vec<Mention>,
    /// The paths that it answers.
    pub routes: Vec<Route>,
    /// Follows names into its code.
    pub code: Evaluator<'t>,
}

/// One family's question.
type Question = fn(&mut Project<'_>) -> Fact;

/// The questions, in the order in which they are told.
const QUESTIONS: [(&str, Question); 25] = [
    ("production_settings_module", run::settings_module),
    ("dsm_wsgi", run::dsm_wsgi),
    ("dsm_deploy", run::dsm_deploy),
    ("sentry", observe::sentry),
    ("metrics_endpoint", observe::metrics),
    ("logging_config", observe::logging),
    ("logging_structured", observe::structured),
    ("health_endpoint", observe::health),
    ("static_serving", files::serving),
    ("hashed_static", files::hashed),
    ("media_object_storage", files::media),
    ("redis_cache", stores::redis_cache),
    ("cache_backend", stores::cache_backend),
    ("session_engine", stores::session_engine),
    ("separate_broker_cache_redis", stores::separate),
    ("presigned_uploads", files::presigned),
    ("conn_max_age", stores::conn_max_age),
    ("db_pool", stores::pool),
    ("pgbouncer_hints", stores::pooler),
    ("task_queue", work::queue),
    ("acks_late", work::acks_late),
    ("worker_process", work::worker),
    ("server", run::server),
    ("throttling", work::throttling),
    ("django_version", run::django_version),
];

/// Words that bring a file of the project's code before the questions.
pub const WORDS: [&str; 15] = [
    "presigned",
    "acks_late",
    "CloudinaryField",
    "ratelimit",
    "storage=",
    "throttle",
    "Celery(",
    "config_from_object",
    "prometheus",
    "sentry_sdk",
    "create_signed",
    "s3direct",
    "health",
    "throttling",
    "psycopg_pool",
];

impl Project<'_> {
    /// Every answer, in order.
    pub fn facts(&mut self) -> Vec<(&'static str, Fact)> {
        QUESTIONS.iter().map(|(name, question)| (*name, question(self))).collect()
    }

    pub fn setting(&self, name: &str) -> Option<V> {
        self.settings.get(name).cloned()
    }

    /// What absence means, unless something that was not followed could say otherwise.
    fn or_gap(&self, absent: &str) -> Fact {
        self.gap.as_deref().map_or_else(|| Fact::new(absent), Fact::unknown)
    }

    /// The same, where applications that are not known say nothing of it.
    fn or_lost(&self, absent: &str) -> Fact {
        self.lost.as_deref().map_or_else(|| Fact::new(absent), Fact::unknown)
    }

    /// `no`, in the same way.
    fn no(&self) -> Fact {
        self.or_gap("no")
    }

    /// What the absence of something in a setting means: nothing, where a way of the setting is not followed as far as
    /// the keys lead.
    fn absent(&self, setting: &str, keys: &[&str], absent: &str) -> Fact {
        self.absent_in(self.ways(setting), setting, keys, absent)
    }

    /// The same, of the ways that a setting may be.
    fn absent_in(&self, ways: Vec<Guarded>, setting: &str, keys: &[&str], absent: &str) -> Fact {
        match unfollowed(ways, keys) {
            Some(place) => Fact::unfollowed(setting).at(&place),
            None => self.or_gap(absent),
        }
    }

    /// When what stands at the end of the keys of a dictionary setting says yes.
    fn switched(&self, name: &str, keys: &[&str]) -> Option<Guarded> {
        let on = self.nested(name, keys).iter().find_map(switched);
        on.or_else(|| {
            let whole = Guarded::always(self.setting(name)?);
            let below = |held: Guarded, key: &&str| Some(held.value.entry(key)?.under(&held.when));
            switched(&keys.iter().try_fold(whole, below)?)
        })
    }

    /// `no`, where the paths that are answered are known.
    fn no_path(&self) -> Fact {
        match &self.unrouted {
            Some((why, place)) => Fact::unknown(why).at(place),
            None => self.no(),
        }
    }

    /// The values that a setting may have in production.
    fn ways(&self, name: &str) -> Vec<Guarded> {
        self.setting(name).map(|value| value.ways()).unwrap_or_default()
    }

    /// The items of a list setting that are texts.
    fn listed(&self, name: &str) -> Vec<(String, Condition, Place)> {
        let items = self.setting(name).map(|value| value.items()).unwrap_or_default();
        let texts = items
            .into_iter()
            .filter_map(|item| Some((item.value.text()?.to_owned(), item.when.clone(), item.value.place.clone())));
        texts.collect()
    }

    /// The first item of a list setting that fits.
    fn item(&self, setting: &str, fits: impl Fn(&str) -> bool) -> Option<(String, Condition, Place)> {
        self.listed(setting).into_iter().find(|(text, ..)| fits(text))
    }

    /// Entries of a nested dictionary setting: what stands at the end of the keys, in each way.
    fn nested(&self, name: &str, keys: &[&str]) -> Vec<Guarded> {
        let Some(value) = self.setting(name) else { return Vec::new() };
        let mut level = value.ways();
        for key in keys {
            level = below(&level, key);
        }
        level.retain(|way| way.when.in_production() != Some(false));
        level
    }

    /// The package that is asked for by one of these names.
    fn asks_for(&self, names: &[&str]) -> Option<&super::requirements::Requirement> {
        names.iter().find_map(|name| self.requirements.of(name))
    }
}

/// Where the ways of a setting, or what stands below the keys in turn, is no longer followed.
fn unfollowed(ways: Vec<Guarded>, keys: &[&str]) -> Option<Place> {
    let mut level = ways;
    let mut keys = keys.iter();
    loop {
        if let Some(way) = level.iter().find(|way| !way.value.is_followed()) {
            return Some(way.value.place.clone());
        }
        level = below(&level, keys.next()?);
    }
}

/// When a setting says yes. Whoever deploys may turn on what a variable decides, whatever it is when nobody does.
fn switched(setting: &Guarded) -> Option<Guarded> {
    let when = match &setting.value.kind {
        Kind::Bool(true) | Kind::Dict(_) => Condition::Always,
        Kind::Int(number) if *number != 0 => Condition::Always,
        Kind::Text(text) if !text.is_empty() => Condition::Always,
        Kind::Outer(outer) => Condition::test(&format!("{}:{}", outer.store, outer.name), None, None),
        Kind::Logic(when) => when.clone(),
        Kind::Choice(ways) => return ways.iter().find_map(|way| switched(&way.clone().under(&setting.when))),
        _ => return None,
    };
    let when = setting.when.and(&when);
    (when.in_production() != Some(false)).then(|| Guarded { when, value: setting.value.clone() })
}

/// What stands under a key in each of these.
fn below(level: &[Guarded], key: &str) -> Vec<Guarded> {
    let held = |way: &Guarded| {
        let held = way.value.entry(key)?;
        let ways = held.value.ways().into_iter().map(|inner| inner.under(&held.when).under(&way.when));
        Some(ways.collect::<Vec<_>>())
    };
    level.iter().filter_map(held).flatten().collect()
}

/// The answer of several ways: the one for which least has to be set; the others beside it.
fn chosen(ways: &[Guarded], name: impl Fn(&V) -> Option<String>) -> Option<Fact> {
    let named: Vec<(String, &Guarded)> = ways.iter().filter_map(|way| Some((name(&way.value)?, way))).collect();
    let (value, way) = named.iter().min_by_key(|(_, way)| way.when.departures())?;
    let mut fact = Fact::new(value).at(&way.value.place);
    let others: Vec<_> = named.iter().filter(|(other, _)| other != value).collect();
    if others.is_empty() && named.len() > 1 {
        return Some(fact.when(&named.iter().fold(Condition::Never, |sum, (_, way)| sum.or(&way.when))));
    }
    fact.alt = others.into_iter().map(|(other, way)| (shown(&way.when.to_string()), shown(other))).collect();
    Some(fact.when(&way.when))
}

/// The callee of a call.
fn callee(value: &V) -> &str {
    if let Kind::Call { callee, .. } = &value.kind { callee } else { "" }
}
