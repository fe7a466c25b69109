//! What a newcomer's settings file may be filled with: names of variables that hold addresses, and pages to visit. Names
//! and paths only; no value.

use std::collections::BTreeSet;

use serde::Serialize;

use super::condition::Condition;
use super::facts::Project;
use super::urls::Route;
use super::value::V;
use super::words::shown;

/// Pages proposed, at most.
const PAGES: usize = 4;
/// First parts of paths that are no pages for everyone.
const ASIDE: [&str; 30] = [
    "admin",
    "account",
    "accounts",
    "api",
    "auth",
    "callback",
    "captcha",
    "cms",
    "dashboard",
    "debug",
    "favicon.ico",
    "health",
    "healthz",
    "i18n",
    "jsi18n",
    "login",
    "logout",
    "media",
    "metrics",
    "oauth",
    "password",
    "prometheus",
    "register",
    "robots.txt",
    "signin",
    "signout",
    "signup",
    "sitemap.xml",
    "static",
    "webhook",
];

/// A variable of the environment, and where it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// The line.
    pub place: String,
}

/// What was found; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Hints {
    /// Holds the database's address.
    pub database: Option<Variable>,
    /// Holds the cache's.
    pub cache: Option<Variable>,
    /// Holds the task queue's broker's.
    pub broker: Option<Variable>,
    /// Public pages whose paths hold nothing that varies, the home page first.
    pub pages: Vec<String>,
}

impl Hints {
    /// Reads them off a project.
    pub fn of(project: &Project<'_>) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| address(&project.setting(name)?));
        let below = |name: &str| address(&project.setting(name)?.entry("default")?.value);
        Self {
            database: below("DATABASES"),
            cache: below("CACHES"),
            broker: first(&["CELERY_BROKER_URL", "BROKER_URL", "CELERY_BROKER", "RQ_QUEUES", "HUEY"]),
            pages: pages(&project.routes),
        }
    }
}

/// The variable that holds a whole address, where the value is made of one.
fn address(value: &V) -> Option<Variable> {
    let whole = |name: &&str| ["URL", "URI", "DSN"].iter().any(|end| name.to_uppercase().ends_with(end));
    let sources = value.sources();
    let named: Vec<&str> = sources.iter().filter_map(|source| source.strip_prefix("env:")).filter(whole).collect();
    // Of several, nobody knows which is set.
    let [name] = named.as_slice() else { return None };
    Some(Variable { name: shown(name), place: shown(&value.place.to_string()) })
}

fn pages(routes: &[Route]) -> Vec<String> {
    let open = |route: &&Route| {
        let first = route.path.trim_start_matches('/').split(['/', '-', '_']).next().unwrap_or_default();
        route.is_fixed() && route.when == Condition::Always && !ASIDE.contains(&first.to_lowercase().as_str())
    };
    let paths: BTreeSet<String> =
        routes.iter().filter(open).map(|route| format!("/{}", shown(route.path.trim_start_matches('/')))).collect();
    // The shallow ones first: whoever arrives, arrives there.
    let mut paths: Vec<String> = paths.into_iter().collect();
    paths.sort_by_key(|path| path.trim_matches('/').matches('/').count() + usize::from(path != "/"));
    paths.truncate(PAGES);
    paths
}
