//! What keeps data: caches, sessions, whether a broker may be another Redis than the cache, and the connections to the
//! database.

use std::collections::BTreeSet;

use super::{Fact, Project, callee, chosen};
use crate::django::condition::Condition;
use crate::django::eval::{BY_SCHEME, UNSAID};
use crate::django::value::{Guarded, Kind, REST, V};
use crate::django::words::shown;

const NO_BROKER: &str = "no setting here says where Celery's broker is";

/// The kind of a cache backend by its dotted name.
fn backend(value: &V) -> Option<String> {
    let name = match &value.kind {
        Kind::Text(name) => name.to_lowercase(),
        Kind::Call { .. } if callee(value) == BY_SCHEME => return Some("env-url".to_owned()),
        _ => return Some("unknown".to_owned()),
    };
    let kinds = [
        ("redis", "redis"),
        ("valkey", "redis"),
        ("locmem", "locmem"),
        ("db.databasecache", "db"),
        ("databasecache", "db"),
        ("memcache", "memcached"),
        ("dummy", "dummy"),
        ("filebased", "file"),
    ];
    Some(kinds.iter().find(|(word, _)| name.contains(word)).map_or("custom", |(_, kind)| kind).to_owned())
}

/// The names of all caches.
fn aliases(project: &Project<'_>) -> BTreeSet<String> {
    let keys = |way: &Guarded| match &way.value.kind {
        Kind::Dict(pairs) => pairs.iter().filter(|pair| pair.is_named()).map(|pair| pair.key.to_string()).collect(),
        _ => Vec::new(),
    };
    project.ways("CACHES").iter().flat_map(keys).collect()
}

pub(super) fn redis_cache(project: &mut Project<'_>) -> Fact {
    let aliases = aliases(project);
    let ways: Vec<Guarded> = aliases.iter().flat_map(|alias| project.nested("CACHES", &[alias, "BACKEND"])).collect();
    let redis: Vec<&Guarded> = ways.iter().filter(|way| backend(&way.value).as_deref() == Some("redis")).collect();
    if let Some(first) = redis.first() {
        let when = redis.iter().fold(Condition::Never, |sum, way| sum.or(&way.when));
        return Fact::new("yes").at(&first.value.place).when(&when);
    }
    match ways.iter().find(|way| matches!(backend(&way.value).as_deref(), Some("unknown" | "env-url"))) {
        Some(way) => Fact::unknown("the variable that names the cache decides").at(&way.value.place),
        None if project.settings.contains_key("CACHES") && ways.is_empty() => Fact::unfollowed("CACHES"),
        None => {
            let every = aliases.iter().map(String::as_str).chain([REST]);
            let left = every.map(|alias| project.absent("CACHES", &[alias, "BACKEND"], "no")).find(Fact::is_unknown);
            left.unwrap_or_else(|| project.no())
        }
    }
}

pub(super) fn cache_backend(project: &mut Project<'_>) -> Fact {
    let ways = project.nested("CACHES", &["default", "BACKEND"]);
    let open = ways.iter().any(|way| matches!(way.value.kind, Kind::Unknown(_)));
    match chosen(&ways, backend) {
        Some(fact) if open && fact.is_unknown() => Fact { evidence: fact.evidence, ..Fact::unfollowed("CACHES") },
        Some(fact) => or_left(fact, &ways, Fact::new("locmem-default")),
        None if project.settings.contains_key("CACHES") => Fact::unfollowed("CACHES"),
        None => project.or_gap("locmem-default"),
    }
}

/// The answer, or what is left where no way of it is taken when nothing is set; then it is the other answer.
fn or_left(fact: Fact, ways: &[Guarded], left: Fact) -> Fact {
    let set = ways.iter().fold(Condition::Never, |sum, way| sum.or(&way.when));
    if set.by_default() != Some(false) {
        return fact;
    }
    let mut left = left;
    left.alt = fact.alt.clone();
    left.alt.insert(shown(&set.to_string()), fact.value);
    left
}

pub(super) fn session_engine(project: &mut Project<'_>) -> Fact {
    let kind = |value: &V| {
        let name = value.text()?;
        let last = name.rsplit('.').next().unwrap_or(name);
        let known = ["db", "cache", "cached_db", "signed_cookies", "file"].into_iter().find(|known| *known == last);
        Some(known.filter(|_| name.starts_with("django.contrib.sessions.backends")).unwrap_or("custom").to_owned())
    };
    let ways = project.ways("SESSION_ENGINE");
    let sessions = |name: &str| name.to_lowercase().contains("session");
    let used = project.item("MIDDLEWARE", sessions).is_some() || !project.settings.contains_key("MIDDLEWARE");
    let left = if used { project.or_gap("db-default") } else { project.absent("MIDDLEWARE", &[], "none") };
    match chosen(&ways, kind) {
        Some(fact) => or_left(fact, &ways, left),
        None if ways.is_empty() => left,
        None => Fact::unknown("a variable decides").at(&ways[0].value.place),
    }
}

/// Addresses of Redis servers in a value: the variables they are made of, or their text.
fn addresses(value: &V) -> BTreeSet<String> {
    let sources = value.sources();
    if !sources.is_empty() {
        return sources;
    }
    value
        .ways()
        .iter()
        .filter_map(|way| way.value.text().map(|text| text.split('?').next().unwrap_or(text).to_owned()))
        .collect()
}

/// The variables that say where a server is, without those for its port, its number or a password.
fn wheres(all: BTreeSet<String>) -> BTreeSet<String> {
    let minor = |name: &String| {
        let name = name.to_uppercase();
        ["PORT", "PASSWORD", "_DB", "USER", "SSL", "TLS", "CERT", "TIMEOUT", "PREFIX"]
            .iter()
            .any(|word| name.ends_with(word) || name.contains(&format!("{word}_")))
    };
    let main: BTreeSet<String> = all.iter().filter(|name| !minor(name)).cloned().collect();
    if main.is_empty() { all } else { main }
}

pub(super) fn separate(project: &mut Project<'_>) -> Fact {
    let broker = ["CELERY_BROKER_URL", "BROKER_URL", "CELERY_BROKER", "RQ_QUEUES", "HUEY", "DRAMATIQ_BROKER"];
    let broker = broker.iter().find_map(|name| project.setting(name)).or_else(|| project.celery("broker_url"));
    let Some(broker) = broker else {
        let queue = super::work::queue(project);
        // Code for a package that nothing asks for, though packages are asked for, is never run.
        let asked = project.asks_for(&["celery"]).is_some() || project.asks_for(&["django"]).is_none();
        let celery = asked && queue.value.starts_with("celery");
        return if celery {
            Fact { evidence: queue.evidence, ..Fact::unknown(NO_BROKER) }
        } else {
            project.or_gap("na")
        };
    };
    let is_redis = |way: &Guarded| matches!(backend(&way.value).as_deref(), Some("redis" | "env-url"));
    let on_redis = |alias: &String| project.nested("CACHES", &[alias, "BACKEND"]).iter().any(is_redis);
    let caches: Vec<String> = aliases(project).into_iter().filter(on_redis).collect();
    let other = ["amqp", "AMQP", "RABBIT", "rabbit", "sqs", "memory"];
    let sources = addresses(&broker);
    if sources.iter().chain(&texts(&broker)).any(|text| other.iter().any(|word| text.contains(word))) {
        return Fact::new("na").at(&broker.place).detail("the broker is not Redis");
    }
    if caches.is_empty() {
        let redis = redis_cache(project);
        return if redis.is_unknown() { redis } else { Fact::new("na").at(&broker.place) };
    }
    let located = |alias: &String| {
        let entry = project.setting("CACHES")?.entry(alias)?.value.entry("LOCATION")?;
        Some(addresses(&entry.value))
    };
    let cache: BTreeSet<String> = caches.iter().filter_map(located).flatten().collect();
    if sources.is_empty() || cache.is_empty() {
        return Fact::unknown("where the broker or the cache is cannot be followed").at(&broker.place);
    }
    let apart = wheres(sources).is_disjoint(&wheres(cache));
    let fact = Fact::new(if apart { "yes" } else { "no" }).at(&broker.place);
    if apart { fact.when(&Condition::Always) } else { fact }
}

/// Every text that a value is made of.
fn texts(value: &V) -> Vec<String> {
    let within = |parts: &[V]| parts.iter().flat_map(texts).collect::<Vec<_>>();
    match &value.kind {
        Kind::Text(text) => vec![text.to_string()],
        Kind::Made(parts) => within(parts),
        Kind::Outer(outer) => outer.default.iter().flat_map(texts).collect(),
        Kind::Choice(ways) => ways.iter().flat_map(|way| texts(&way.value)).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn conn_max_age(project: &mut Project<'_>) -> Fact {
    let ways = project.nested("DATABASES", &["default", "CONN_MAX_AGE"]);
    let number = |value: &V| match &value.kind {
        Kind::Int(seconds) => Some(seconds.to_string()),
        Kind::Float(seconds) => Some(seconds.to_string()),
        Kind::Null => Some("None".to_owned()),
        Kind::Text(text) if text.parse::<i64>().is_ok() => Some(text.to_string()),
        Kind::Call { .. } if callee(value) == UNSAID => Some("unset".to_owned()),
        _ => None,
    };
    if let Some(mut fact) = chosen(&ways, number) {
        // Of a number, the variable that overrides it says most.
        let own = ways.iter().filter(|way| number(&way.value).as_ref() == Some(&fact.value));
        let variable = own.filter_map(|way| way.when.overridable()).next();
        fact.when = variable.map(|name| shown(&name)).or(fact.when).filter(|_| fact.value != "unset");
        return fact;
    }
    if let Some(way) = ways.first() {
        let outer = matches!(way.value.kind, Kind::Outer(_));
        let fact =
            if outer { Fact::unknown("a variable without a default decides") } else { Fact::unfollowed("DATABASES") };
        return fact.at(&way.value.place);
    }
    let Some(value) = project.setting("DATABASES") else { return project.or_gap("unset") };
    let databases = project.nested("DATABASES", &["default"]);
    let known = databases.iter().all(|way| matches!(way.value.kind, Kind::Dict(_))) && !databases.is_empty();
    if known { project.or_lost("unset").at(&value.place) } else { Fact::unfollowed("DATABASES").at(&value.place) }
}

pub(super) fn pool(project: &mut Project<'_>) -> Fact {
    let engines = project.nested("DATABASES", &["default", "ENGINE"]);
    let library =
        |value: &V| value.text().is_some_and(|name| ["pool", "geventpool"].iter().any(|word| name.contains(word)));
    if let Some(way) = engines.iter().find(|way| library(&way.value)) {
        return Fact::new("yes").at(&way.value.place).when(&way.when);
    }
    let keys = ["default", "OPTIONS", "pool"];
    match project.switched("DATABASES", &keys) {
        Some(way) => Fact::new("yes").at(&way.value.place).when(&way.when),
        None => project.absent("DATABASES", &keys, "no"),
    }
}

pub(super) fn pooler(project: &mut Project<'_>) -> Fact {
    let keys = ["default", "DISABLE_SERVER_SIDE_CURSORS"];
    if let Some(way) = project.switched("DATABASES", &keys) {
        return Fact::new("yes").at(&way.value.place).when(&way.when);
    }
    let pooler = |word: &str| !matches!(word, "nginx" | "caddy");
    match project.deploy.hints.iter().find(|(word, _, aside)| pooler(word) && !aside) {
        Some((word, place, _)) => Fact::new("yes").at(place).when(&Condition::Always).detail(word),
        None => project.absent("DATABASES", &keys, "no"),
    }
}
