//! What a project's folder tells before anything is configured: its framework, and the names of variables that hold
//! addresses. Names only; no value is kept.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use crate::probes;

/// Files that name variables, read from the project's root.
const ENVIRONMENTS: [&str; 4] = [".env", ".env.example", ".env.sample", ".env.dist"];
/// Usual names, the likelier first.
const DATABASE: [&str; 4] = ["DATABASE_URL", "POSTGRES_URL", "PG_URL", "DB_URL"];
const CACHE: [&str; 4] = ["REDIS_URL", "CACHE_URL", "REDIS_CACHE_URL", "CACHE_REDIS_URL"];
const BROKER: [&str; 5] = ["CELERY_BROKER_URL", "BROKER_URL", "RQ_REDIS_URL", "HUEY_REDIS_URL", "REDIS_QUEUE_URL"];

#[expect(clippy::expect_used, reason = "a constant pattern")]
static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[A-Z][A-Z0-9_]*URL\b").expect("a pattern"));

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The variable that seems to hold the database's address.
    pub database: Option<String>,
    /// The cache's.
    pub cache: Option<String>,
    /// The task queue's.
    pub broker: Option<String>,
    /// What was seen, in words.
    pub told: Vec<String>,
}

/// Looks into a folder.
pub fn look(folder: &Path) -> Found {
    let mut names = BTreeSet::new();
    let mut told = Vec::new();
    let settings = probes::repo::settings_files(folder).unwrap_or_default();
    if folder.join("manage.py").exists() {
        told.push("a Django project (manage.py)".to_owned());
    } else {
        told.push("no manage.py here: run init in the project's own folder".to_owned());
    }
    for file in &settings {
        told.push(format!("settings: {}", file.path));
        names.extend(NAME.find_iter(&file.text).map(|name| (name.as_str().to_owned(), file.path.clone())));
    }
    for name in ENVIRONMENTS {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let keys = text.lines().filter_map(|line| line.trim_start().trim_start_matches("export ").split_once('='));
        let keys = keys.map(|(key, _)| key.trim()).filter(|key| NAME.is_match(key));
        names.extend(keys.map(|key| (key.to_owned(), name.to_owned())));
    }
    let mut first = |usual: &[&str], what: &str| {
        let (name, place) = usual.iter().find_map(|wanted| names.iter().find(|(name, _)| name == wanted))?;
        told.push(format!("{what}: {name} in {place}"));
        Some(name.clone())
    };
    let database = first(&DATABASE, "PostgreSQL");
    let cache = first(&CACHE, "Redis");
    let broker = first(&BROKER, "task queue");
    Found { database, cache, broker, told }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_projects_write_them() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            crate::store::atomic::write(&path, text.as_bytes()).unwrap();
        };
        write("manage.py", "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n");
        write("shop/settings.py", "DATABASES = {'default': env.db('DATABASE_URL')}\nMEDIA_URL = '/media/'\n");
        write(".env.example", "export CELERY_BROKER_URL=redis://secret@queue/0\nCACHE_URL=\n");
        let found = look(folder.path());
        assert_eq!(found.database.as_deref(), Some("DATABASE_URL"));
        assert_eq!(found.cache.as_deref(), Some("CACHE_URL"));
        assert_eq!(found.broker.as_deref(), Some("CELERY_BROKER_URL"));
        assert!(
            found.told.iter().any(|told| told == "PostgreSQL: DATABASE_URL in shop/settings.py"),
            "{:?}",
            found.told
        );
        assert!(!format!("{found:?}").contains("secret"));
        assert_eq!(look(tempfile::tempdir().unwrap().path()).database, None);
    }
}
