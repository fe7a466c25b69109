//! What production tells about itself: errors to Sentry, metrics to a monitor, logs, health.

use super::{Fact, Project};
use crate::django::condition::Condition;
use crate::django::eval::Effect;
use crate::django::mentions::Mention;
use crate::django::urls::Route;
use crate::django::value::{Guarded, Kind, Place, REST, V};
use crate::django::words::shown;

/// Last parts of paths by which health is asked for.
const HEALTH: [&str; 24] = [
    "health",
    "healthz",
    "_health",
    "_healthz",
    "healthcheck",
    "health-check",
    "health_check",
    "heartbeat",
    "__heartbeat__",
    "__lbheartbeat__",
    "livez",
    "readyz",
    "ready",
    "readiness",
    "liveness",
    "live",
    "alive",
    "ping",
    "ht",
    "up",
    "_status",
    "healthy",
    "watchman",
    "-health",
];
/// Packages that answer for health by themselves, in applications or middleware.
const HEALTH_PACKAGES: [&str; 6] =
    ["health_check", "watchman", "django_alive", "dockerflow", "django_healthchecks", "easy_health_check"];
/// Formatters and handlers that make records that a machine reads, or send them to a central place.
const STRUCTURED: [&str; 16] = [
    "json",
    "logfmt",
    "structlog",
    "syslog",
    "gelf",
    "logstash",
    "graypy",
    "watchtower",
    "cloudlogging",
    "fluent",
    "loki",
    "ecs_logging",
    "stackdriver",
    "logtail",
    "ddtrace.log",
    "keyvalue",
];

pub(super) fn sentry(project: &mut Project<'_>) -> Fact {
    let reached = |when: &Condition| when.in_production() != Some(false);
    let started = |callee: &str| callee == "sentry_sdk.init" || callee.ends_with("sentry_sdk.init");
    let call = project.effects.iter().find(|effect| started(&effect.callee) && reached(&effect.when));
    if let Some(effect) = call {
        return initialised(effect);
    }
    if let Some((_, when, place)) = project.item("INSTALLED_APPS", |app| app.starts_with("raven.contrib.django")) {
        return Fact::new("yes").at(&place).when(&when).detail("raven, its old client");
    }
    let mentions: Vec<Mention> = project.mentions.iter().filter(|one| started(&one.callee)).cloned().collect();
    let run = mentions.iter().filter(|mention| at_start(project, mention)).cloned().collect::<Vec<_>>();
    let effects: Vec<Effect> =
        run.iter().filter_map(|mention| project.code.effect_at(&mention.place, "init")).collect();
    if let Some(effect) = effects.iter().find(|effect| reached(&effect.when)) {
        return initialised(effect);
    }
    match mentions.iter().find(|mention| !effects.iter().any(|effect| effect.call.place == mention.place)) {
        Some(mention) => Fact::unknown("sentry_sdk.init is called in code that may never run").at(&mention.place),
        None => project.no(),
    }
}

/// Sentry is told where to send. The address itself is a secret: of what is given, the variable is told and nothing else.
fn initialised(effect: &Effect) -> Fact {
    let Kind::Call { args, named, .. } = &effect.call.kind else { return Fact::new("yes") };
    let dsn = named.iter().find(|(name, _)| &**name == "dsn").map(|(_, dsn)| dsn).or_else(|| args.first());
    let fact = Fact::new("yes").at(&effect.call.place);
    // A condition that names the address says more than the address alone.
    match (&effect.when, dsn.and_then(switch_of)) {
        (Condition::Always, Some(source)) => Fact { when: Some(shown(&source)), ..fact },
        (when, _) => fact.when(when),
    }
}

/// Does every process run this: an entry point, or the configuration of an application that is installed?
fn at_start(project: &Project<'_>, mention: &Mention) -> bool {
    let file = &mention.place.file;
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    let package = folder.rsplit('/').next().unwrap_or(folder);
    let installed = |app: &str| app.split('.').any(|part| part == package);
    matches!(name, "wsgi.py" | "asgi.py") || name == "apps.py" && project.item("INSTALLED_APPS", installed).is_some()
}

/// The variable that must be set for a value to be there, when it may be left out.
fn switch_of(value: &V) -> Option<String> {
    let optional = match &value.kind {
        Kind::Outer(outer) => outer.default.is_some(),
        Kind::Null => return None,
        _ => true,
    };
    value.sources().into_iter().next().filter(|_| optional)
}

pub(super) fn metrics(project: &mut Project<'_>) -> Fact {
    let of_package = |route: &Route| {
        let view = route.view.as_str();
        ["django_prometheus", "prometheus_client", "ExportToDjangoView", "prometheus_metrics"]
            .iter()
            .any(|name| view.contains(name))
    };
    let named = |route: &Route| {
        route.is_fixed() && last(&route.path).is_some_and(|last| last == "metrics" || last == "prometheus")
    };
    let routes = &project.routes;
    if let Some(route) =
        routes.iter().find(|route| of_package(route)).or_else(|| routes.iter().find(|route| named(route)))
    {
        let path = if route.view.ends_with(".urls") { format!("{}metrics", route.path) } else { route.path.clone() };
        return Fact::new("yes")
            .at(&route.place)
            .when(&route.when)
            .detail(&format!("/{}", path.trim_start_matches('/')));
    }
    project.no_path()
}

/// The logging configurations that may be in effect: `LOGGING`, unless Django is told not to read it, or what the
/// settings hand to `dictConfig` themselves.
fn configurations(project: &Project<'_>) -> Vec<Guarded> {
    let unread = project.ways("LOGGING_CONFIG").iter().any(|way| matches!(way.value.kind, Kind::Null));
    let handed = project.effects.iter().filter(|effect| effect.callee.ends_with("dictConfig"));
    let handed = handed.filter_map(|effect| match &effect.call.kind {
        Kind::Call { args, .. } => {
            Some(args.first()?.ways().into_iter().map(|way| way.under(&effect.when)).collect::<Vec<_>>())
        }
        _ => None,
    });
    let mut ways: Vec<Guarded> = handed.flatten().collect();
    ways.extend(if unread { Vec::new() } else { project.ways("LOGGING") });
    ways.retain(|way| !matches!(way.value.kind, Kind::Null));
    ways
}

pub(super) fn logging(project: &mut Project<'_>) -> Fact {
    let ways = configurations(project);
    let filled = |value: &V| match &value.kind {
        Kind::Dict(pairs) => !pairs.is_empty(),
        Kind::Call { .. } | Kind::Named(_) => true,
        _ => false,
    };
    if let Some(fact) = super::chosen(&ways, |value| filled(value).then(|| "yes".to_owned())) {
        return fact;
    }
    if let Some(way) = ways.iter().find(|way| !matches!(way.value.kind, Kind::Dict(_))) {
        return Fact::unfollowed("LOGGING").at(&way.value.place);
    }
    let configured = |callee: &str| {
        callee.starts_with("logging.config.") || callee == "logging.basicConfig" || callee == "structlog.configure"
    };
    match project.effects.iter().find(|effect| configured(&effect.callee)) {
        Some(effect) => Fact::new("yes").at(&effect.call.place).when(&effect.when),
        None => project.no(),
    }
}

/// Walks from the loggers to their handlers and from these to their formatters: what no logger uses is not in effect.
pub(super) fn structured(project: &mut Project<'_>) -> Fact {
    let mut open: Option<Place> = None;
    for way in configurations(project) {
        let under = |keys: &[&str]| keys.iter().try_fold(way.value.clone(), |at, key| Some(at.entry(key)?.value));
        let mut handlers: Vec<Guarded> = under(&["root", "handlers"]).map(|list| list.items()).unwrap_or_default();
        for logger in under(&["loggers"]).iter().flat_map(pairs) {
            handlers.extend(logger.value.entry("handlers").map(|held| held.value.items()).unwrap_or_default());
        }
        for used in handlers {
            let handler = used.value.text().and_then(|name| under(&["handlers", name]));
            let handler = handler.unwrap_or_else(|| used.value.clone());
            let class = handler.entry("class").or_else(|| handler.entry("()"));
            let formatter = handler.entry("formatter").map(|held| held.value.ways()).unwrap_or_default();
            let formatters = formatter.iter().map(|way| {
                let named = way.value.text().and_then(|name| under(&["formatters", name]));
                (way, named.unwrap_or_else(|| way.value.clone()))
            });
            let mut parts: Vec<(Condition, V)> =
                class.into_iter().map(|held| (used.when.and(&held.when), held.value)).collect();
            open = open.or_else(|| (!handler.is_followed()).then(|| handler.place.clone()));
            for (way, formatter) in formatters {
                open = open.or_else(|| (!formatter.is_followed()).then(|| formatter.place.clone()));
                let of = ["()", "class", "format"].iter().filter_map(|key| formatter.entry(key));
                parts.extend(of.map(|held| (used.when.and(&way.when), held.value)));
            }
            for (when, value) in parts {
                for way in value.ways() {
                    let when = when.and(&way.when);
                    if when.in_production() != Some(false) && is_structured(&way.value) {
                        return Fact::new("yes").at(&way.value.place).when(&when);
                    }
                    let unknown = matches!(way.value.kind, Kind::Unknown(_) | Kind::Outer(_));
                    open = open.or_else(|| unknown.then(|| way.value.place.clone()));
                }
            }
        }
    }
    if let Some(place) = open {
        return Fact::unfollowed("LOGGING").at(&place);
    }
    let left = ["root", "loggers", "handlers", "formatters"]
        .map(|part| project.absent_in(configurations(project), "LOGGING", &[part, REST], "no"));
    left.into_iter().find(Fact::is_unknown).unwrap_or_else(|| Fact::new("no"))
}

fn pairs(value: &V) -> Vec<Guarded> {
    value
        .ways()
        .into_iter()
        .flat_map(|way| {
            if let Kind::Dict(pairs) = &way.value.kind {
                pairs.iter().map(|pair| pair.held.clone()).collect()
            } else {
                Vec::new()
            }
        })
        .collect()
}

fn is_structured(value: &V) -> bool {
    let name = match &value.kind {
        Kind::Text(text) | Kind::Named(text) => text.to_lowercase(),
        Kind::Call { callee, .. } => callee.to_lowercase(),
        Kind::Class(class) => class.name.to_lowercase(),
        _ => return false,
    };
    let pairs = name.matches("=%(").count() + name.matches("={").count();
    let object = name.trim_start().starts_with('{') && name.contains("\":") || name.trim_start().starts_with("{{\"");
    STRUCTURED.iter().any(|word| name.contains(word)) && !name.contains(' ') || pairs > 1 || object
}

fn last(path: &str) -> Option<&str> {
    path.trim_matches('/').rsplit('/').next()
}

pub(super) fn health(project: &mut Project<'_>) -> Fact {
    let named =
        |path: &str| last(path).is_some_and(|last| HEALTH.contains(&last.to_lowercase().trim_end_matches(".json")));
    let ours = |path: &str| {
        let wanted = path.trim_matches('/');
        !wanted.is_empty() && project.routes.iter().any(|route| route.path.trim_matches('/') == wanted)
    };
    let of_package = |route: &&Route| {
        let package = route.view.split('.').next().unwrap_or_default();
        HEALTH_PACKAGES.contains(&package) || package == "health_check"
    };
    let is_health = |route: &&Route| route.is_fixed() && named(&route.path) && !route.path.starts_with("admin/");
    let routes = &project.routes;
    if let Some(route) = routes.iter().find(of_package).or_else(|| routes.iter().find(is_health)) {
        return Fact::new("yes")
            .at(&route.place)
            .when(&route.when)
            .detail(&format!("/{}", route.path.trim_start_matches('/')));
    }
    if let Some((path, place)) =
        project.deploy.health.iter().find(|(path, place)| ours(path) || named(path) && !place.file.contains('/'))
    {
        return Fact::new("yes").at(place).when(&Condition::Always).detail(path);
    }
    let answers = |name: &str| {
        let lower = name.to_lowercase();
        HEALTH_PACKAGES.iter().any(|package| name.starts_with(package))
            || lower.contains("health")
            || lower.contains("heartbeat")
    };
    if let Some((name, when, place)) = project.item("MIDDLEWARE", answers) {
        return Fact::new("yes").at(&place).when(&when).detail(&name);
    }
    // Middleware of the project, or what wraps its application, may answer before any URLconf is asked.
    let compared = |mention: &&Mention| {
        mention.texts.iter().chain(&mention.first).any(|text| text.starts_with('/') && named(text))
    };
    let before = |mention: &&Mention| {
        let file = &mention.place.file;
        ["middleware", "asgi", "wsgi"].iter().any(|part| file.contains(part))
    };
    match project.mentions.iter().filter(before).find(compared) {
        Some(mention) => Fact::new("yes").at(&mention.place).when(&Condition::Always),
        None => project.no_path(),
    }
}
