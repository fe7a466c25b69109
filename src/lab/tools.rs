//! Which programs of the machine the practice stack uses, and where they lie. Looks, installs nothing.

use std::path::{Path, PathBuf};

/// Where system programs lie besides PATH; an ordinary user's PATH often lacks `/usr/sbin`.
const PLACES: [&str; 8] = [
    "/usr/bin",
    "/usr/sbin",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/opt/homebrew/bin",
    "/opt/homebrew/sbin",
    "/opt/homebrew/opt/postgresql@17/bin",
    "/usr/local/opt/postgresql@17/bin",
];

/// Paths of the programs; empty paths where one is missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tools {
    postgres_bin: PathBuf,
    pub pgbouncer: PathBuf,
    pub redis: PathBuf,
    pub nginx: PathBuf,
    pub python: PathBuf,
}

/// A program the practice stack cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    /// What people call it.
    pub name: &'static str,
    /// Debian's packages.
    pub apt: &'static [&'static str],
    /// Homebrew's formula.
    pub brew: &'static str,
    /// systemd's unit, which must not start by itself because of us.
    pub unit: Option<&'static str>,
}

pub(crate) const POSTGRES: Part = Part {
    name: "PostgreSQL",
    apt: &["postgresql", "postgresql-contrib"],
    brew: "postgresql@17",
    unit: Some("postgresql"),
};
pub(crate) const PGBOUNCER: Part =
    Part { name: "PgBouncer", apt: &["pgbouncer"], brew: "pgbouncer", unit: Some("pgbouncer") };
pub(crate) const REDIS: Part =
    Part { name: "Redis", apt: &["redis-server"], brew: "redis", unit: Some("redis-server") };
pub(crate) const NGINX: Part = Part { name: "nginx", apt: &["nginx"], brew: "nginx", unit: Some("nginx") };
pub(crate) const PYTHON: Part =
    Part { name: "Python with venv", apt: &["python3", "python3-venv"], brew: "python@3.13", unit: None };

impl Tools {
    /// Looks for everything.
    pub fn find() -> Self {
        let first = |name: &str| which(name).unwrap_or_default();
        Self {
            postgres_bin: newest_postgres().unwrap_or_default(),
            pgbouncer: first("pgbouncer"),
            redis: first("redis-server"),
            nginx: first("nginx"),
            python: first("python3"),
        }
    }

    /// A program of PostgreSQL's.
    pub fn postgres(&self, program: &str) -> PathBuf {
        self.postgres_bin.join(program)
    }

    /// What is missing.
    pub fn missing(&self) -> Vec<Part> {
        let found = [
            (POSTGRES, !self.postgres_bin.as_os_str().is_empty()),
            (PGBOUNCER, !self.pgbouncer.as_os_str().is_empty()),
            (REDIS, !self.redis.as_os_str().is_empty()),
            (NGINX, !self.nginx.as_os_str().is_empty()),
            (PYTHON, has_venv(&self.python)),
        ];
        found.into_iter().filter(|(_, there)| !there).map(|(part, _)| part).collect()
    }

    /// Where the programs' files really are, links followed: what `/proc/PID/exe` shows.
    pub fn real_paths(&self, venv_programs: &[PathBuf]) -> Vec<PathBuf> {
        [&self.postgres("postgres"), &self.pgbouncer, &self.redis, &self.nginx]
            .into_iter()
            .chain(venv_programs)
            .filter_map(|path| path.canonicalize().ok())
            .collect()
    }
}

fn which(name: &str) -> Option<PathBuf> {
    PLACES.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file())
}

/// The folder with `initdb` and `postgres`: Debian keeps one per major version outside PATH.
fn newest_postgres() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| is_server(bin))
        .collect();
    versions.sort();
    let debian = versions.pop().map(|(_, bin)| bin);
    debian.or_else(|| PLACES.iter().map(PathBuf::from).find(|bin| is_server(bin)))
}

/// True for a server with the extension that counts statements (Debian once packed it apart).
fn is_server(bin: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| bin.join(program).is_file())
}

/// Python alone does not do: Debian packs what makes environments apart. Django 5.2 needs 3.10.
fn has_venv(python: &Path) -> bool {
    !python.as_os_str().is_empty()
        && std::process::Command::new(python)
            .args(["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))"])
            .env_clear()
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_nothing_found_everything_is_missing() {
        let names: Vec<&str> = Tools::default().missing().iter().map(|part| part.name).collect();
        assert_eq!(names, ["PostgreSQL", "PgBouncer", "Redis", "nginx", "Python with venv"]);
    }
}
