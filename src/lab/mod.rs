//! The practice stack: a real Django shop with real PostgreSQL, PgBouncer, Redis, Celery, S3, edge and telemetry sink on
//! free loopback ports, naive at first, each step's remedy a real change. Installs, starts, supervises, applies
//! remedies. Knows no check, no verdict and no screen; nothing but `app` may need it.
//!
//! The services outlive the command that started them; the next command recognises them by more than a pid.

mod account;
mod assets;
mod celery;
mod clouds;
mod command;
mod converge;
mod database;
mod error;
mod faults;
mod files;
mod fixes;
mod identity;
mod install;
mod layout;
mod mutate;
mod ports;
mod progress;
mod ready;
mod render;
mod service;
mod setup;
mod standin;
mod state;
mod steps;
mod supervise;
mod tools;
mod up;
mod weed;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

pub use error::{LabError, Result};
pub use faults::Fault;
pub use install::Needs;
pub use layout::Layout;
pub use progress::Progress;
pub use service::Service;
pub use up::ServiceStatus;

use crate::domain::secret::Secret;
use state::State;
use tools::Tools;

/// The password of every seeded test user (`user1` to `user2000`); `assets/lab/shop` has it in its seed command.
const TEST_PASSWORD: &str = "rampup-practice";

/// One practice stack, in one folder.
pub struct Lab {
    layout: Layout,
    state: State,
}

impl Lab {
    /// Opens the practice stack in a folder, which need not exist yet. Changes nothing.
    ///
    /// # Errors
    /// When the folder cannot hold one, or its state cannot be read.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir).map_err(error::file("find", dir))?;
        let layout = Layout::new(&dir);
        if let Some(why) = layout.too_long() {
            return Err(LabError::Unfit { dir, why });
        }
        let state = State::open(&layout.state())?;
        Ok(Self { layout, state })
    }

    /// Reads the state again: another command may have changed it since.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn reload(&mut self) -> Result<()> {
        self.state = State::open(&self.layout.state())?;
        Ok(())
    }

    /// What this machine lacks, in words to show before the question.
    ///
    /// # Errors
    /// When the built-in files are incomplete.
    pub fn needs(&self) -> Result<Needs> {
        Needs::look(&self.layout, &Tools::find())
    }

    /// Installs what is missing.
    ///
    /// # Errors
    /// When it may not (the error has the exact command to run), or an installer fails.
    pub async fn install(&self, progress: &Progress) -> Result<()> {
        let _lock = self.hold()?;
        install::install(&self.needs()?, &self.layout, progress).await
    }

    /// Ports by name (`edge` is where users arrive); empty before the first start.
    #[must_use]
    pub fn ports(&self) -> &BTreeMap<String, u16> {
        &self.state.ports
    }

    /// The steps whose remedies are in force.
    #[must_use]
    pub fn applied(&self) -> &BTreeSet<u8> {
        &self.state.applied
    }

    /// From the next start on, this library does the background work.
    ///
    /// # Errors
    /// When the choice cannot be written down.
    pub fn choose_queue(&mut self, library: &str) -> Result<()> {
        let _lock = self.lock()?;
        self.state.queue = (library != "celery").then(|| library.to_owned());
        self.save()
    }

    /// From the next start on, stand-ins for Railway's and Cloudflare's APIs run, or no longer do.
    ///
    /// # Errors
    /// When the choice cannot be written down.
    pub fn choose_clouds(&mut self, on: bool) -> Result<()> {
        let _lock = self.lock()?;
        self.state.clouds = on;
        self.save()
    }

    /// True when they run with the rest: they were chosen, or a fault in force wants them.
    #[must_use]
    pub fn clouds(&self) -> bool {
        let wanted = |setup: setup::Setup| setup.effective.services.contains(&Service::Clouds);
        self.state.clouds || self.setup().is_ok_and(wanted)
    }

    /// The library that the shop works with now: "celery", "rq" or "huey".
    #[must_use]
    pub fn library(&self) -> String {
        self.setup().map_or_else(|_| "celery".to_owned(), |setup| setup.library().to_owned())
    }

    /// The shop's source: where its `rampup.toml` and `.env` belong.
    #[must_use]
    pub fn project_dir(&self) -> PathBuf {
        self.layout.project()
    }

    /// The folders of this lab.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The variables that the practice project's `.env` holds, as they are *now*: the app's own DSN goes through the
    /// pooler once step 5 is applied. Before the first start the ports are missing and the list is empty.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, Secret)> {
        let port = |name: &str| self.state.ports.get(name).copied();
        let secret = |name: &str| self.state.secrets.get(name).map_or("", String::as_str);
        let (Some(postgres), Some(pooler), Some(cache), Some(broker)) =
            (port("postgres"), port("pgbouncer"), port("redis_cache"), port("redis_broker"))
        else {
            return Vec::new();
        };
        let effective = self.setup().ok().map(|setup| setup.effective.env);
        let app = |name: &str| effective.as_ref().and_then(|env| env.get(name).cloned());
        let monitor = |port, database| format!("postgres://shop_monitor:{}@127.0.0.1:{port}/{database}", secret("db"));
        [
            ("DATABASE_URL", app("DATABASE_URL").unwrap_or_default()),
            ("DATABASE_DIRECT_URL", monitor(postgres, "shop")),
            ("PGBOUNCER_CONSOLE_URL", monitor(pooler, "pgbouncer")),
            ("REDIS_URL", format!("redis://127.0.0.1:{cache}/0")),
            ("BROKER_URL", app("CELERY_BROKER_URL").unwrap_or_else(|| format!("redis://127.0.0.1:{broker}/0"))),
            ("BUCKET_ACCESS_KEY", secret("s3_access").to_owned()),
            ("BUCKET_SECRET_KEY", secret("s3_secret").to_owned()),
            ("SENTRY_TOKEN", secret("sentry_token").to_owned()),
            ("SENTRY_DSN", app("SENTRY_DSN").unwrap_or_default()),
            ("METRICS_AUTH", format!("Bearer {}", secret("metrics"))),
            ("EDGE_SECRET", secret("edge").to_owned()),
            ("TEST_PASSWORD", TEST_PASSWORD.to_owned()),
            ("CLOUDS_TOKEN", secret("clouds").to_owned()),
        ]
        .map(|(name, value)| (name, Secret::new(value)))
        .into()
    }
}
