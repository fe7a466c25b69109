//! What a newcomer's settings file may be filled with: names of variables that hold addresses, and pages to visit. Names
//! and paths only; no value.

use serde::Serialize;

use super::condition::Condition;
use super::facts::Project;
use super::urls::Route;
use super::value::V;
use super::words::shown;

/// Pages proposed, at most.
const PAGES: usize = 4;
/// What stands in paths that are no pages for everyone to look at.
const ASIDE: [&str; 33] = [
    "account",
    "admin",
    "api",
    "auth",
    "basket",
    "callback",
    "captcha",
    "cart",
    "checkout",
    "dashboard",
    "debug",
    "health",
    "hook",
    "i18n",
    "internal",
    "login",
    "logout",
    "media",
    "metrics",
    "order",
    "pay",
    "password",
    "ping",
    "private",
    "profile",
    "prometheus",
    "register",
    "secret",
    "settings",
    "sign",
    "static",
    "status",
    "token",
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
    pub fn of(project: &mut Project<'_>) -> Self {
        let celery = project.celery("broker_url");
        let project = &*project;
        let first = |names: &[&str]| names.iter().find_map(|name| address(&project.setting(name)?));
        let below = |name: &str| address(&project.setting(name)?.entry("default")?.value);
        Self {
            database: below("DATABASES"),
            cache: below("CACHES"),
            broker: first(&["CELERY_BROKER_URL", "BROKER_URL", "CELERY_BROKER", "RQ_QUEUES", "HUEY"])
                .or_else(|| address(celery.as_ref()?)),
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
        let path = route.path.trim_matches('/').to_lowercase();
        // What an include leads to outside the project is known to answer at most at its own root.
        let followed = !route.view.ends_with("urls") || path.is_empty();
        let page = !ASIDE.iter().any(|word| path.contains(word)) && !path.contains('.');
        route.is_fixed() && route.when == Condition::Always && followed && page
    };
    let mut paths: Vec<String> =
        routes.iter().filter(open).map(|route| format!("/{}", shown(route.path.trim_start_matches('/')))).collect();
    // The shallow ones first: whoever arrives, arrives there.
    paths.sort_by_key(|path| (path.trim_matches('/').matches('/').count() + usize::from(path != "/"), path.clone()));
    paths.dedup();
    paths.truncate(PAGES);
    paths
}
