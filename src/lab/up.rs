//! Brings the stack to what its state asks for, and down again. Every wait asks the service and has a limit.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;

use futures_util::future::join_all;

use super::error::{LabError, Result, file};
use super::progress::Progress;
use super::service::Service;
use super::setup::Setup;
use super::state::State;
use super::supervise::{Supervisor, marks};
use super::tools::Tools;
use super::{Lab, account, assets, files, ports, ready, weed};

/// One service as it answers now.
#[derive(Debug, Clone)]
pub struct ServiceStatus {
    /// Which.
    pub service: Service,
    /// True when the applied steps ask for it.
    pub wanted: bool,
    /// Where it is asked; the worker has no port.
    pub port: Option<u16>,
    /// None when it answered rightly, otherwise why not.
    pub refusal: Option<String>,
}

impl Lab {
    /// Starts what does not run, restarts what is out of date or does not answer, adopts the rest, prepares the data
    /// once. Seconds when everything runs already.
    ///
    /// # Errors
    /// When something is missing, a service does not come to answer within its limit, or preparing fails.
    pub async fn up(&mut self, progress: &Progress) -> Result<()> {
        let needs = self.needs()?;
        if !needs.is_empty() {
            return Err(needs.obstacle().unwrap_or_else(|| LabError::Missing {
                what: "its Python environment and packages".into(),
                command: "rampup lab up --yes".into(),
            }));
        }
        let _lock = self.lock()?;
        self.prepare_folders()?;
        self.forget_lost_data(progress);
        self.settle_ports(progress).await?;
        let setup = self.setup()?;
        setup.write_edited(&setup.faults)?;
        self.converge(&setup, &BTreeSet::new(), progress).await.map(|_| ())
    }

    /// Stops everything in reverse order, then whatever carries this lab's marks.
    ///
    /// # Errors
    /// When a process survives even SIGKILL.
    pub async fn down(&mut self, progress: &Progress) -> Result<()> {
        if !self.layout.run().exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        if self.state.ports.is_empty() {
            return Ok(());
        }
        let setup = self.setup()?;
        let mut supervisor = Supervisor::open(&self.layout);
        supervisor.stop(&BTreeSet::from(Service::ALL), progress).await?;
        supervisor.sweep(&marks(&setup), progress).await?;
        weed::remove_stale_sockets(&|name| setup.port(name));
        Ok(())
    }

    /// Asks every service now. A lab that never started has nothing to ask.
    ///
    /// # Errors
    /// When its state cannot be read.
    pub async fn status(&self) -> Result<Vec<ServiceStatus>> {
        // As it is on disk: another command may have applied a step since.
        let state = State::open(&self.layout.state())?;
        if state.ports.is_empty() {
            return Ok(Vec::new());
        }
        let setup = Setup::new(&self.layout, account::unprivileged()?, Tools::find(), &state)?;
        Ok(join_all(Service::ALL.map(|service| {
            let setup = &setup;
            async move {
                let wanted = setup.effective.services.contains(&service);
                let port = service.port_name().map(|name| setup.port(name));
                let refusal = ready::ask(service, setup).await.err().map(|why| self.clean(&why));
                ServiceStatus { service, wanted, port, refusal }
            }
        }))
        .await)
    }

    /// The state turned into things to start.
    pub(super) fn setup(&self) -> Result<Setup> {
        Setup::new(&self.layout, account::unprivileged()?, Tools::find(), &self.state)
    }

    /// One command at a time changes a lab, beginning from the state that the last one left.
    pub(super) fn lock(&mut self) -> Result<File> {
        let lock = self.hold()?;
        self.reload()?;
        Ok(lock)
    }

    /// Keeps other commands out. The lock goes with the process, however that ends.
    pub(super) fn hold(&self) -> Result<File> {
        let path = self.layout.root().join("lock");
        files::folder(self.layout.root(), 0o755, None)?;
        let lock = File::create(&path).map_err(file("open", &path))?;
        lock.try_lock().map_err(|_| LabError::Busy { dir: self.layout.root().to_owned() })?;
        Ok(lock)
    }

    /// Folders for the services' account, the shop's source unpacked.
    fn prepare_folders(&mut self) -> Result<()> {
        let account = account::unprivileged()?;
        let layout = &self.layout;
        if account.is_some() {
            // The services' account must be able to walk in from the top.
            let closed = layout
                .root()
                .ancestors()
                .find(|dir| fs::metadata(dir).is_ok_and(|meta| meta.permissions().mode() & 0o001 == 0));
            if let Some(closed) = closed {
                let why = format!(
                    "the services run as an unprivileged account, which may not enter {}; choose another folder",
                    closed.display()
                );
                return Err(LabError::Unfit { dir: layout.root().to_owned(), why });
            }
        }
        files::folder(&layout.conf(), 0o755, None)?;
        for dir in [layout.data(), layout.log(), layout.run()] {
            files::folder(&dir, 0o700, account.as_ref())?;
        }
        for name in ["s3", "redis_cache", "redis_broker", "edge-cache", "media", "static"] {
            files::folder(&layout.data().join(name), 0o700, account.as_ref())?;
        }
        let digest = assets::digest("shop")?;
        if !self.state.is_prepared("project", &digest) || !layout.project().join("manage.py").exists() {
            assets::unpack("shop", &layout.project())?;
            self.state.prepared.insert("project".into(), digest);
            self.save()?;
        }
        // What the project says its versions are: checks of the repository read it.
        let list = assets::text("requirements.txt")?;
        files::write_changed(&layout.project().join("requirements.txt"), list.as_bytes(), 0o644, None)?;
        Ok(())
    }

    /// A lab whose cluster was removed begins anew; its state must not claim remedies that are gone.
    fn forget_lost_data(&mut self, progress: &Progress) {
        if self.state.prepared.contains_key("seed") && !self.layout.cluster().join("PG_VERSION").exists() {
            progress.say("the data of this practice stack is gone: beginning anew, naive");
            self.state.prepared.remove("seed");
            self.state.applied.clear();
            self.state.faults.clear();
        }
    }

    /// Keeps the ports as long as they are free or ours; otherwise says who has one, and moves.
    async fn settle_ports(&mut self, progress: &Progress) -> Result<()> {
        let supervisor = Supervisor::open(&self.layout);
        if !self.state.ports.is_empty() {
            supervisor.sweep(&marks(&self.setup()?), progress).await?;
        }
        let taken = self.state.ports.iter().find(|(name, port)| {
            let owner = Service::ALL.into_iter().find(|service| service.owns_port(name));
            owner.is_none_or(|service| supervisor.alive(service).is_none()) && !ports::is_free(**port)
        });
        if let Some((name, port)) = taken {
            let owner = ports::owner(*port);
            progress
                .say(format!("port {port} ({name}) is taken by {owner}: moving this practice stack to other ports"));
        }
        if taken.is_some() || self.state.ports.len() != ports::NAMES.len() {
            self.state.ports = ports::pick()?;
        }
        self.save()
    }

    pub(super) fn save(&self) -> Result<()> {
        self.state.save(&self.layout.state())
    }
}
