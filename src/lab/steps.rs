//! What each step changes on the practice stack, read from `assets/lab/steps.toml`. Knows what is asked for, not how it is done.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::assets;
use super::error::{LabError, Result};
use super::render::render;
use super::service::Service;

pub(crate) type Words = BTreeMap<String, String>;

/// The naive stack and its ten remedies, placeholders filled in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    naive: Naive,
    step: Vec<Remedy>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Naive {
    processes: Vec<Service>,
    env: Words,
    edge: Words,
    pooler: Words,
    clouds: Words,
    settings: Words,
}

/// One step's remedy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remedy {
    pub number: u8,
    /// A few words.
    #[expect(dead_code, reason = "for people who read the file; the playbook has the title that faces show")]
    title: String,
    /// One sentence: what a person would do.
    pub does: String,
    /// Environment of the shop, over what the steps before set.
    #[serde(default)]
    env: Words,
    /// Values of nginx's template.
    #[serde(default)]
    edge: Words,
    /// Values of PgBouncer's template.
    #[serde(default)]
    pooler: Words,
    /// What is set up at Railway and Cloudflare, as far as it is no part of the stack itself.
    #[serde(default)]
    clouds: Words,
    /// Values of command lines.
    #[serde(default)]
    settings: Words,
    /// Processes that exist from this step on.
    #[serde(default)]
    start: Vec<Service>,
    /// `manage.py` commands that apply it, and those that take it back.
    #[serde(default)]
    pub manage: Vec<Vec<String>>,
    #[serde(default)]
    pub unmanage: Vec<Vec<String>>,
    /// Statements of the superuser in the shop's database, each on its own.
    #[serde(default)]
    pub sql: Vec<String>,
    #[serde(default)]
    pub unsql: Vec<String>,
}

/// What is in force with a given set of steps applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Effective {
    pub env: Words,
    /// What the worker's environment has over the shop's.
    pub worker_env: Words,
    pub edge: Words,
    pub pooler: Words,
    /// What is set up at Railway and Cloudflare.
    pub clouds: Words,
    pub settings: Words,
    /// Which services run, in the order they start.
    pub services: BTreeSet<Service>,
}

impl Catalogue {
    /// Reads the built-in file.
    pub fn read(value: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        Self::parse(&render("steps.toml", assets::text("steps.toml")?, value)?)
    }

    fn parse(text: &str) -> Result<Self> {
        // Not the full message: it quotes lines that may hold secrets.
        let mut read: Self =
            toml::from_str(text).map_err(|e| LabError::Assets(format!("steps.toml: {}", e.message())))?;
        read.step.sort_by_key(|s| s.number);
        if read.step.iter().map(|s| s.number).ne(1..=crate::domain::ids::STEPS) {
            return Err(LabError::Assets("steps.toml must have the steps 1 to 10, each once".into()));
        }
        Ok(read)
    }

    /// One step's remedy.
    pub fn remedy(&self, step: u8) -> Result<&Remedy> {
        self.step.iter().find(|s| s.number == step).ok_or(LabError::NoStep(step))
    }

    /// The naive stack with these steps applied, in the order of their numbers.
    pub fn effective(&self, applied: &BTreeSet<u8>) -> Effective {
        let naive = &self.naive;
        let mut sum = Effective {
            env: naive.env.clone(),
            worker_env: Words::new(),
            edge: naive.edge.clone(),
            pooler: naive.pooler.clone(),
            clouds: naive.clouds.clone(),
            settings: naive.settings.clone(),
            services: naive.processes.iter().copied().collect(),
        };
        for step in self.step.iter().filter(|s| applied.contains(&s.number)) {
            sum.env.extend(step.env.clone());
            sum.edge.extend(step.edge.clone());
            sum.pooler.extend(step.pooler.clone());
            sum.clouds.extend(step.clouds.clone());
            sum.settings.extend(step.settings.clone());
            sum.services.extend(&step.start);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in() -> Catalogue {
        Catalogue::read(&|name| Some(format!("<{name}>"))).unwrap()
    }

    #[test]
    fn the_built_in_file_climbs_from_direct_connections_to_pooler_and_worker() {
        let catalogue = built_in();
        let naive = catalogue.effective(&BTreeSet::new());
        assert!(!naive.services.contains(&Service::Pgbouncer) && !naive.services.contains(&Service::Worker));
        let all = catalogue.effective(&(1..=10).collect());
        assert_eq!(all.services.len(), 9);
        assert_ne!(naive.env["DATABASE_URL"], all.env["DATABASE_URL"]);
        for step in 1..=10 {
            let (before, after): (BTreeSet<u8>, BTreeSet<u8>) = ((1..step).collect(), (1..=step).collect());
            assert_ne!(catalogue.effective(&before), catalogue.effective(&after), "step {step} changes nothing");
        }
    }

    #[test]
    fn a_later_step_wins_over_an_earlier_one_whatever_was_applied_first() {
        let catalogue = built_in();
        let both = catalogue.effective(&BTreeSet::from([8, 2]));
        assert_eq!(both.edge["mode"], catalogue.effective(&BTreeSet::from([8])).edge["mode"]);
    }

    #[test]
    fn a_missing_step_or_a_misspelt_key_is_refused() {
        let naive = "[naive]\nprocesses = []\nenv = {}\nedge = {}\npooler = {}\nclouds = {}\nsettings = {}\n";
        assert!(Catalogue::parse(naive).is_err());
        assert!(
            Catalogue::parse(&format!("{naive}[[step]]\nnumber = 1\ntitle = ''\ndoes = ''\nenvironment = {{}}\n"))
                .is_err()
        );
    }
}
