//! What a settings file says about the cache in Redis. Reads text, so it can only say what is written, not what runs.

use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::checks::Context;
use crate::checks::written::{Written, code, pattern};
use crate::domain::check::Missing;
use crate::probes::repo::SettingsFile;

static BACKEND: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"["'](django_redis\.cache\.RedisCache|django\.core\.cache\.backends\.redis\.RedisCache)["']"#)
});
static CACHES: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bCACHES\b[^=\n]*=\s*\{"));
static IGNORES: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"(?:["']IGNORE_EXCEPTIONS["']\s*\]?\s*[:=]|(?m:^)\s*DJANGO_REDIS_IGNORE_EXCEPTIONS\s*=)\s*(\S[^,\n]*)"#)
});
static WAITS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?i)["']socket_(?:connect_)?timeout["']\s*\]?\s*[:=]|[?&]socket_timeout="#));
static ELSEWHERE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"["']OPTIONS["']\s*\]?\s*[:=]\s*[A-Za-z_]|\*\*\s*[A-Za-z_]"#));
/// A name in the place of a value: `"OPTIONS": redis_options`, `**COMMON`.
static NAMED: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(["']OPTIONS["']\s*\]?\s*[:=]\s*|\*\*\s*)([A-Za-z_]\w*)(\s*[,}\n])"#));
static PARSER: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"["'](?:PARSER_CLASS|parser_class)["']\s*\]?\s*[:=]\s*["']([\w.]+)["']"#));

/// A cache out of an address: django-environ, dj-database-url's sisters.
static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\benv\.(?:cache|cache_url|dj_cache_url)\(|\bd?j?_?django_cache_url\.|\bcache_url\("));

/// Whose backend keeps the cache in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    /// `django.core.cache.backends.redis`, since Django 4.0.
    Django,
    /// The package django-redis.
    DjangoRedis,
}

/// The cache of one settings file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InRedis {
    /// The file, below the project.
    pub file: String,
    /// The backends it names; several caches may have different ones.
    pub backends: Vec<Backend>,
    /// Whether exceptions of a lost Redis are swallowed.
    pub ignores: Written,
    /// A limit for connecting or answering stands somewhere.
    pub waits: bool,
    /// Some of it stands elsewhere: OPTIONS is a name or a call, or something is spread into it.
    #[serde(default)]
    pub elsewhere: bool,
    /// Classes that are to read Redis's answers.
    pub parsers: Vec<String>,
}

impl InRedis {
    /// What this file says; none when it names no backend for Redis.
    fn read(file: &str, text: &str) -> Option<Self> {
        let whole = code(text);
        let code = with_named(&about_caches(&whole), &whole);
        let backend =
            |name: &str| if name.starts_with("django_redis") { Backend::DjangoRedis } else { Backend::Django };
        let first = |found: regex::Captures<'_>| found[1].to_owned();
        let backends: Vec<Backend> = BACKEND.captures_iter(&code).map(|found| backend(&found[1])).collect();
        let ignores: Vec<String> = IGNORES.captures_iter(&code).map(first).collect();
        (!backends.is_empty()).then(|| Self {
            file: file.to_owned(),
            backends,
            ignores: Written::most(ignores.iter().map(String::as_str)),
            waits: WAITS.is_match(&code),
            elsewhere: ELSEWHERE.is_match(&code),
            parsers: PARSER.captures_iter(&code).map(first).collect(),
        })
    }
}

/// Where the default cache is kept, as the settings that the project names say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Default {
    /// In Redis.
    Redis,
    /// In each process, in a file or nowhere.
    Apart,
}

static DEFAULT: LazyLock<Regex> = LazyLock::new(|| pattern(r#"["']default["']\s*:\s*\{"#));
/// The default cache as a call, `"default": env.cache()`.
static ALONE: LazyLock<Regex> = LazyLock::new(|| pattern(r#"^\{\s*["']default["']\s*:\s*[\w.]+\("#));
static KEPT: LazyLock<Regex> = LazyLock::new(|| pattern(r#"["']BACKEND["']\s*:\s*["']([\w.]+)["']"#));

/// Caches of a dictionary: its keys, not those of the dictionaries inside.
fn aliases(caches: &str) -> usize {
    let mut depth = 0_usize;
    let mut keys = 0;
    for c in caches.chars() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth = depth.saturating_sub(1),
            ':' if depth == 1 => keys += 1,
            // Whatever is spread into it may hold more of them.
            '*' if depth == 1 => keys += 2,
            _ => {}
        }
    }
    keys
}

/// The default cache of these files; none where it is not written as a literal, is changed afterwards, or they disagree.
pub(super) fn default_kept(files: &[SettingsFile]) -> Option<Default> {
    let mut found = Vec::new();
    for file in files {
        let code = code(&file.text);
        if code.lines().any(|line| line.trim_start().starts_with("CACHES[")) {
            return None;
        }
        for caches in CACHES.find_iter(&code) {
            let caches = literal(&code[caches.end() - 1..]);
            let default = DEFAULT.find(caches).map(|at| literal(&caches[at.end() - 1..]));
            let Some(default) = default else {
                // Out of an address (env.cache()): what is found in Redis is its own, where there is no other alias.
                if aliases(caches) == 1 && ALONE.is_match(caches) {
                    found.push(Default::Redis);
                    continue;
                }
                return None;
            };
            let backend = KEPT.captures(default)?[1].to_ascii_lowercase();
            found.push(match () {
                () if backend.contains("redis") => Default::Redis,
                () if ["locmem", "dummy", "filebased"].iter().any(|word| backend.contains(word)) => Default::Apart,
                () => return None,
            });
        }
    }
    let first = *found.first()?;
    found.iter().all(|kept| *kept == first).then_some(first)
}

/// What the code says of `CACHES`: its literal and the lines that change it, or everything where there is no literal (the
/// cache then comes out of an address, or out of a function). Brokers have socket limits, too.
fn about_caches(code: &str) -> String {
    let changes =
        code.lines().filter(|line| line.trim_start().starts_with("CACHES[") || line.contains("DJANGO_REDIS_"));
    let literals: Vec<&str> = CACHES.find_iter(code).map(|found| literal(&code[found.end() - 1..])).collect();
    if literals.is_empty() {
        return code.to_owned();
    }
    let changes = changes.collect::<Vec<_>>().join("\n");
    format!("{}\n{changes}", literals.join("\n"))
}

/// The same, with a dictionary in the place of its name where the file writes down exactly one under that name and
/// nothing changes it afterwards.
fn with_named(caches: &str, code: &str) -> String {
    let put = |found: &regex::Captures<'_>| {
        let name = &found[2];
        let assigned = pattern(&format!(r"(?m)^[ \t]*{name}\b[^=\n]*=[ \t]*"));
        let changed = pattern(&format!(r"(?m)^[ \t]*{name}\s*(?:\[|\.|\|=)"));
        let mut places = assigned.find_iter(code);
        let value = places.next().map(|place| &code[place.end()..]).filter(|value| value.starts_with('{'));
        match (value, places.next(), changed.is_match(code)) {
            (Some(value), None, false) => format!("{}{}{}", &found[1], literal(value), &found[3]),
            _ => found[0].to_owned(),
        }
    };
    NAMED.replace_all(caches, put).into_owned()
}

/// From an opening brace to the one that closes it.
fn literal(text: &str) -> &str {
    let mut open = 0_i32;
    for (at, sign) in text.char_indices() {
        open += match sign {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if open == 0 {
            return &text[..=at];
        }
    }
    text
}

/// The settings files that keep a cache in Redis.
///
/// # Errors
/// When there are no settings, or none names such a backend.
pub(super) fn in_redis(ctx: &Context<'_>) -> Result<Vec<InRedis>, Missing> {
    let read = |files: &[SettingsFile]| {
        files.iter().filter_map(|file| InRedis::read(&file.path, &file.text)).collect::<Vec<InRedis>>()
    };
    // Settings that do not run fail nothing: where the ones that run speak of it, they alone are heard.
    let named = ctx.probes.settings_in_force()?.named.unwrap_or_default();
    let files = ctx.probes.settings()?;
    let found = Some(read(&named)).filter(|found| !found.is_empty()).unwrap_or_else(|| read(&files));
    if let Some(file) = files.iter().find(|file| found.is_empty() && ADDRESS.is_match(&code(&file.text))) {
        return Err(Missing::new(
            format!("{} makes its cache out of an address, so neither backend nor options are written down", file.path),
            "give the address its limits, ?socket_connect_timeout=0.5&socket_timeout=0.5 (with django-redis IGNORE_EXCEPTIONS=True \
             too), and see what came of it: python manage.py shell -c \"from django.conf import settings; \
             print(settings.CACHES['default'])\" (it may print a password)",
        ));
    }
    if found.is_empty() {
        let names: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        return Err(Missing::new(
            format!("{} names neither Django's own backend for Redis nor django-redis", names.join(", ")),
            "nothing to do here when another backend keeps your cache; cache.shared-backend shows what really runs",
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_cache_is_told_from_its_neighbours() {
        let kept = |text: &str| default_kept(&[SettingsFile { path: "s.py".into(), text: text.into() }]);
        let caches = |default: &str, thumbs: &str| {
            format!(
                "CACHES = {{'thumbs': {{'BACKEND': '{thumbs}', 'OPTIONS': {{}}}}, 'default': {{'BACKEND': '{default}'}}}}\n"
            )
        };
        let (local, redis) = ("django.core.cache.backends.locmem.LocMemCache", "django_redis.cache.RedisCache");
        assert_eq!(kept(&caches(local, redis)), Some(Default::Apart));
        assert_eq!(kept(&caches(redis, local)), Some(Default::Redis));
        // By an address, and no other beside it.
        assert_eq!(kept("CACHES = {'default': env.cache()}"), Some(Default::Redis));
        // Others beside it, no address, changed afterwards, of two minds, of a backend nobody knows here.
        assert_eq!(kept("CACHES = {'default': env.cache('A'), 'thumbs': env.cache('B')}"), None);
        assert_eq!(kept("CACHES = {'default': env.cache('A'), **more}"), None);
        assert_eq!(kept("CACHES = {'default': LOCAL}"), None);
        assert_eq!(kept(&format!("{}CACHES['default'] = OTHER", caches(local, redis))), None);
        assert_eq!(kept(&(caches(local, redis) + &caches(redis, local))), None);
        assert_eq!(kept(&caches("shop.cache.Own", redis)), None);
        assert_eq!(kept("DEBUG = False"), None);
    }

    #[test]
    fn what_is_written_is_read_and_remarks_are_not() {
        let read = |text: &str| InRedis::read("s.py", text);
        assert_eq!(read("CACHES = {'default': {'BACKEND': 'django.core.cache.backends.locmem.LocMemCache'}}"), None);
        assert_eq!(read("# 'BACKEND': 'django_redis.cache.RedisCache'"), None);
        let whole = read(
            r#"CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "OPTIONS": {
                "IGNORE_EXCEPTIONS": True,  # a cache may go
                "SOCKET_TIMEOUT": 0.2, "PARSER_CLASS": "redis.connection.HiredisParser",
            }}}"#,
        )
        .unwrap();
        assert_eq!(whole.backends, [Backend::DjangoRedis]);
        assert_eq!((whole.ignores, whole.waits), (Written::On, true));
        assert_eq!(whole.parsers, ["redis.connection.HiredisParser"]);
        assert!(!whole.elsewhere);
        for named in ["'OPTIONS': REDIS_OPTIONS", "'OPTIONS': {**COMMON}", "**COMMON"] {
            assert!(
                read(&format!("CACHES = {{'default': {{'BACKEND': 'django_redis.cache.RedisCache', {named}}}}}"))
                    .unwrap()
                    .elsewhere
            );
        }
        // As Wagtail's demo does it: one dictionary for two caches, under a condition.
        let named = |options: &str| {
            read(&format!(
                "if URL:\n    opts = {options}\n    CACHES = {{\n        'default': {{'BACKEND': 'django_redis.cache.RedisCache', 'OPTIONS': opts}},\n    \
                 }}\n"
            ))
            .unwrap()
        };
        let whole = named("{\n        'IGNORE_EXCEPTIONS': True,\n        'SOCKET_TIMEOUT': 2,\n    }");
        assert_eq!((whole.ignores, whole.waits, whole.elsewhere), (Written::On, true, false));
        let silent = named("{'SOCKET_TIMEOUT': 2}");
        assert_eq!((silent.ignores, silent.elsewhere), (Written::Absent, false));
        for unclear in [
            "options()",
            "{'A': 1}\n    opts['B'] = 2",
            "{'A': 1}\nelse:\n    opts = {}",
            "{'A': 1}\n    opts.update(B=2)",
        ] {
            assert!(named(unclear).elsewhere, "{unclear}");
        }
        let bare = read("CACHES = {'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache'}}").unwrap();
        assert_eq!(bare.backends, [Backend::Django]);
        assert_eq!((bare.ignores, bare.waits, bare.parsers), (Written::Absent, false, Vec::new()));
        let off = "B = 'django_redis.cache.RedisCache'\nDJANGO_REDIS_IGNORE_EXCEPTIONS = False\n";
        assert_eq!(read(off).unwrap().ignores, Written::Off);
        // A broker's limit is not the cache's.
        let beside =
            "CACHES = {\n 'default': {'BACKEND': 'django_redis.cache.RedisCache'}\n}\nBROKER = {'socket_timeout': 1}\n";
        assert!(!read(beside).unwrap().waits);
        assert!(read(&format!("{beside}CACHES['default']['OPTIONS'] = {{'socket_timeout': 1}}")).unwrap().waits);
        let url = "B = 'django_redis.cache.RedisCache'\nL = 'redis://cache:6379/0?socket_timeout=1'";
        assert!(read(url).unwrap().waits);
    }
}
