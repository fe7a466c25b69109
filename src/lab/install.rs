//! What the practice stack needs and this machine lacks, in words first; then installs it. Starts no service, and keeps
//! package managers from starting any.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::account;
use super::assets;
use super::command::Task;
use super::error::{LabError, Result};
use super::files;
use super::layout::Layout;
use super::progress::Progress;
use super::standin::StandIn;
use super::tools::{Part, Tools};

/// What is missing, and the way this machine would get it.
#[derive(Debug, Clone)]
pub struct Needs {
    parts: Vec<Part>,
    environment: bool,
    venv: PathBuf,
    manager: Manager,
}

/// The machine's package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manager {
    Apt,
    Brew,
    Unknown,
}

impl Manager {
    fn here() -> Self {
        if cfg!(target_os = "macos") {
            Self::Brew
        } else if Path::new("/usr/bin/apt-get").exists() {
            Self::Apt
        } else {
            Self::Unknown
        }
    }
}

impl Needs {
    /// Looks at the machine and at the lab's Python environment.
    pub(crate) fn look(layout: &Layout, tools: &Tools) -> Result<Self> {
        let environment = !is_current(layout)?;
        Ok(Self { parts: tools.missing(), environment, venv: layout.venv(), manager: Manager::here() })
    }

    /// True when everything is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && !self.environment
    }

    /// What would be done, one sentence each, to show before the question.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if !self.parts.is_empty() {
            sentences.push(format!("install {}: {}", self.names(), self.package_command()));
            if self.manager == Manager::Apt {
                sentences.push("nothing of it is started as a system service, now or at boot".to_owned());
            }
        }
        if self.environment {
            sentences.push(format!(
                "make a Python environment with Django, gunicorn, Celery and SeaweedFS (about 350 MB): \
                 python3 -m venv {0} && {0}/bin/pip install --require-hashes -r requirements.txt",
                self.venv.display()
            ));
        }
        sentences
    }

    /// Why [`super::Lab::install`] could not do it here, if so: with the command to run by hand.
    #[must_use]
    pub fn obstacle(&self) -> Option<LabError> {
        let may = self.manager == Manager::Apt && account::is_root();
        (!self.parts.is_empty() && !may)
            .then(|| LabError::Missing { what: self.names(), command: self.package_command() })
    }

    fn names(&self) -> String {
        self.parts.iter().map(|part| part.name).collect::<Vec<_>>().join(", ")
    }

    fn packages(&self) -> Vec<&'static str> {
        self.parts.iter().flat_map(|part| part.apt).copied().collect()
    }

    fn package_command(&self) -> String {
        let sudo = if account::is_root() { "" } else { "sudo " };
        match self.manager {
            Manager::Apt => format!("{sudo}apt-get install --no-install-recommends {}", self.packages().join(" ")),
            Manager::Brew => {
                format!("brew install {}", self.parts.iter().map(|part| part.brew).collect::<Vec<_>>().join(" "))
            }
            Manager::Unknown => format!("(with your package manager) install {}", self.names()),
        }
    }
}

/// Installs what is missing; returns when nothing is.
pub(crate) async fn install(needs: &Needs, layout: &Layout, progress: &Progress) -> Result<()> {
    if let Some(obstacle) = needs.obstacle() {
        return Err(obstacle);
    }
    if !needs.parts.is_empty() {
        packages(needs, progress).await?;
    }
    if needs.environment {
        // Look again: Python may be one of the packages.
        environment(layout, &Tools::find(), progress).await?;
    }
    Ok(())
}

/// Debian starts what it installs, makes a PostgreSQL cluster and enables units; we want the programs alone.
async fn packages(needs: &Needs, progress: &Progress) -> Result<()> {
    let systemd = Path::new("/run/systemd/system").is_dir();
    let enabled_before: Vec<bool> = needs.parts.iter().map(|part| part.unit.is_some_and(unit_exists)).collect();
    let _policy = StandIn::unless_there("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)?;
    progress.say("asking the package manager for news (apt-get update)");
    if let Err(error) = apt(&["update", "-q"], Duration::from_secs(300)).run(progress).await {
        // A single dead source must not be the end: what is needed may be known already.
        progress.say(format!("going on without: {error}"));
    }
    let packages = needs.packages();
    if packages.contains(&"postgresql") {
        progress.say("installing postgresql-common, so that no database cluster is made for the system");
        install_packages(&["postgresql-common"]).run(progress).await?;
    }
    let _no_cluster = if packages.contains(&"postgresql") {
        Some(StandIn::instead_of("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n")?)
    } else {
        None
    };
    progress.say(format!("installing {}", packages.join(" ")));
    install_packages(&packages).run(progress).await?;
    for (part, before) in needs.parts.iter().zip(enabled_before) {
        if let (true, false, Some(unit)) = (systemd, before, part.unit) {
            progress.say(format!("{unit} stays off at boot"));
            let disable = system_task("systemctl", &["disable", "--quiet", unit], Duration::from_secs(60));
            if let Err(error) = disable.run(progress).await {
                progress.say(format!("could not switch {unit} off at boot: {error}"));
            }
        }
    }
    Ok(())
}

fn unit_exists(unit: &str) -> bool {
    ["/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/system"]
        .iter()
        .any(|place| Path::new(place).join(format!("{unit}.service")).exists())
}

fn install_packages(packages: &[&str]) -> Task {
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments, Duration::from_secs(1800))
}

fn apt(arguments: &[&str], limit: Duration) -> Task {
    let mut task = system_task("apt-get", arguments, limit);
    task.env.insert("DEBIAN_FRONTEND".into(), "noninteractive".into());
    // Needrestart would restart services that run.
    task.env.insert("NEEDRESTART_SUSPEND".into(), "1".into());
    task
}

fn system_task(program: &str, arguments: &[&str], limit: Duration) -> Task {
    Task {
        what: format!("{program} {}", arguments.join(" ")),
        program: program.into(),
        arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
        env: BTreeMap::new(),
        inherits: true,
        folder: "/".into(),
        account: None,
        limit,
    }
}

/// The stamp that says from what an environment was made.
fn stamp(layout: &Layout) -> PathBuf {
    layout.venv().join("rampup-stamp")
}

fn is_current(layout: &Layout) -> Result<bool> {
    let made_from = std::fs::read_to_string(stamp(layout)).unwrap_or_default();
    // The interpreter is a link: it dangles when the system's Python was replaced by another version.
    Ok(made_from == assets::digest("requirements.txt")? && layout.program("python").exists())
}

async fn environment(layout: &Layout, tools: &Tools, progress: &Progress) -> Result<()> {
    files::folder(layout.root(), 0o755, None)?;
    let list = layout.root().join("requirements.txt");
    files::write_changed(&list, assets::text("requirements.txt")?.as_bytes(), 0o644, None)?;
    progress.say("making a Python environment");
    let (venv, python) = (layout.venv(), tools.python.clone());
    readable(&python, &["-m", "venv", "--clear", &venv.to_string_lossy()], Duration::from_secs(180))
        .run(progress)
        .await?;
    progress.say("installing Django, gunicorn, Celery, SeaweedFS and what they need");
    let list = list.to_string_lossy();
    let install = ["-m", "pip", "install", "--require-hashes", "--disable-pip-version-check", "--no-input"];
    let options = ["--progress-bar", "off", "-r", &list];
    let arguments: Vec<&str> = install.into_iter().chain(options).collect();
    readable(&layout.program("python"), &arguments, Duration::from_secs(1200)).run(progress).await?;
    files::write(&stamp(layout), assets::digest("requirements.txt")?.as_bytes(), 0o644, None)
}

/// Runs a command so that what it makes can be read by the services' account, however strict root's umask is.
fn readable(program: &Path, arguments: &[&str], limit: Duration) -> Task {
    let name = program.to_string_lossy();
    let mut line = vec!["-c", "umask 022; exec \"$@\"", "sh", &name];
    line.extend(arguments);
    let mut task = system_task("/bin/sh", &line, limit);
    task.what = format!("{name} {}", arguments.join(" "));
    task
}

#[cfg(test)]
mod tests {
    use super::super::tools;
    use super::*;

    fn lacking(manager: Manager) -> Needs {
        Needs { parts: vec![tools::POSTGRES, tools::REDIS], environment: true, venv: "/lab/venv".into(), manager }
    }

    #[test]
    fn says_the_exact_command_for_each_machine() {
        assert!(
            lacking(Manager::Apt)
                .package_command()
                .ends_with("apt-get install --no-install-recommends postgresql postgresql-contrib redis-server")
        );
        assert_eq!(lacking(Manager::Brew).package_command(), "brew install postgresql@17 redis");
        let obstacle = lacking(Manager::Brew).obstacle().unwrap().to_string();
        assert!(obstacle.contains("PostgreSQL, Redis") && obstacle.contains("brew install"), "{obstacle}");
        assert_eq!(lacking(Manager::Apt).sentences().len(), 3);
    }

    #[test]
    fn an_environment_made_from_other_requirements_is_not_current() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        std::fs::create_dir_all(layout.venv().join("bin")).unwrap();
        std::os::unix::fs::symlink("/bin/sh", layout.program("python")).unwrap();
        assert!(!is_current(&layout).unwrap());
        files::write(&stamp(&layout), b"other", 0o644, None).unwrap();
        assert!(!is_current(&layout).unwrap());
        files::write(&stamp(&layout), assets::digest("requirements.txt").unwrap().as_bytes(), 0o644, None).unwrap();
        assert!(is_current(&layout).unwrap());
    }
}
