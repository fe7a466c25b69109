//! What a project's folder tells before anything is configured: how it is built, the names of variables that hold
//! addresses, pages to visit, and which step seems half done. Names and paths only; no value is kept, and nothing is proven.

use std::collections::BTreeSet;
use std::path::Path;

use crate::django::{Scan, Variable};

/// Files that name variables, read from the project's root.
const ENVIRONMENTS: [&str; 4] = [".env", ".env.example", ".env.sample", ".env.dist"];
/// Usual names, the likelier first.
const DATABASE: [&str; 4] = ["DATABASE_URL", "POSTGRES_URL", "PG_URL", "DB_URL"];
const CACHE: [&str; 4] = ["REDIS_URL", "CACHE_URL", "REDIS_CACHE_URL", "CACHE_REDIS_URL"];
const BROKER: [&str; 5] = ["CELERY_BROKER_URL", "BROKER_URL", "RQ_REDIS_URL", "HUEY_REDIS_URL", "REDIS_QUEUE_URL"];

/// Which answers of a scan belong to which step, with words for people.
const STEPS: [(u8, &[(&str, &str)]); 6] = [
    (1, &[("sentry", "Sentry"), ("metrics_endpoint", "metrics"), ("health_endpoint", "health page")]),
    (2, &[("static_serving", "static files by"), ("hashed_static", "hashed names")]),
    (3, &[("cache_backend", "cache")]),
    (4, &[("media_object_storage", "uploads in a bucket"), ("presigned_uploads", "presigned")]),
    (5, &[("conn_max_age", "CONN_MAX_AGE"), ("pgbouncer_hints", "pooler"), ("db_pool", "pool")]),
    (6, &[("task_queue", "task queue"), ("worker_process", "worker")]),
];

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The variable that seems to hold the database's address.
    pub database: Option<String>,
    /// The cache's.
    pub cache: Option<String>,
    /// The task queue's.
    pub broker: Option<String>,
    /// Path of a health page.
    pub health: Option<String>,
    /// Public pages.
    pub pages: Vec<String>,
    /// What was seen, in words.
    pub told: Vec<String>,
}

/// Looks into a folder.
pub fn look(folder: &Path) -> Found {
    let scan = match Scan::read(folder) {
        Ok(scan) => scan,
        Err(why) => return Found { told: vec![why.to_string()], ..Found::default() },
    };
    let written = written(folder);
    let mut told = vec![format!(
        "settings in production: {}",
        scan.settings_module.as_deref().unwrap_or("not named by any file here")
    )];
    let mut first = |read: &Option<Variable>, usual: &[&str], what: &str| {
        let in_files = || usual.iter().find_map(|wanted| written.iter().find(|(name, _)| name == wanted).cloned());
        let (name, place) = read.as_ref().map(|read| (read.name.clone(), read.place.clone())).or_else(in_files)?;
        told.push(format!("{what}: {name} in {place}"));
        Some(name)
    };
    let database = first(&scan.hints.database, &DATABASE, "PostgreSQL");
    let cache = first(&scan.hints.cache, &CACHE, "Redis");
    let broker = first(&scan.hints.broker, &BROKER, "task queue");
    let health = scan.fact("health_endpoint").and_then(|fact| fact.detail.clone()).filter(|path| path.starts_with('/'));
    told.extend(STEPS.iter().map(|(step, facts)| {
        let said = |(name, words): &(&str, &str)| Some(format!("{words} {}", scan.fact(name)?.value));
        format!("step {step}, as the files say: {}", facts.iter().filter_map(said).collect::<Vec<_>>().join(", "))
    }));
    Found { database, cache, broker, health, pages: scan.hints.pages, told }
}

/// Names that the environment files of a folder give a value, each with its file.
fn written(folder: &Path) -> BTreeSet<(String, String)> {
    let mut names = BTreeSet::new();
    for file in ENVIRONMENTS {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
        let keys = text.lines().filter_map(|line| line.trim_start().trim_start_matches("export ").split_once('='));
        names.extend(keys.map(|(key, _)| (key.trim().to_owned(), file.to_owned())));
    }
    names
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
        let settings = "import environ\nenv = environ.Env()\nINSTALLED_APPS = []\nMEDIA_URL = '/media/'\n\
            DATABASES = {'default': env.db('DATABASE_URL')}\n";
        write("shop/settings.py", settings);
        write(".env.example", "export CELERY_BROKER_URL=redis://secret@queue/0\nCACHE_URL=\n");
        let found = look(folder.path());
        assert_eq!(found.database.as_deref(), Some("DATABASE_URL"));
        assert_eq!(found.cache.as_deref(), Some("CACHE_URL"));
        assert_eq!(found.broker.as_deref(), Some("CELERY_BROKER_URL"));
        assert!(
            found.told.iter().any(|told| told.starts_with("PostgreSQL: DATABASE_URL in shop/settings.py:")),
            "{:?}",
            found.told
        );
        assert!(!format!("{found:?}").contains("secret"));
        assert_eq!(look(tempfile::tempdir().unwrap().path()).database, None);
    }
}
