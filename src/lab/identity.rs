//! Which process is which: a pid alone says nothing once it has been used twice. Reads `/proc` (asks `ps` where there is
//! none, on a Mac); kills nothing.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A process that cannot be confused with a later one of the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub pid: u32,
    /// When it started: clock ticks since boot (`/proc/PID/stat`, field 22), or the date that `ps` shows.
    started: String,
    /// Which boot (`/proc/sys/kernel/random/boot_id`); empty where a date needs none.
    boot: String,
}

impl Identity {
    /// The identity of a process that exists now, be it a zombie.
    pub fn of(pid: u32) -> Option<Self> {
        let stat = Stat::read(pid)?;
        Some(Self { pid, started: stat.started, boot: boot() })
    }

    /// True while exactly this process runs. A zombie runs no more.
    pub fn is_alive(&self) -> bool {
        self.boot == boot()
            && Stat::read(self.pid).is_some_and(|stat| stat.started == self.started && !matches!(stat.state, 'Z' | 'X'))
    }

    /// True when one of these processes is its parent, grandparent, ….
    pub fn descends_from(&self, ancestors: &[u32]) -> bool {
        let parent = |pid: u32| Stat::read(pid).map(|stat| stat.parent).filter(|parent| *parent > 1);
        std::iter::successors(parent(self.pid), |pid| parent(*pid)).take(64).any(|pid| ancestors.contains(&pid))
    }
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// What the system says of a process, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: u32,
    group: u32,
    started: String,
}

impl Stat {
    #[cfg(target_os = "linux")]
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    #[cfg(not(target_os = "linux"))]
    fn read(pid: u32) -> Option<Self> {
        Self::ask_ps(pid)
    }

    #[cfg(any(test, not(target_os = "linux")))]
    fn ask_ps(pid: u32) -> Option<Self> {
        let mut ps = std::process::Command::new("ps");
        ps.args(["-o", "stat=,ppid=,pgid=,lstart=", "-p", &pid.to_string()]).env("LC_ALL", "C");
        let said = ps.output().ok()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let mut fields = said.split_whitespace();
        Some(Self {
            state: fields.next()?.chars().next()?,
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
            started: fields.collect::<Vec<_>>().join(" "),
        })
    }

    #[cfg(any(test, target_os = "linux"))]
    /// The name in brackets may hold brackets and spaces itself, so count from the last one.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: (*fields.get(19)?).to_owned(),
        })
    }
}

/// How a lab's processes are told from everybody else's.
#[derive(Debug)]
pub(crate) struct Marks {
    /// Who they run as.
    pub uid: u32,
    /// `RAMPUP_LAB=<lab folder>`, which every child inherits.
    pub variable: String,
    /// Folders that only services work in.
    pub folders: Vec<PathBuf>,
    /// The services' programs, links followed.
    pub programs: Vec<PathBuf>,
}

impl Marks {
    /// Every living process of this lab, with its process group.
    ///
    /// PostgreSQL, Redis and nginx write their titles over their environment, so for them the working folder *and* the
    /// program must fit. A person's own shell in the lab's folder has neither mark.
    pub fn find(&self) -> Vec<(Identity, u32)> {
        let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
        numbers
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| *pid != std::process::id() && self.fits(*pid))
            .filter_map(|pid| Some((Identity::of(pid)?, Stat::read(pid)?.group)))
            .filter(|(identity, _)| identity.is_alive())
            .collect()
    }

    fn fits(&self, pid: u32) -> bool {
        use std::os::unix::fs::MetadataExt;
        let process = PathBuf::from(format!("/proc/{pid}"));
        fs::metadata(&process).is_ok_and(|m| m.uid() == self.uid)
            && (self.carries_variable(&process) || self.works_for_us(&process))
    }

    fn carries_variable(&self, process: &Path) -> bool {
        fs::read(process.join("environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == self.variable.as_bytes()))
    }

    fn works_for_us(&self, process: &Path) -> bool {
        let link = |name: &str| fs::read_link(process.join(name)).unwrap_or_default();
        let (folder, program) = (link("cwd"), link("exe"));
        // A program replaced by an upgrade shows as "… (deleted)".
        let program = program.to_string_lossy();
        let program = Path::new(program.trim_end_matches(" (deleted)"));
        self.folders.iter().any(|ours| folder.starts_with(ours)) && self.programs.iter().any(|ours| program == ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn sleeper(mark: &str) -> std::process::Child {
        Command::new("sleep").arg("60").env("RAMPUP_LAB", mark).stdin(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_pid_used_again_is_another_process() {
        let mut child = sleeper("/none");
        let identity = Identity::of(child.id()).unwrap();
        assert!(identity.is_alive());
        assert!(!Identity { started: format!("{}1", identity.started), ..identity.clone() }.is_alive());
        assert!(!Identity { boot: "another".into(), ..identity.clone() }.is_alive());
        child.kill().unwrap();
        while Stat::read(identity.pid).is_some_and(|stat| stat.state != 'Z') {
            std::thread::yield_now();
        }
        assert!(!identity.is_alive(), "a zombie runs no more");
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn only_processes_with_this_lab_s_mark_are_found() {
        let (mut ours, mut theirs) = (sleeper("/lab/one"), sleeper("/lab/one/more"));
        let marks = Marks {
            uid: rustix::process::geteuid().as_raw(),
            variable: "RAMPUP_LAB=/lab/one".into(),
            folders: vec![],
            programs: vec![],
        };
        let found: Vec<u32> = marks.find().into_iter().map(|(identity, _)| identity.pid).collect();
        assert_eq!(found, [ours.id()]);
        let nobody = Marks { uid: marks.uid + 1, ..marks };
        assert!(nobody.find().is_empty());
        for child in [&mut ours, &mut theirs] {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    #[test]
    fn ps_says_the_same_as_proc() {
        let mut child = sleeper("/none");
        let (proc, ps) = (Stat::read(child.id()).unwrap(), Stat::ask_ps(child.id()).unwrap());
        assert_eq!((proc.parent, proc.group), (ps.parent, ps.group));
        assert_eq!(ps.started.split(' ').count(), 5, "{}", ps.started);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(Stat::ask_ps(child.id()), None);
    }

    #[test]
    fn reads_a_stat_line_whose_name_is_hostile() {
        let line = "7 (a) S (b) R 1 42 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 31415 1 1";
        assert_eq!(Stat::parse(line), Some(Stat { state: 'R', parent: 1, group: 42, started: "31415".into() }));
        assert_eq!(Stat::parse("7 (short) S 1"), None);
    }
}
