//! How settings read their surroundings: `os.environ`, django-environ, environs, python-decouple, dj-database-url,
//! django-cache-url, django-configurations, dynaconf, and files of secrets. A reader gives a name and a default, never a
//! value.

use std::rc::Rc;

use super::Evaluator;
use super::calls::Given;
use crate::django::value::{Guarded, Kind, Outer, Pair, Place, QUERY, REST, V, Value, choice};

/// What is kept as the callee of a backend that the scheme of an address decides.
pub const BY_SCHEME: &str = "the scheme of an address";
/// The same, of what dj-database-url sets to its default where nothing is said, whatever stood there before.
pub const UNSAID: &str = "the default of an address";

/// Which kind of store a name is, when it is one.
pub(super) fn store(dotted: &str) -> Option<&'static str> {
    match dotted {
        "os.environ" => Some("env"),
        "dynaconf.settings" => Some("config"),
        "store:secret" => Some("secret"),
        "store:yaml" => Some("yaml"),
        "store:config" => Some("config"),
        _ => None,
    }
}

/// Does it fill Django's settings from files and variables of its own?
pub(super) fn fills_settings(dotted: &str) -> bool {
    dotted.starts_with("dynaconf.") && (dotted.ends_with("DjangoDynaconf") || dotted.ends_with("django_dynaconf"))
}

/// The ways in which a variable's type is asked for.
const SWITCHES: [&str; 2] = ["bool", "BooleanValue"];

impl Evaluator<'_> {
    /// What a call gives when it reads the surroundings. `schema` is what the reader was built with.
    pub(super) fn read(&mut self, callee: &str, given: &Given, schema: &[(Rc<str>, V)], place: &Place) -> Option<V> {
        let (package, method) =
            (callee.split('.').next().unwrap_or(callee), callee.rsplit('.').next().unwrap_or(callee));
        let class = callee.rsplit('.').nth(1).unwrap_or_default();
        match package {
            "os" if matches!(callee, "os.getenv" | "os.environ.get") => {
                let null = Value::new(Kind::Null, place);
                Some(outer(
                    "env",
                    given.args.first()?,
                    Some(given.get("default", 1).cloned().unwrap_or(null)),
                    false,
                    place,
                ))
            }
            "importlib" if method == "import_module" => {
                let module = given.args.first().and_then(|name| name.text()).unwrap_or("store:config");
                Some(Value::new(Kind::Named(module.into()), place))
            }
            "json" | "simplejson" | "orjson" if matches!(method, "load" | "loads") => {
                opened("store:secret", given, place)
            }
            "yaml" if method.contains("load") => opened("store:yaml", given, place),
            _ if store(callee).is_some() => {
                Some(outer(store(callee)?, given.args.first()?, given.get("default", 1).cloned(), false, place))
            }
            "dynaconf" if matches!(method, "Dynaconf" | "LazySettings" | "DjangoDynaconf") => {
                Some(Value::new(Kind::Named("store:config".into()), place))
            }
            "tomllib" | "toml" | "tomli" | "tomlkit" | "configparser" if method != "TOMLDecodeError" => {
                opened("store:config", given, place)
            }
            "environ" | "environs" | "marshmallow" if class.ends_with("Env") || class == "env" => {
                self.env_object(package, method, given, schema, place)
            }
            "decouple" | "prettyconf" if matches!(method, "config" | "__call__") => {
                let switch = given.named("cast").is_some_and(is_bool);
                let read = outer("env", given.args.first()?, given.get("default", 1).cloned(), switch, place);
                let to_database = given.named("cast").is_some_and(|cast| named(cast).contains("dj_database_url"));
                Some(if to_database { self.database(&read, given, true, place) } else { read })
            }
            "dj_database_url" | "django_cache_url" | "dj_cache_url" if method == "config" => {
                let usual = if package == "dj_database_url" { "DATABASE_URL" } else { "CACHE_URL" };
                let name = given.get("env", 0).cloned().unwrap_or_else(|| Value::new(Kind::Text(usual.into()), place));
                let default = given.get("default", 1).cloned();
                let read = outer("env", &name, default, false, place);
                Some(if package == "dj_database_url" {
                    self.database(&read, given, true, place)
                } else {
                    self.cache(&read, place)
                })
            }
            "dj_database_url" if method == "parse" => Some(self.database(given.get("url", 0)?, given, true, place)),
            "django_cache_url" | "dj_cache_url" if method == "parse" => Some(self.cache(given.get("url", 0)?, place)),
            _ if method.ends_with("Value") && (callee.contains("values.") || callee.starts_with("configurations")) => {
                self.configured(method, given, place)
            }
            _ => helper(method, given, place),
        }
    }

    /// django-environ and environs, whose methods are named alike and whose second arguments are not.
    fn env_object(
        &mut self,
        package: &str,
        method: &str,
        given: &Given,
        schema: &[(Rc<str>, V)],
        place: &Place,
    ) -> Option<V> {
        let usual = match method {
            "db" | "db_url" | "dj_db_url" => "DATABASE_URL",
            "cache" | "cache_url" | "dj_cache_url" => "CACHE_URL",
            "read_env" | "prefixed" | "seal" | "add_parser" | "read_envfile" => return None,
            "db_url_config" => {
                let url = given.args.first()?;
                return Some(queried(&self.database(url, given, false, place), url));
            }
            "cache_url_config" => return Some(self.cache(given.args.first()?, place)),
            _ => "",
        };
        let name = given.get("var", 0).cloned().unwrap_or_else(|| Value::new(Kind::Text(usual.into()), place));
        let in_schema = schema.iter().find(|(key, _)| Some(&**key) == name.text()).map(|(_, value)| value.clone());
        let (cast, known) = match in_schema.as_ref().map(|one| &one.kind) {
            Some(Kind::List(pair)) if pair.len() == 2 => (Some(pair[0].value.clone()), Some(pair[1].value.clone())),
            _ => (in_schema, None),
        };
        let casts_second = package == "environ" && matches!(method, "__call__" | "get_value");
        let second = given.args.get(1).filter(|second| !casts_second || !matches!(second.kind, Kind::Named(_)));
        let default = given.named("default").or(second).cloned().or(known);
        let cast = given.named("cast").cloned().or(cast);
        let switch = SWITCHES.contains(&method) || cast.is_some_and(|cast| is_bool(&cast));
        let read = outer("env", &name, default, switch, place);
        Some(match usual {
            "DATABASE_URL" if package == "environ" => queried(&self.database(&read, given, false, place), &read),
            "DATABASE_URL" => self.database(&read, given, package == "environs", place),
            "CACHE_URL" => self.cache(&read, place),
            _ => read,
        })
    }

    /// django-configurations: the variable is named after the attribute, unless it is named here.
    fn configured(&mut self, method: &str, given: &Given, place: &Place) -> Option<V> {
        let default = given.get("default", 0).cloned().unwrap_or_else(|| Value::new(Kind::Null, place));
        if given.named("environ").is_some_and(|environ| environ.kind == Kind::Bool(false)) {
            return Some(default);
        }
        let prefix = match given.named("environ_prefix").map(|prefix| &prefix.kind) {
            None => "DJANGO_".to_owned(),
            Some(Kind::Text(prefix)) if !prefix.is_empty() => format!("{prefix}_"),
            Some(_) => String::new(),
        };
        let usual = match method {
            "DatabaseURLValue" => "DATABASE_URL",
            "CacheURLValue" => "CACHE_URL",
            _ => "",
        };
        let name = match given.named("environ_name").and_then(|name| name.text()) {
            Some(name) => format!("{prefix}{name}"),
            None => usual.to_owned(),
        };
        let name = Value::new(Kind::Text(name.into()), place);
        let read = outer("env", &name, Some(default), SWITCHES.contains(&method), place);
        let parsed = match usual {
            "DATABASE_URL" => self.database(&read, given, true, place),
            "CACHE_URL" => self.cache(&read, place),
            _ => return Some(read),
        };
        let parsed = Value::new(Kind::Dict(vec![pair("default", parsed)]), place);
        let set = self.truth(&read);
        let without = Guarded { when: set.not(), value: Value::new(Kind::Null, place) };
        choice(vec![Guarded { when: set, value: parsed }, without], place)
    }

    /// What an address of a database becomes. `aged`: its package sets the age of connections whatever it is told.
    fn database(&mut self, url: &V, given: &Given, aged: bool, place: &Place) -> V {
        let engine = given.named("engine").cloned().unwrap_or_else(|| by_scheme(url, &engine_of, place));
        let mut pairs = vec![pair("ENGINE", engine), pair("URL", url.clone())];
        let options =
            [("conn_max_age", "CONN_MAX_AGE"), ("disable_server_side_cursors", "DISABLE_SERVER_SIDE_CURSORS")];
        for (argument, setting) in options {
            pairs.extend(given.named(argument).map(|value| pair(setting, value.clone())));
        }
        let more = given.named(REST);
        if aged && more.or(given.named("conn_max_age")).is_none() {
            let kind = Kind::Call { callee: UNSAID.into(), args: Vec::new(), named: Vec::new() };
            pairs.push(pair("CONN_MAX_AGE", Value::new(kind, place)));
        }
        pairs.extend(more.map(|more| pair(REST, more.clone())));
        Value::new(Kind::Dict(pairs), place)
    }

    /// What an address of a cache becomes.
    fn cache(&mut self, url: &V, place: &Place) -> V {
        let backend = by_scheme(url, &backend_of, place);
        queried(&Value::new(Kind::Dict(vec![pair("BACKEND", backend), pair("LOCATION", url.clone())]), place), url)
    }
}

/// A function of a package that nobody here knows, when all about it says that it reads a variable: it is called
/// `get_…` or something of an environment, and is given a name in capitals.
fn helper(method: &str, given: &Given, place: &Place) -> Option<V> {
    let reads =
        method.starts_with("get_") || method.split('_').any(|word| matches!(word, "env" | "environ" | "getenv"));
    let name = given.named("name").or_else(|| given.get("var", 0)).filter(|_| reads)?;
    let capital = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let in_capitals = name.text().is_some_and(|text| text.len() > 2 && text.chars().all(capital));
    let default = given.named("default").or_else(|| given.args.get(1)).cloned();
    in_capitals.then(|| outer("env", name, default, method.contains("bool"), place))
}

/// The same, where the address may set more of it than its scheme, host and path do.
fn queried(made: &V, url: &V) -> V {
    let Kind::Dict(pairs) = &made.kind else { return made.clone() };
    let pairs = std::iter::once(pair(QUERY, url.clone())).chain(pairs.iter().cloned()).collect();
    Value::new(Kind::Dict(pairs), &made.place)
}

fn pair(key: &str, value: V) -> Pair {
    Pair { key: key.into(), held: Guarded::always(value) }
}

/// A variable, when its name is known; of several known names the one that is chosen.
fn outer(store: &'static str, name: &V, default: Option<V>, switch: bool, place: &Place) -> V {
    match &name.kind {
        Kind::Text(name) => Value::new(Kind::Outer(Outer { store, name: name.clone(), default, switch }), place),
        Kind::Choice(ways) => {
            let one = |way: &Guarded| Guarded {
                when: way.when.clone(),
                value: outer(store, &way.value, default.clone(), switch, place),
            };
            choice(ways.iter().map(one).collect(), place).unwrap_or_else(|| name.clone())
        }
        _ => Value::unknown("the name of the variable is put together", place),
    }
}

/// A file of settings or secrets that was opened; its text stays closed.
fn opened(store: &str, given: &Given, place: &Place) -> Option<V> {
    // Text of a variable is no file.
    let from_variable =
        given.args.first().is_some_and(|one| !one.sources().is_empty() && matches!(one.kind, Kind::Outer(_)));
    Some(if from_variable { given.args.first()?.clone() } else { Value::new(Kind::Named(store.into()), place) })
}

fn named(value: &V) -> &str {
    if let Kind::Named(name) = &value.kind { name } else { "" }
}

fn is_bool(value: &V) -> bool {
    named(value) == "bool" || named(value).ends_with(".strtobool")
}

/// What the scheme of an address chooses; of a variable, what its default chooses.
fn by_scheme(url: &V, choose: &dyn Fn(&str) -> Option<&'static str>, place: &Place) -> V {
    let unknown = || {
        let kind = Kind::Call { callee: BY_SCHEME.into(), args: vec![url.clone()], named: Vec::new() };
        Value::new(kind, place)
    };
    let scheme = |text: &str| choose(text.split(':').next().unwrap_or_default());
    match &url.kind {
        Kind::Text(text) => scheme(text).map_or_else(unknown, |name| Value::new(Kind::Text(name.into()), place)),
        Kind::Made(parts) => {
            let known = parts.first().and_then(|first| scheme(first.text()?));
            known.map_or_else(unknown, |name| Value::new(Kind::Text(name.into()), place))
        }
        Kind::Outer(outer) => {
            let default = outer.default.as_ref().filter(|default| !matches!(default.kind, Kind::Null));
            let Some(default) = default else { return unknown() };
            let default = by_scheme(default, choose, place);
            Value::new(Kind::Outer(Outer { default: Some(default), ..outer.clone() }), place)
        }
        Kind::Choice(ways) => {
            let one = |way: &Guarded| Guarded { when: way.when.clone(), value: by_scheme(&way.value, choose, place) };
            choice(ways.iter().map(one).collect(), place).unwrap_or_else(unknown)
        }
        _ => unknown(),
    }
}

fn engine_of(scheme: &str) -> Option<&'static str> {
    Some(match scheme {
        "postgres" | "postgresql" | "psql" | "pgsql" | "timescale" => "django.db.backends.postgresql",
        "postgis" => "django.contrib.gis.db.backends.postgis",
        "mysql" | "mysql2" => "django.db.backends.mysql",
        "sqlite" | "sqlite3" => "django.db.backends.sqlite3",
        _ => return None,
    })
}

fn backend_of(scheme: &str) -> Option<&'static str> {
    Some(match scheme {
        "redis" | "rediss" | "rediscache" | "hiredis" | "redis-cluster" | "valkey" => {
            "django.core.cache.backends.redis.RedisCache"
        }
        "locmem" | "locmemcache" => "django.core.cache.backends.locmem.LocMemCache",
        "dummy" | "dummycache" => "django.core.cache.backends.dummy.DummyCache",
        "db" | "dbcache" => "django.core.cache.backends.db.DatabaseCache",
        "file" | "filecache" => "django.core.cache.backends.filebased.FileBasedCache",
        "memcache" | "memcached" | "pymemcache" | "pymemcached" => {
            "django.core.cache.backends.memcached.PyMemcacheCache"
        }
        _ => return None,
    })
}
