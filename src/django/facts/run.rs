//! What runs: the settings module, who chooses it, the web server, the version of Django.

use std::sync::LazyLock;

use regex::Regex;

use super::{Fact, Project};
use crate::django::production::Named;

#[expect(clippy::expect_used, reason = "a constant pattern")]
static SERVER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?:^|[\s/&|;`(=])(gunicorn|uvicorn|uwsgi|granian|daphne|hypercorn|waitress-serve)(?:\s|$)")
        .expect("a pattern")
});
#[expect(clippy::expect_used, reason = "a constant pattern")]
static WORKERS: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?:^|\s)(-w|--workers|--threads|--processes|-k|--worker-class|--preload|--max-requests)(?:([ =])([\w.]+))?",
    )
    .expect("a pattern")
});

/// Classes of workers that are told; what else stands there may be anything.
const CLASSES: [&str; 12] = [
    "sync",
    "gthread",
    "gevent",
    "gevent_wsgi",
    "gevent_pywsgi",
    "eventlet",
    "tornado",
    "meinheld",
    "uvicorn.workers.UvicornWorker",
    "uvicorn.workers.UvicornH11Worker",
    "uvicorn_worker.UvicornWorker",
    "uvicorn_worker.UvicornH11Worker",
];

/// The options of a command that say how many workers of which kind it starts.
fn options_of(command: &str) -> String {
    let told = |value: &str| CLASSES.contains(&value) || value.bytes().all(|byte| byte.is_ascii_digit());
    let option = |found: regex::Captures<'_>| {
        let value = found.get(3).map(|value| value.as_str()).filter(|value| told(value));
        value.map_or_else(|| found[1].to_owned(), |value| format!("{}{}{value}", &found[1], &found[2]))
    };
    WORKERS.captures_iter(command).map(option).collect::<Vec<_>>().join(" ")
}

/// The web server that a command starts.
pub fn server_of(command: &str) -> Option<&'static str> {
    let aside =
        ["pip install", "apt-get", "apk add", "poetry add", "uv add", "pip3 install", "echo ", "pkill", "killall"];
    if aside.iter().any(|word| command.contains(word)) {
        return None;
    }
    let found = SERVER.captures(command)?;
    let names = ["gunicorn", "uvicorn", "uwsgi", "granian", "daphne", "hypercorn", "waitress-serve"];
    names.into_iter().find(|name| *name == &found[1])
}

fn named(named: Option<&Named>, absent: &str) -> Fact {
    named.map_or_else(|| Fact::new(absent), |named| Fact::new(&named.module).at(&named.place))
}

pub(super) fn settings_module(project: &mut Project<'_>) -> Fact {
    let production = &project.production;
    if production.settings.is_none() {
        return Fact::unknown("nothing here names a settings module that is here");
    }
    let fact = named(production.settings.as_ref(), "unknown");
    match &production.class {
        Some(class) => fact.detail(&format!("class {class}")),
        None => fact,
    }
}

pub(super) fn dsm_wsgi(project: &mut Project<'_>) -> Fact {
    named(project.production.entry.as_ref(), "none")
}

pub(super) fn dsm_deploy(project: &mut Project<'_>) -> Fact {
    let production = &project.production;
    match production.deployed_module() {
        "unknown" => {
            let fact = Fact::unknown("whatever runs production sets it outside this repository");
            production.aside.as_ref().map_or(fact.clone(), |aside| fact.at(&aside.place))
        }
        "none" => Fact::new("none"),
        _ => named(production.deployed.as_ref(), "none"),
    }
}

pub(super) fn server(project: &mut Project<'_>) -> Fact {
    let started = project.deploy.commands.iter().filter(|command| !command.aside);
    let servers = started.filter_map(|command| Some((server_of(&command.text)?, command)));
    // Of several services, the one that is given the project's own entry point.
    let named = project.production.entry.as_ref().or(project.production.settings.as_ref());
    let package = named.map(|named| named.module.split('.').next().unwrap_or_default().to_owned()).unwrap_or_default();
    let ours = |text: &str| text.contains(&package) || text.contains("wsgi:") || text.contains("asgi:");
    if let Some((server, command)) = servers.min_by_key(|(_, command)| (!ours(&command.text), command.rank)) {
        let options = options_of(&command.text);
        let fact = Fact::new(server).at(&command.place);
        return if options.is_empty() { fact } else { fact.detail(&options) };
    }
    match project.asks_for(&["gunicorn", "uvicorn", "uwsgi", "granian", "daphne", "hypercorn", "waitress"]) {
        Some(wanted) => Fact::new(&wanted.name).at(&wanted.place).detail("required; no command here starts it"),
        None => Fact::unknown("no process file here starts a web server"),
    }
}

pub(super) fn django_version(project: &mut Project<'_>) -> Fact {
    match project.requirements.of("django") {
        Some(wanted) if wanted.wanted.is_empty() => Fact::new("any").at(&wanted.place),
        Some(wanted) => Fact::new(&wanted.wanted).at(&wanted.place),
        None => Fact::unknown("no dependency file here asks for Django"),
    }
}
