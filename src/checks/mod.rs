//! The catalogue: named verifications, grouped by what they look at.
//!
//! A check is a struct that *is* its parameters. `gather` looks and does not judge; `judge` judges and does not look,
//! so that a recorded fact can be judged again. To add one: the struct, its line in its file's `CHECKS`, its name in a
//! playbook. Holds no state, spawns nothing, prints nothing. What could not be measured is `unknown`, never `pass`.

mod app;
mod assets;
mod cache;
mod clouds;
mod counting;
mod cycles;
mod edge;
mod health;
mod jobs;
mod load;
mod metrics;
mod pool;
mod queries;
mod sentry;
mod source;
mod storage;
mod uploads;
mod written;

use std::future::Future;

use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::check::{CheckOutcome, Missing, Phase, Rung};
use crate::domain::measurement::{RampFacts, RampRecord};
use crate::domain::progress::Standing;
use crate::probes::Probes;

pub use jobs::library;

/// What a check may look at.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The systems.
    pub probes: &'a Probes,
    /// The ramp that has just been judged; none in the phase "before".
    pub ramp: Option<&'a RampFacts>,
    /// Earlier ramps, oldest first; without the one in `ramp`.
    pub history: &'a [RampRecord],
    /// How the steps before this one stand, in their order.
    pub before: &'a [Standing],
}

/// One verification. The type is its parameters: `#[serde(deny_unknown_fields, default)]`.
pub trait Check: DeserializeOwned + Send + Sync + 'static {
    /// Its name in playbooks: "pool.in-path".
    const ID: &'static str;
    /// What it shows, in words: "the app's database address leads to a pooler".
    const TITLE: &'static str;
    /// What it proves, how, and which trap it avoids.
    const ABOUT: &'static str;
    /// When it looks.
    const PHASE: Phase;
    /// True when it counts what other checks would stir up: it is asked while no other is.
    const ALONE: bool = false;
    /// How it knows.
    const HOW: Rung;
    /// Official documentation.
    const DOCS: &'static [&'static str];
    /// What it looks at: chosen fields, never raw headers or bodies.
    type Facts: Serialize + DeserializeOwned + Send;

    /// Looks.
    fn gather(&self, ctx: &Context<'_>) -> impl Future<Output = Result<Self::Facts, Missing>> + Send;

    /// Judges. The same facts always get the same answer.
    fn judge(&self, facts: &Self::Facts) -> CheckOutcome;
}

/// A check with its parameters, its types forgotten.
pub trait AnyCheck: Send + Sync {
    /// Looks and judges: the facts (null when there are none) and the answer.
    fn gather_and_judge<'a>(&'a self, ctx: Context<'a>) -> BoxFuture<'a, (Value, CheckOutcome)>;

    /// Judges recorded facts again.
    fn rejudge(&self, facts: &Value) -> CheckOutcome;
}

impl<T: Check> AnyCheck for T {
    fn gather_and_judge<'a>(&'a self, ctx: Context<'a>) -> BoxFuture<'a, (Value, CheckOutcome)> {
        Box::pin(async move {
            match self.gather(&ctx).await {
                Err(missing) => (Value::Null, CheckOutcome::Unknown(missing)),
                Ok(facts) => {
                    let outcome = self.judge(&facts);
                    match serde_json::to_value(&facts) {
                        Ok(value) => (value, outcome),
                        // Evidence that cannot be kept is no evidence.
                        Err(e) => (Value::Null, unreadable(T::ID, &e)),
                    }
                }
            }
        })
    }

    fn rejudge(&self, facts: &Value) -> CheckOutcome {
        match serde_json::from_value(facts.clone()) {
            Ok(facts) => self.judge(&facts),
            Err(e) => unreadable(T::ID, &e),
        }
    }
}

fn unreadable(id: &str, error: &serde_json::Error) -> CheckOutcome {
    CheckOutcome::Unknown(Missing::new(format!("the facts of {id} cannot be kept or read: {error}"), "verify again"))
}

/// A line of the catalogue.
pub struct Entry {
    /// See [`Check::ID`].
    pub id: &'static str,
    /// See [`Check::TITLE`].
    pub title: &'static str,
    /// See [`Check::ABOUT`].
    pub about: &'static str,
    /// See [`Check::PHASE`].
    pub phase: Phase,
    /// See [`Check::ALONE`].
    pub alone: bool,
    /// See [`Check::HOW`].
    pub how: Rung,
    /// See [`Check::DOCS`].
    pub docs: &'static [&'static str],
    /// The check with a playbook's parameters; the text says which one it does not know.
    pub build: fn(&toml::Table) -> Result<Box<dyn AnyCheck>, String>,
}

impl Entry {
    const fn of<T: Check>() -> Self {
        Self {
            id: T::ID,
            title: T::TITLE,
            about: T::ABOUT,
            phase: T::PHASE,
            alone: T::ALONE,
            how: T::HOW,
            docs: T::DOCS,
            build: build::<T>,
        }
    }
}

fn build<T: Check>(parameters: &toml::Table) -> Result<Box<dyn AnyCheck>, String> {
    match parameters.clone().try_into::<T>() {
        Ok(check) => Ok(Box::new(check)),
        Err(e) => Err(format!("{}: {}", T::ID, e.message())),
    }
}

/// Every check there is.
pub fn catalogue() -> impl Iterator<Item = &'static Entry> {
    const GROUPS: &[&[Entry]] = &[
        health::CHECKS,
        app::CHECKS,
        sentry::CHECKS,
        metrics::CHECKS,
        edge::CHECKS,
        storage::CHECKS,
        cache::CHECKS,
        uploads::CHECKS,
        pool::CHECKS,
        jobs::CHECKS,
        load::CHECKS,
        queries::CHECKS,
        cycles::CHECKS,
    ];
    GROUPS.iter().copied().flatten()
}

/// The check of this name.
#[must_use]
pub fn find(id: &str) -> Option<&'static Entry> {
    catalogue().find(|entry| entry.id == id)
}

/// The ramp, or the sentence that asks for one.
fn ramp<'a>(ctx: &Context<'a>) -> Result<&'a RampFacts, Missing> {
    ctx.ramp.ok_or_else(|| {
        Missing::new("there is no ramp to look at", "run the step whole: its ramp first, then this check")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_described_and_builds_without_parameters() {
        let mut ids = Vec::new();
        for entry in catalogue() {
            assert!(entry.id.contains('.') && !entry.title.is_empty(), "{}", entry.id);
            assert!(entry.about.len() > 80, "{}: say what it proves, how, and which trap it avoids", entry.id);
            assert!(entry.docs.iter().all(|d| d.starts_with("https://")) && !entry.docs.is_empty(), "{}", entry.id);
            assert!((entry.build)(&toml::Table::new()).is_ok(), "{}", entry.id);
            let unknown = toml::Table::from_iter([("no_such_parameter".to_owned(), toml::Value::Integer(1))]);
            let refused = (entry.build)(&unknown).err().unwrap();
            assert!(refused.contains(entry.id) && refused.contains("no_such_parameter"), "{refused}");
            ids.push(entry.id);
        }
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all, "two checks share a name");
    }

    #[test]
    fn facts_that_cannot_be_read_open_nothing() {
        for entry in catalogue() {
            let check = (entry.build)(&toml::Table::new()).unwrap();
            for facts in [Value::Null, serde_json::json!([]), serde_json::json!({ "nonsense": 1 })] {
                assert!(!check.rejudge(&facts).opens(), "{} opens on {facts}", entry.id);
            }
        }
    }
}
