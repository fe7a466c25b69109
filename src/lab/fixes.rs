//! Applies a step's remedy the way a person would, or takes it back: commands, statements, environment, configuration,
//! processes. What a remedy *is* stands in `assets/lab/steps.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use super::Lab;
use super::command::Task;
use super::database;
use super::error::{LabError, Result, file};
use super::layout::Layout;
use super::progress::Progress;
use super::ready;
use super::service::Service;
use super::setup::Setup;
use super::steps::{Effective, Remedy};

impl Lab {
    /// Applies a step's remedy to the running stack; says what was done.
    ///
    /// # Errors
    /// When there is no such step, the stack does not run, or a command or statement of the remedy fails. A remedy that
    /// failed half-way is not counted as applied; applying it again is safe.
    pub async fn fix(&mut self, step: u8, progress: &Progress) -> Result<Vec<String>> {
        let with = |mut applied: BTreeSet<u8>| {
            applied.insert(step);
            applied
        };
        self.reach(with, &[step], progress).await
    }

    /// Takes a step's remedy back; says what was done.
    ///
    /// # Errors
    /// As [`Lab::fix`].
    pub async fn unfix(&mut self, step: u8, progress: &Progress) -> Result<Vec<String>> {
        let without = |mut applied: BTreeSet<u8>| {
            applied.remove(&step);
            applied
        };
        self.reach(without, &[step], progress).await
    }

    /// Exactly the first `step` remedies in force (0: naive), the stack started if it does not run.
    ///
    /// # Errors
    /// As [`Lab::up`] and [`Lab::fix`].
    pub async fn climbed(&mut self, step: u8, progress: &Progress) -> Result<Vec<String>> {
        self.up(progress).await?;
        let named = if step == 0 { vec![] } else { vec![step] };
        self.reach(|_| (1..=step).collect(), &named, progress).await
    }

    /// From the steps applied now to another set: the last remedies are taken back first, then the first applied first,
    /// then the processes renewed once.
    async fn reach(
        &mut self,
        target: impl FnOnce(BTreeSet<u8>) -> BTreeSet<u8>,
        named: &[u8],
        progress: &Progress,
    ) -> Result<Vec<String>> {
        let _lock = self.lock()?;
        if self.state.ports.is_empty() {
            return Err(LabError::NotRunning("PostgreSQL"));
        }
        let before = self.setup()?;
        named.iter().try_for_each(|step| before.catalogue.remedy(*step).map(|_| ()))?;
        if ready::ask(Service::Postgres, &before).await.is_err() {
            return Err(LabError::NotRunning("PostgreSQL"));
        }
        let target = target(self.state.applied.clone());
        if target == self.state.applied {
            return Ok(vec!["nothing to do: it is so already".to_owned()]);
        }
        let mut done = Vec::new();
        let back: Vec<u8> = self.state.applied.iter().rev().filter(|step| !target.contains(step)).copied().collect();
        let forth: Vec<u8> = target.difference(&self.state.applied).copied().collect();
        for (step, applies) in back.into_iter().map(|s| (s, false)).chain(forth.into_iter().map(|s| (s, true))) {
            self.change(step, applies, &mut done, progress).await?;
        }
        let setup = self.setup()?;
        done.extend(differences(&before.effective, &setup.effective));
        // The edge forgets what it cached only when it is new: its index is in memory.
        let renewed = self.converge(&setup, &BTreeSet::from([Service::Edge]), progress).await?;
        done.extend(say_renewed(&setup, renewed));
        Ok(done)
    }

    /// Runs one remedy's commands and statements under the environment that holds afterwards, then counts it.
    async fn change(&mut self, step: u8, applies: bool, done: &mut Vec<String>, progress: &Progress) -> Result<()> {
        let mut wanted = self.state.applied.clone();
        if applies {
            wanted.insert(step)
        } else {
            wanted.remove(&step)
        };
        let was = std::mem::replace(&mut self.state.applied, wanted);
        let changed = async {
            let setup = self.setup()?;
            let remedy = setup.catalogue.remedy(step)?;
            let does = format!("step {step}{}: {}", if applies { "" } else { " taken back" }, remedy.does);
            progress.say(&does);
            done.push(does);
            run(&setup, remedy, applies, done, progress).await
        }
        .await;
        match changed {
            Ok(()) => self.save(),
            Err(error) => {
                self.state.applied = was;
                Err(error)
            }
        }
    }
}

async fn run(setup: &Setup, remedy: &Remedy, applies: bool, done: &mut Vec<String>, progress: &Progress) -> Result<()> {
    let (commands, statements) =
        if applies { (&remedy.manage, &remedy.sql) } else { (&remedy.unmanage, &remedy.unsql) };
    for command in commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        manage(setup, &words, progress).await?;
        done.push(format!("ran manage.py {}", words.join(" ")));
    }
    database::apply(setup, statements).await?;
    done.extend(statements.iter().map(|statement| format!("ran {statement}")));
    Ok(())
}

/// Runs a management command of the shop with the environment its processes get.
pub(super) async fn manage(setup: &Setup, words: &[&str], progress: &Progress) -> Result<()> {
    let layout = &setup.layout;
    let script = layout.project().join("manage.py").to_string_lossy().into_owned();
    Task {
        what: format!("manage.py {}", words.join(" ")),
        program: layout.program("python"),
        arguments: std::iter::once(script).chain(words.iter().map(|word| (*word).to_owned())).collect(),
        env: setup.shop_env(),
        inherits: false,
        folder: layout.run(),
        account: setup.account.clone(),
        limit: Duration::from_secs(300),
    }
    .run(progress)
    .await
}

/// Removes what the edge keeps. Only while the edge is stopped: it would miss the files.
pub(super) fn clear_edge_cache(layout: &Layout) -> Result<()> {
    let cache = layout.edge_cache();
    let Ok(entries) = fs::read_dir(&cache) else { return Ok(()) };
    for entry in entries.flatten() {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(file("remove", &path))?;
    }
    Ok(())
}

/// Which processes were started anew, and which stopped.
pub(super) fn say_renewed(setup: &Setup, renewed: BTreeSet<Service>) -> Vec<String> {
    let (kept, gone): (Vec<Service>, Vec<Service>) =
        renewed.into_iter().partition(|service| setup.effective.services.contains(service));
    let names = |services: Vec<Service>| services.into_iter().map(Service::name).collect::<Vec<_>>().join(", ");
    let mut said = vec![format!("started anew: {}", names(kept))];
    if !gone.is_empty() {
        said.push(format!("stopped: {}", names(gone)));
    }
    said.push("emptied the edge's cache and the page cache".to_owned());
    said
}

/// What changed in the shop's environment and the servers' settings, by name: some values are secret.
pub(super) fn differences(before: &Effective, after: &Effective) -> Vec<String> {
    let mut kinds = vec![
        ("the shop's environment", &before.env, &after.env),
        ("the worker's environment", &before.worker_env, &after.worker_env),
        ("the edge's configuration", &before.edge, &after.edge),
        ("the pooler's configuration", &before.pooler, &after.pooler),
        ("the command lines", &before.settings, &after.settings),
    ];
    if after.services.contains(&Service::Clouds) {
        kinds.push(("what is set up at the clouds", &before.clouds, &after.clouds));
    }
    let mut sentences = Vec::new();
    for (what, before, after) in kinds {
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed: Vec<&str> =
            names.into_iter().filter(|name| before.get(*name) != after.get(*name)).map(String::as_str).collect();
        if !changed.is_empty() {
            sentences.push(format!("changed {what}: {}", changed.join(", ")));
        }
    }
    sentences
}

#[cfg(test)]
mod tests {
    use super::super::steps::Catalogue;
    use super::*;

    #[test]
    fn says_what_changed_by_name_and_shows_no_value() {
        let catalogue = Catalogue::read(&|name| Some(format!("<{name}>"))).unwrap();
        let (four, five) = (catalogue.effective(&(1..=4).collect()), catalogue.effective(&(1..=5).collect()));
        let said = differences(&four, &five).join("\n");
        assert!(said.contains("DATABASE_URL") && !said.contains("secret"), "{said}");
        assert!(differences(&five, &five).is_empty());
    }
}
