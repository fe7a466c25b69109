//! Where everything of a practice stack lies. Knows names, not contents.

use std::path::{Path, PathBuf};

use super::account;

/// The folders and files below one lab folder.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

/// Longest path of a Unix socket on Linux less its end byte; a Mac allows 103.
const SOCKET_PATH: usize = 103;

impl Layout {
    /// The layout below this folder, which must be absolute.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The usual place: `/var/lib/rampup/lab` for root, otherwise `rampup/lab` below the user's data folder.
    #[must_use]
    pub fn usual(data_home: &Path) -> PathBuf {
        let base = if account::is_root() { Path::new("/var/lib") } else { data_home };
        base.join("rampup/lab")
    }

    /// The lab folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Python environment.
    #[must_use]
    pub fn venv(&self) -> PathBuf {
        self.root.join("venv")
    }

    /// The shop's source, rampup.toml and .env: the practice project.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.root.join("project")
    }

    /// Everything the services store.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Faults that somebody adds to those that are built in.
    #[must_use]
    pub fn faults(&self) -> PathBuf {
        self.root.join("faults")
    }

    /// Rendered configuration files.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.root.join("conf")
    }

    /// One log per service; the one before is kept as `.1`.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// Sockets, locks and the list of running processes.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    /// Which steps are applied, ports, secrets.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state.toml")
    }

    /// PostgreSQL's cluster.
    #[must_use]
    pub fn cluster(&self) -> PathBuf {
        self.data().join("postgres")
    }

    /// What nginx caches.
    #[must_use]
    pub fn edge_cache(&self) -> PathBuf {
        self.data().join("edge-cache")
    }

    /// A program of the Python environment.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.venv().join("bin").join(name)
    }

    /// A service's log.
    #[must_use]
    pub fn log_of(&self, service: &str) -> PathBuf {
        self.log().join(format!("{service}.log"))
    }

    /// Why Unix sockets could not be made here, if so.
    pub(crate) fn too_long(&self) -> Option<String> {
        let longest = self.run().join(".s.PGSQL.65535.lock").as_os_str().len();
        (longest > SOCKET_PATH).then(|| {
            format!("its path is {} characters too long for Unix sockets; choose a shorter one", longest - SOCKET_PATH)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_folder_is_refused_before_a_socket_fails() {
        assert_eq!(Layout::new(Path::new("/var/lib/rampup/lab")).too_long(), None);
        let deep = format!("/home/someone/{}", "x".repeat(90));
        assert!(Layout::new(Path::new(&deep)).too_long().is_some_and(|why| why.contains("too long")));
    }
}
