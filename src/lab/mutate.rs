//! Breaks the running stack on purpose, and mends it. What a fault *is* stands in `assets/lab/faults`.

use std::collections::BTreeSet;

use super::error::{LabError, Result};
use super::faults::{self, Fault};
use super::fixes::{differences, manage, say_renewed};
use super::progress::Progress;
use super::service::Service;
use super::setup::Setup;
use super::{Lab, celery, database, ready};

impl Lab {
    /// Every fault and every healthy variant that is known.
    ///
    /// # Errors
    /// When a file of them cannot be read.
    pub fn faults(&self) -> Result<Vec<Fault>> {
        faults::catalogue(&self.layout.faults())
    }

    /// The faults in force, by id.
    #[must_use]
    pub fn broken(&self) -> &BTreeSet<String> {
        &self.state.faults
    }

    /// Exactly these faults in force, the others mended; says what was done.
    ///
    /// # Errors
    /// When there is no such fault, the stack does not run, or a command or statement of one fails. What failed half-way
    /// counts as in force: mending it is safe.
    pub async fn broken_by(&mut self, wanted: BTreeSet<String>, progress: &Progress) -> Result<Vec<String>> {
        let _lock = self.lock()?;
        let all = self.faults()?;
        if let Some(unknown) = wanted.iter().find(|id| all.iter().all(|fault| &fault.id != *id)) {
            return Err(LabError::NoFault(unknown.clone()));
        }
        if wanted == self.state.faults {
            return Ok(vec!["nothing to do: it is so already".to_owned()]);
        }
        let picked = |ids: &BTreeSet<String>, without: &BTreeSet<String>| -> Vec<Fault> {
            all.iter().filter(|f| ids.contains(&f.id) && !without.contains(&f.id)).cloned().collect()
        };
        let (made, mended) = (picked(&wanted, &self.state.faults), picked(&self.state.faults, &wanted));
        // One that this rampup no longer knows is forgotten: nothing can be taken back of it.
        self.state.faults.retain(|id| all.iter().any(|fault| &fault.id == id));
        let before = self.setup()?;
        if ready::ask(Service::Postgres, &before).await.is_err() {
            return Err(LabError::NotRunning("PostgreSQL"));
        }
        let mut done: Vec<String> = mended.iter().map(|fault| format!("mended {}", fault.id)).collect();
        done.extend(made.iter().map(|fault| format!("broke {}: {}", fault.id, fault.title)));
        done.iter().for_each(|line| progress.say(line));
        // What is mended is taken back on a stack without the new faults: these may bend what a command reaches.
        self.state.faults.retain(|id| wanted.contains(id));
        let undo = self.setup()?;
        undo.write_edited(&mended)?;
        self.state.faults = wanted;
        self.save()?;
        for fault in &mended {
            apply(&undo, &fault.unsql, &fault.unmanage, progress).await?;
        }
        let setup = self.setup()?;
        setup.write_edited(&made)?;
        for fault in &made {
            apply(&setup, &fault.sql, &fault.manage, progress).await?;
        }
        done.extend(differences(&before.effective, &setup.effective));
        // The edge forgets what it cached only when it is new: its index is in memory.
        let renewed = self.converge(&setup, &BTreeSet::from([Service::Edge]), progress).await?;
        done.extend(say_renewed(&setup, renewed));
        for command in mended.iter().flat_map(|f| &f.unredis).chain(made.iter().flat_map(|f| &f.redis)) {
            tell(&setup, command).await?;
        }
        for fault in &made {
            apply(&setup, &[], &fault.after, progress).await?;
        }
        Ok(done)
    }
}

/// Statements of the superuser, then `manage.py` commands.
async fn apply(setup: &Setup, statements: &[String], commands: &[Vec<String>], progress: &Progress) -> Result<()> {
    database::apply(setup, statements).await?;
    for command in commands {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        manage(setup, &words, progress).await?;
    }
    Ok(())
}

/// One command to one of the two Redis servers.
async fn tell(setup: &Setup, words: &[String]) -> Result<()> {
    let wrong = |why: String| LabError::Fault(format!("{}: {why}", words.join(" ")));
    let port = match words.first().map(String::as_str) {
        Some("cache") => setup.port("redis_cache"),
        Some("broker") => setup.port("redis_broker"),
        _ => return Err(wrong("say which Redis first: \"cache\" or \"broker\"".into())),
    };
    let (Some(name), rest) = (words.get(1), words.get(2..).unwrap_or_default()) else {
        return Err(wrong("there is no command".into()));
    };
    let mut connection = celery::connect(port).await.map_err(wrong)?;
    let mut command = redis::cmd(name);
    command.arg(rest);
    command.query_async::<redis::Value>(&mut connection).await.map(|_| ()).map_err(|e| wrong(e.to_string()))
}
