//! What the settings that run say about caches in Redis. It is what is written, not what runs.

use serde::{Deserialize, Serialize};

use crate::checks::written::Written;
use crate::checks::{Context, source};
use crate::django::{Is, Repository, Settings, Way};
use crate::domain::check::Missing;

/// Options that limit how long Redis is waited for, in either spelling.
const LIMITS: [&str; 2] = ["socket_timeout", "socket_connect_timeout"];
/// Where a class is named that is to read Redis's answers.
const PARSERS: [&[&str]; 3] = [&["PARSER_CLASS"], &["parser_class"], &["CONNECTION_POOL_KWARGS", "parser_class"]];
/// Dictionaries within options.
const NESTED: usize = 3;

/// Whose backend keeps the cache in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    /// `django.core.cache.backends.redis`, since Django 4.0.
    Django,
    /// The package django-redis.
    DjangoRedis,
}

impl Backend {
    fn of(way: &Way) -> Option<Self> {
        match way.is() {
            Is::Text(name) if name == "django_redis.cache.RedisCache" => Some(Self::DjangoRedis),
            Is::Text(name) if name == "django.core.cache.backends.redis.RedisCache" => Some(Self::Django),
            _ => None,
        }
    }
}

/// One cache that is kept in Redis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct InRedis {
    /// The line that says so.
    pub place: String,
    /// By this backend.
    pub backend: Backend,
    /// Whether exceptions of a lost Redis are swallowed.
    pub ignores: Written,
    /// A limit for connecting or answering stands somewhere.
    pub waits: bool,
    /// Why some of this is not known.
    pub open: Vec<String>,
    /// Classes that are to read Redis's answers.
    pub parsers: Vec<String>,
    /// Why they are not all known.
    pub unnamed: Vec<String>,
}

/// Caches that some settings keep in Redis, and whether they make one out of an address.
#[derive(Debug, Default)]
struct Read {
    caches: Vec<InRedis>,
    /// The file that makes one out of an address.
    of_address: Option<String>,
    /// Why others may be there.
    open: Vec<String>,
    files: Vec<String>,
}

impl Read {
    fn of(repository: &Repository) -> Self {
        let mut read = Self::default();
        repository.running().for_each(|settings| read.add(settings));
        read
    }

    fn add(&mut self, settings: &Settings) {
        self.files.push(settings.file.clone());
        for caches in settings.at(&["CACHES"]) {
            self.open.extend(caches.why());
            for alias in caches.keys() {
                if caches.at(&[&alias]).iter().any(Way::is_of_address) {
                    self.of_address.get_or_insert_with(|| settings.file.clone());
                    continue;
                }
                for kept in caches.at(&[&alias, "BACKEND"]) {
                    match Backend::of(&kept) {
                        Some(backend) => self.caches.push(InRedis::of(settings, &caches, &alias, &kept, backend)),
                        None => self.open.extend(kept.why()),
                    }
                }
            }
        }
        // Settings that build on others say the same once more.
        let mut seen: Vec<InRedis> = Vec::new();
        self.caches.retain(|cache| {
            let new = !seen.contains(cache);
            seen.extend(new.then(|| cache.clone()));
            new
        });
    }
}

impl InRedis {
    /// What is said of one cache where it is kept so.
    fn of(settings: &Settings, caches: &Way, alias: &str, kept: &Way, backend: Backend) -> Self {
        let options = |keys: &[&str]| kept.beside(&caches.at(&[&[alias, "OPTIONS"][..], keys].concat()));
        let mut open = Vec::new();
        let mut sure = |ways: &[Way]| {
            Written::sure(ways).unwrap_or_else(|why| {
                open.push(why);
                Written::Absent
            })
        };
        let everywhere = settings.at(&["DJANGO_REDIS_IGNORE_EXCEPTIONS"]);
        let own = sure(&options(&["IGNORE_EXCEPTIONS"]));
        let ignores = match (backend, own) {
            (Backend::DjangoRedis, Written::Absent) => sure(&everywhere),
            (Backend::DjangoRedis, own) => own,
            // Whoever sets it for this backend, wherever, believes in it.
            (Backend::Django, own) => {
                let beside = sure(&kept.beside(&caches.at(&[alias, "IGNORE_EXCEPTIONS"])));
                let others = caches.keys().iter().any(|alias| {
                    let kept = caches.at(&[alias, "BACKEND"]);
                    kept.iter().any(|way| Backend::of(way) == Some(Backend::DjangoRedis))
                });
                let everywhere = if others { Written::Absent } else { Written::most(&everywhere) };
                own.max(beside).max(everywhere)
            }
        };
        let address = kept.beside(&caches.at(&[alias, "LOCATION"]));
        let in_address = address.iter().flat_map(Way::texts).any(|text| says_limit(&text));
        let (mut parsers, mut unnamed) = (Vec::new(), Vec::new());
        for way in PARSERS.iter().flat_map(|keys| options(keys)) {
            match way.is() {
                Is::Text(class) | Is::Named(class) => parsers.push(class),
                _ => unnamed.extend(way.why()),
            }
        }
        parsers.dedup();
        unnamed.dedup();
        let waits = in_address || options(&[]).iter().any(|options| limits(options, NESTED));
        let place = kept.place().unwrap_or_else(|| settings.file.clone());
        Self { place, backend, ignores, waits, open, parsers, unnamed }
    }
}

/// Does an address limit how long is waited?
fn says_limit(address: &str) -> bool {
    LIMITS.iter().any(|limit| ["?", "&"].iter().any(|sign| address.contains(&format!("{sign}{limit}="))))
}

/// Does a limit stand among options, or deeper in them? One that a variable holds is one.
fn limits(options: &Way, depth: usize) -> bool {
    options.keys().iter().any(|key| {
        let ways = options.at(&[key]);
        let limit = LIMITS.contains(&key.to_ascii_lowercase().as_str());
        let set = |way: &Way| limit && way.truth() != Some(false);
        ways.iter().any(|way| set(way) || depth > 0 && limits(way, depth - 1))
    })
}

/// Where the default cache is kept, as the settings say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kept {
    /// In Redis.
    Redis,
    /// In each process, in a file or nowhere.
    Apart,
}

impl Kept {
    fn of(way: &Way) -> Option<Self> {
        let name = match way.is() {
            // Django's own, where nothing is written.
            Is::Absent => return Some(Self::Apart),
            Is::Text(name) => name.to_ascii_lowercase(),
            _ => return None,
        };
        let apart = ["locmem", "dummy", "filebased"].iter().any(|word| name.contains(word));
        if name.contains("redis") { Some(Self::Redis) } else { apart.then_some(Self::Apart) }
    }
}

/// Where the default cache is, for whoever saw keys found in Redis; none where the settings do not say. Ways in which no
/// cache at all is in Redis are ruled out by what was seen, as long as there is another.
pub(super) fn default_kept(repository: &Repository) -> Option<Kept> {
    repository.named.as_ref()?;
    let mut all = repository.running().map(kept_by);
    let first = all.next().flatten();
    first.filter(|_| all.all(|other| other == first))
}

fn kept_by(settings: &Settings) -> Option<Kept> {
    let (mut found, mut idle) = (Vec::new(), false);
    for caches in settings.at(&["CACHES"]) {
        // More of them may be there, and in Redis.
        let whole = caches.at(&["no such cache"]).iter().all(|way| way.is() == Is::Absent);
        let names = caches.keys();
        let addressed = |alias: &str| caches.at(&[alias]).iter().any(Way::is_of_address);
        if whole && names.len() == 1 && addressed("default") {
            // Out of an address (env.cache()): what is found in Redis is its own, where there is no other alias.
            found.push(Kept::Redis);
            continue;
        }
        if addressed("default") {
            return None;
        }
        for kept in caches.at(&["default", "BACKEND"]) {
            let elsewhere = |alias: &String| {
                let ways = kept.beside(&caches.at(&[alias, "BACKEND"]));
                alias != "default" && ways.iter().any(|way| Kept::of(way) != Some(Kept::Apart))
            };
            match Kept::of(&kept)? {
                Kept::Apart if whole && !names.iter().any(elsewhere) => idle = true,
                kept => found.push(kept),
            }
        }
    }
    let first = found.first().copied();
    let agree = found.iter().all(|kept| Some(*kept) == first);
    first.or(idle.then_some(Kept::Apart)).filter(|_| agree)
}

/// The caches that the settings keep in Redis, as far as they may run.
///
/// # Errors
/// When there are no settings, or none names such a backend.
pub(super) async fn in_redis(ctx: &Context<'_>) -> Result<Vec<InRedis>, Missing> {
    let read = source::ask(ctx.probes, Read::of).await?;
    found(read)
}

fn found(read: Read) -> Result<Vec<InRedis>, Missing> {
    let Read { caches, of_address, open, files } = read;
    if !caches.is_empty() {
        return Ok(caches);
    }
    if let Some(file) = of_address {
        return Err(Missing::new(
            format!("{file} makes its cache out of an address, so neither backend nor options are written down"),
            "give the address its limits, ?socket_connect_timeout=0.5&socket_timeout=0.5 (with django-redis IGNORE_EXCEPTIONS=True \
             too), and see what came of it: python manage.py shell -c \"from django.conf import settings; \
             print(settings.CACHES['default'])\" (it may print a password)",
        ));
    }
    Err(match open.first() {
        Some(why) => Missing::new(
            format!("whether a cache is in Redis is not known: {why}"),
            "see what counts: python manage.py shell -c \"from django.conf import settings; print(settings.CACHES)\" (it may print a \
             password)",
        ),
        None => Missing::new(
            format!("{} names neither Django's own backend for Redis nor django-redis", files.join(", ")),
            "nothing to do here when another backend keeps your cache; cache.shared-backend shows what really runs",
        ),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::checks::source::tests::{of_settings, of_shop};

    /// The caches of the practice shop with a row of step 3's faults.
    pub(in crate::checks::cache) fn of_row(row: &str) -> Vec<InRedis> {
        found(of_shop(3, row, Read::of)).unwrap()
    }

    #[test]
    fn the_practice_shop_says_where_its_default_cache_is() {
        for (row, wanted) in [
            ("", Some(Kept::Redis)),
            ("cache-with-a-local-alias", Some(Kept::Redis)),
            ("cache-by-django-itself", Some(Kept::Redis)),
            ("cache-for-thumbnails-only", Some(Kept::Apart)),
            ("cache-for-sessions-only", Some(Kept::Apart)),
            ("cache-dummy", Some(Kept::Apart)),
        ] {
            assert_eq!(of_shop(3, row, default_kept), wanted, "{row}");
        }
    }

    const ENVIRON: &str = "import environ\nenv = environ.Env()\n";
    const LOCAL: &str = "django.core.cache.backends.locmem.LocMemCache";
    const REDIS: &str = "django_redis.cache.RedisCache";

    #[test]
    fn the_default_cache_is_told_from_its_neighbours() {
        let kept = |text: &str| of_settings(text, default_kept);
        let caches = |default: &str, thumbs: &str| {
            format!(
                "CACHES = {{'thumbs': {{'BACKEND': '{thumbs}', 'OPTIONS': {{}}}}, 'default': {{'BACKEND': '{default}'}}}}\n"
            )
        };
        let under = |condition: &str, text: &str| format!("if {condition}:\n    {text}");
        assert_eq!(kept(&caches(LOCAL, REDIS)), Some(Kept::Apart));
        assert_eq!(kept(&caches(LOCAL, LOCAL)), Some(Kept::Apart));
        assert_eq!(kept(&caches(REDIS, LOCAL)), Some(Kept::Redis));
        // By an address, and no other beside it.
        assert_eq!(kept(&format!("{ENVIRON}CACHES = {{'default': env.cache()}}")), Some(Kept::Redis));
        // A variable decides, and whatever it says, what is found in Redis is the default cache's.
        assert_eq!(kept(&under("os.environ.get('A')", &caches(REDIS, LOCAL))), Some(Kept::Redis));
        assert_eq!(kept(&under("os.environ.get('A')", &caches(LOCAL, REDIS))), Some(Kept::Apart));
        // Written anew, the last one counts.
        assert_eq!(kept(&(caches(LOCAL, REDIS) + &caches(REDIS, LOCAL))), Some(Kept::Redis));
        assert_eq!(
            kept(&format!("{}CACHES['default'] = {{'BACKEND': '{REDIS}'}}", caches(LOCAL, LOCAL))),
            Some(Kept::Redis)
        );
        // Others beside it, no address, changed by something unknown, of two minds, of a backend nobody knows here.
        for text in [
            format!("{ENVIRON}CACHES = {{'default': env.cache('A'), 'thumbs': env.cache('B')}}"),
            format!("{ENVIRON}CACHES = {{'default': env.cache('A'), **more()}}"),
            format!("CACHES = {{'default': {{'BACKEND': '{REDIS}'}}, **more()}}"),
            "CACHES = {'default': LOCAL}".to_owned(),
            format!("{}CACHES['default'] = other()", caches(LOCAL, REDIS)),
            format!("{}if os.environ.get('A'):\n    {}", caches(LOCAL, REDIS), caches(REDIS, LOCAL)),
            "CACHES = {'default': {'BACKEND': os.environ['A']}}".to_owned(),
            caches("shop.cache.Own", REDIS),
            "from elsewhere.settings import *".to_owned(),
        ] {
            assert_eq!(kept(&text), None, "{text}");
        }
        // Django's own default is in each process.
        assert_eq!(kept("DEBUG = False"), Some(Kept::Apart));
    }

    fn read(text: &str) -> Result<Vec<InRedis>, String> {
        found(of_settings(text, Read::of)).map_err(|missing| missing.what)
    }

    /// The one cache of such settings.
    fn one(text: &str) -> InRedis {
        let mut all = read(text).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    #[test]
    fn what_is_written_is_read_and_remarks_are_not() {
        for (text, why) in [
            (format!("CACHES = {{'default': {{'BACKEND': '{LOCAL}'}}}}"), "shop/settings.py names neither"),
            (format!("# 'BACKEND': '{REDIS}'"), "shop/settings.py names neither"),
            (
                format!("{ENVIRON}CACHES = {{'default': env.cache()}}"),
                "shop/settings.py makes its cache out of an address",
            ),
            ("CACHES = made()".to_owned(), "shop/settings.py:4: it is made in a way that is not followed"),
            (
                "CACHES = {'default': {'BACKEND': os.environ['B']}}".to_owned(),
                "shop/settings.py:4: the variable B decides",
            ),
        ] {
            let said = read(&text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        let whole = one(r#"CACHES = {"default": {"BACKEND": "django_redis.cache.RedisCache", "OPTIONS": {
                "IGNORE_EXCEPTIONS": True,  # a cache may go
                "SOCKET_TIMEOUT": 0.2, "PARSER_CLASS": "redis.connection.HiredisParser",
            }}}"#);
        assert_eq!((whole.backend, &*whole.place), (Backend::DjangoRedis, "shop/settings.py:4"));
        assert_eq!((whole.ignores, whole.waits), (Written::On, true));
        assert_eq!(whole.parsers, ["redis.connection.HiredisParser"]);
        assert!(whole.open.is_empty() && whole.unnamed.is_empty());
        let bare = one("CACHES = {'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache'}}");
        assert_eq!((bare.backend, bare.ignores, bare.waits), (Backend::Django, Written::Absent, false));
        assert!(bare.parsers.is_empty());
        let off =
            one(&format!("CACHES = {{'default': {{'BACKEND': '{REDIS}'}}}}\nDJANGO_REDIS_IGNORE_EXCEPTIONS = False\n"));
        assert_eq!(off.ignores, Written::Off);
        // A broker's limit is not the cache's.
        let beside =
            format!("CACHES = {{\n 'default': {{'BACKEND': '{REDIS}'}}\n}}\nBROKER = {{'socket_timeout': 1}}\n");
        assert!(!one(&beside).waits);
        assert!(one(&format!("{beside}CACHES['default']['OPTIONS'] = {{'socket_timeout': 1}}")).waits);
        assert!(!one(&format!("{beside}CACHES['default']['OPTIONS'] = {{'socket_timeout': None}}")).waits);
        let pool = "{'CONNECTION_POOL_KWARGS': {'socket_connect_timeout': os.environ['T']}}";
        assert!(one(&format!("{beside}CACHES['default']['OPTIONS'] = {pool}")).waits);
        let location = "CACHES['default']['LOCATION'] = 'redis://cache:6379/0?socket_timeout=1'";
        assert!(one(&format!("{beside}{location}")).waits);
    }

    #[test]
    fn an_option_of_another_backend_is_seen_wherever_it_stands() {
        for text in ["'IGNORE_EXCEPTIONS': True", "'OPTIONS': {'IGNORE_EXCEPTIONS': True}"] {
            let of = |backend: &str| format!("CACHES = {{'default': {{'BACKEND': '{backend}', {text}}}}}");
            assert_eq!(one(&of("django.core.cache.backends.redis.RedisCache")).ignores, Written::On, "{text}");
            let own = if text.starts_with("'OPTIONS") { Written::On } else { Written::Absent };
            assert_eq!(one(&of(REDIS)).ignores, own, "django-redis reads OPTIONS alone: {text}");
        }
    }

    #[test]
    fn options_that_stand_elsewhere_are_followed_or_not_known() {
        for named in ["'OPTIONS': options()", "'OPTIONS': {**options()}", "**options()"] {
            let cache = one(&format!("CACHES = {{'default': {{'BACKEND': '{REDIS}', {named}}}}}"));
            assert!(cache.open[0].starts_with("shop/settings.py:4: "), "{named}: {:?}", cache.open);
            assert!(!cache.unnamed.is_empty(), "{named}");
        }
        let after = one(&format!("CACHES = {{'default': {{'BACKEND': '{REDIS}', 'OPTIONS': {{}}, **options()}}}}"));
        assert_eq!(after.open.len(), 1, "what is spread in may hold options and leave the backend: {:?}", after.open);
        // As Wagtail's demo does it: one dictionary for two caches, under a condition.
        let named = |options: &str| {
            one(&format!(
                "URL = os.environ.get('URL')\nif URL:\n    opts = {options}\n    CACHES = {{\n        'default': {{'BACKEND': '{REDIS}', 'OPTIONS': opts}},\n    }}\n"
            ))
        };
        let whole = named("{\n        'IGNORE_EXCEPTIONS': True,\n        'SOCKET_TIMEOUT': 2,\n    }");
        assert_eq!((whole.ignores, whole.waits, whole.open.len()), (Written::On, true, 0));
        let changed = named("{'SOCKET_TIMEOUT': 2}\n    opts.update(IGNORE_EXCEPTIONS=True)");
        assert_eq!((changed.ignores, changed.waits, changed.open.len()), (Written::On, true, 0));
        let silent = named("{'SOCKET_TIMEOUT': 2}");
        assert_eq!((silent.ignores, silent.open.len()), (Written::Absent, 0));
        for unclear in ["options()", "{'A': 1}\n    opts.update(more())", "{'IGNORE_EXCEPTIONS': os.environ['I']}"] {
            assert_eq!(named(unclear).open.len(), 1, "{unclear}");
        }
        // Each of two backends has its own options.
        let two = format!(
            "if os.environ.get('A'):\n    CACHES = {{'default': {{'BACKEND': '{REDIS}', 'OPTIONS': {{'IGNORE_EXCEPTIONS': True}}}}}}\nelse:\n    \
             CACHES = {{'default': {{'BACKEND': 'django.core.cache.backends.redis.RedisCache'}}}}\n"
        );
        let all: Vec<_> = read(&two).unwrap().into_iter().map(|cache| (cache.backend, cache.ignores)).collect();
        assert_eq!(all, [(Backend::DjangoRedis, Written::On), (Backend::Django, Written::Absent)]);
    }
}
