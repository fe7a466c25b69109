//! Starts services, remembers them by more than a pid, and stops them and whatever they left. Asks no service anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};

use super::error::{LabError, Result, file};
use super::files;
use super::identity::{Identity, Marks};
use super::layout::Layout;
use super::progress::Progress;
use super::service::{Launch, Service};
use super::setup::{MARK, Setup};
use super::weed;

/// How often a stopping process is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// A service that we started, as `run/services.json` keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Leader of its own process group.
    pub identity: Identity,
    /// What it was started from; see [`Launch::fingerprint`].
    pub fingerprint: String,
}

/// The services that were started and not yet stopped.
pub(crate) struct Supervisor {
    path: PathBuf,
    records: BTreeMap<Service, Record>,
}

impl Supervisor {
    /// Reads what an earlier command started. A list that cannot be read is no harm: the marks find the processes.
    pub fn open(layout: &Layout) -> Self {
        let path = layout.run().join("services.json");
        let records = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { path, records }
    }

    /// The process of a service, if exactly that process still runs.
    pub fn alive(&self, service: Service) -> Option<&Record> {
        self.records.get(&service).filter(|record| record.identity.is_alive())
    }

    /// Starts a service in a process group of its own, without input, its output in its log, root's rights dropped.
    pub fn start(&mut self, launch: &Launch, setup: &Setup) -> Result<()> {
        let layout = &setup.layout;
        let log = layout.log_of(launch.service.name());
        let others: &[&str] = if launch.service == Service::Edge { &["edge-access", "edge-error"] } else { &[] };
        for log in others.iter().map(|name| layout.log_of(name)).chain([log.clone()]).filter(|log| log.exists()) {
            fs::rename(&log, log.with_extension("log.1")).map_err(file("keep", &log))?;
        }
        if launch.service == Service::S3 {
            weed::remove_stale_sockets(&|name| setup.port(name));
        }
        let output = fs::File::create(&log).map_err(file("write", &log))?;
        let errors = output.try_clone().map_err(file("write", &log))?;
        let mut command = tokio::process::Command::new(&launch.program);
        command.args(&launch.arguments).env_clear().envs(&launch.env).current_dir(layout.run()).process_group(0);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        if let Some(account) = &setup.account {
            command.uid(account.uid).gid(account.gid);
        }
        let child = command.spawn().map_err(file("start", &launch.program))?;
        // The child is not waited for yet, so its entry exists even if it has died already.
        let identity = child.id().and_then(Identity::of).ok_or_else(|| LabError::NotReady {
            service: launch.service.name(),
            why: "cannot be found in /proc".into(),
            log,
            tail: String::new(),
        })?;
        self.records.insert(launch.service, Record { identity, fingerprint: launch.fingerprint() });
        self.save()
    }

    /// Stops those of these services that run, users of a service before the service.
    pub async fn stop(&mut self, services: &BTreeSet<Service>, progress: &Progress) -> Result<()> {
        for tier in Service::TIERS.iter().rev() {
            let leaving: Vec<Service> = tier.iter().copied().filter(|service| services.contains(service)).collect();
            let alive = leaving.iter().filter_map(|service| Some((*service, &self.alive(*service)?.identity)));
            let ends = join_all(alive.map(|(service, identity)| end(service, identity, progress))).await;
            ends.into_iter().collect::<Result<()>>()?;
            self.records.retain(|service, _| !leaving.contains(service));
            self.save()?;
        }
        Ok(())
    }

    /// Kills every process of this lab that is not (the group of) a service we know: leftovers of a killed service or
    /// of a killed rampup. Says how many there were.
    pub async fn sweep(&self, marks: &Marks, progress: &Progress) -> Result<usize> {
        let known: Vec<u32> = Service::ALL.iter().filter_map(|s| Some(self.alive(*s)?.identity.pid)).collect();
        let limit = Instant::now() + Duration::from_secs(10);
        let mut swept = 0;
        loop {
            // PostgreSQL's children lead groups of their own; they go with their parent and are no leftovers.
            let strays: Vec<Identity> = marks
                .find()
                .into_iter()
                .filter(|(identity, group)| !known.contains(group) && !identity.descends_from(&known))
                .map(|(identity, _)| identity)
                .collect();
            let Some(first) = strays.first() else { break };
            if Instant::now() > limit {
                return Err(LabError::Unstoppable { service: "a leftover".into(), pid: first.pid });
            }
            if swept == 0 {
                swept = strays.len();
                progress.say(format!("removing {swept} leftover processes of this practice stack"));
            }
            strays.iter().for_each(|stray| send(stray.pid, Signal::KILL));
            tokio::time::sleep(GLANCE).await;
        }
        Ok(swept)
    }

    fn save(&self) -> Result<()> {
        let text = serde_json::to_vec_pretty(&self.records).unwrap_or_default();
        files::write(&self.path, &text, 0o600, None)
    }
}

/// Ends one process: kindly first, then its whole group for good.
async fn end(service: Service, identity: &Identity, progress: &Progress) -> Result<()> {
    progress.say(format!("stopping {}", service.name()));
    let (signal, limit) = service.farewell();
    send(identity.pid, signal);
    if gone(identity, limit).await {
        return Ok(());
    }
    progress.say(format!("{} does not stop within {} s: killing it", service.name(), limit.as_secs()));
    send_group(identity.pid, Signal::KILL);
    if gone(identity, Duration::from_secs(5)).await {
        return Ok(());
    }
    Err(LabError::Unstoppable { service: service.name().into(), pid: identity.pid })
}

/// How this lab's processes are recognised.
pub(crate) fn marks(setup: &Setup) -> Marks {
    let layout = &setup.layout;
    let venv = ["python", "weed"].map(|name| layout.program(name));
    Marks {
        uid: setup.account.as_ref().map_or_else(|| rustix::process::geteuid().as_raw(), |account| account.uid),
        variable: format!("{MARK}={}", layout.root().display()),
        folders: vec![layout.run(), layout.data()],
        programs: setup.tools.real_paths(&venv),
    }
}

/// Waits until the process runs no more; false when it still does at the limit.
async fn gone(identity: &Identity, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    while identity.is_alive() {
        if Instant::now() > end {
            return false;
        }
        tokio::time::sleep(GLANCE).await;
    }
    true
}

/// A signal to a process that may have gone by now, which is just as well.
fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn send_group(leader: u32, signal: Signal) {
    if let Some(leader) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(leader, signal);
    }
}
