//! Small projects, each written for one thing that a scan must get right, or must say that it cannot know.

use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::{DjangoError, Fact, Scan, Variable};

const MANAGE: &str = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
const BASE: &str = "import os\nDEBUG = False\nMIDDLEWARE = ['django.contrib.sessions.middleware.SessionMiddleware']\nINSTALLED_APPS = []\nROOT_URLCONF = 'shop.urls'\n\
                    DATABASES = {'default': {'ENGINE': 'django.db.backends.postgresql'}}\n";

fn write(root: &Path, path: &str, bytes: &[u8]) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::store::atomic::write(&path, bytes).unwrap();
}

fn project(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    files.iter().for_each(|(path, text)| write(root.path(), path, text.as_bytes()));
    root
}

fn scan(files: &[(&str, &str)]) -> Scan {
    Scan::read(project(files).path()).unwrap()
}

fn fact<'s>(scan: &'s Scan, name: &str) -> &'s Fact {
    &scan.facts.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no fact {name}")).1
}

/// A fact of a project whose settings are these, after the usual ones.
fn of_settings(text: &str, name: &str) -> Fact {
    let settings = format!("{BASE}{text}\n");
    let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", &settings), ("shop/urls.py", "urlpatterns = []\n")]);
    fact(&found, name).clone()
}

/// Value and switch.
fn told(fact: &Fact) -> (&str, &str) {
    (&fact.value, fact.when.as_deref().unwrap_or_default())
}

/// The same, of a scan.
fn told_of<'s>(scan: &'s Scan, name: &str) -> (&'s str, &'s str) {
    told(fact(scan, name))
}

#[test]
fn every_reader_gives_a_name_and_a_default() {
    let age = "\nDATABASES['default']['CONN_MAX_AGE'] = AGE";
    for (text, wanted) in [
        ("AGE = 60", ("60", "always")),
        ("AGE = int(os.environ.get('A', '60'))", ("60", "env:A")),
        ("AGE = int(os.getenv('A', 60))", ("60", "env:A")),
        ("AGE = os.environ.get('A') or 60", ("60", "no env:A")),
        ("AGE = os.environ['A']", ("unknown", "")),
        ("AGE = 60 if 'A' in os.environ else 0", ("0", "no env:A")),
        ("try:\n    AGE = os.environ['A']\nexcept KeyError:\n    AGE = 60", ("60", "env:A")),
        (
            "def number(name, default=60):\n    return int(os.environ.get(name, default))\nAGE = number('A')",
            ("60", "env:A"),
        ),
        ("import environ\nenv = environ.Env()\nAGE = env.int('A', default=60)", ("60", "env:A")),
        ("import environ\nenv = environ.Env(A=(int, 60))\nAGE = env('A')", ("60", "env:A")),
        ("import environ\nenv = environ.FileAwareEnv()\nAGE = env('A', int, 60)", ("unknown", "")),
        ("from environs import Env\nenv = Env()\nAGE = env.int('A', 60)", ("60", "env:A")),
        ("from environs import env\nAGE = env.int('A', 60)", ("60", "env:A")),
        ("from decouple import config\nAGE = config('A', default=60, cast=int)", ("60", "env:A")),
        ("from decouple import AutoConfig\nconfig = AutoConfig()\nAGE = config('A', default=60)", ("60", "env:A")),
        ("import json\nS = json.load(open('s.json'))\nAGE = S.get('a', 60)", ("60", "secret:a")),
        (
            "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n    a: int = 60\ns = S()\nAGE = s.a",
            ("60", "env:A"),
        ),
        (
            "from pydantic_settings import BaseSettings, SettingsConfigDict\nclass S(BaseSettings):\n    \
             model_config = SettingsConfigDict(env_prefix='X_')\n    a: int = 60\nAGE = S().a",
            ("60", "env:X_A"),
        ),
    ] {
        assert_eq!(told(&of_settings(&format!("{text}{age}"), "conn_max_age")), wanted, "{text}");
    }
}

#[test]
fn addresses_become_what_their_packages_make_of_them() {
    for (text, name, wanted) in [
        (
            "import dj_database_url\nDATABASES = {'default': dj_database_url.config(conn_max_age=60)}",
            "conn_max_age",
            "60",
        ),
        (
            "import dj_database_url as u\nDATABASES = {'default': u.parse(os.environ['D'], conn_max_age=60)}",
            "conn_max_age",
            "60",
        ),
        ("import environ\nDATABASES = {'default': environ.Env().db()}", "conn_max_age", "unset"),
        (
            "import environ\nCACHES = {'default': environ.Env().cache('C', default='redis://r')}",
            "cache_backend",
            "redis",
        ),
        ("import environ\nCACHES = {'default': environ.Env().cache()}", "cache_backend", "env-url"),
        ("import environ\nCACHES = {'default': environ.Env().cache()}", "redis_cache", "unknown"),
        (
            "import django_cache_url\nCACHES = {'default': django_cache_url.config(default='locmem://')}",
            "cache_backend",
            "locmem",
        ),
        ("STORAGES = {'default': {'BACKEND': os.environ['S']}}", "media_object_storage", "unknown"),
        (
            "STORAGES = {'default': {'BACKEND': os.getenv('S', 'storages.backends.s3.S3Storage')}}",
            "media_object_storage",
            "yes",
        ),
        ("CACHES = make()", "cache_backend", "unknown"),
    ] {
        assert_eq!(of_settings(text, name).value, wanted, "{text}");
    }
}

#[test]
fn changes_reach_what_they_change() {
    for text in [
        "DATABASES['default'].update({'CONN_MAX_AGE': 60})",
        "DATABASES['default'].update(CONN_MAX_AGE=60)",
        "DATABASES['default'] |= {'CONN_MAX_AGE': 60}",
        "DATABASES['default'] = {**DATABASES['default'], 'CONN_MAX_AGE': 60}",
        "DATABASES['default'] = dict(DATABASES['default'], CONN_MAX_AGE=60)",
        "DATABASES['default'].setdefault('CONN_MAX_AGE', 60)",
        "for name in DATABASES:\n    DATABASES[name]['CONN_MAX_AGE'] = 60",
        "DATABASES = {name: {'CONN_MAX_AGE': 6 * 10} for name in ['default']}",
        "globals().update({'DATABASES': {'default': {'CONN_MAX_AGE': 60}}})",
        "AGES = {'long': 60}\nDATABASES['default']['CONN_MAX_AGE'] = AGES['long']",
        "def add(all):\n    return {**all, 'CONN_MAX_AGE': 60}\nDATABASES['default'] = add(DATABASES['default'])",
    ] {
        assert_eq!(of_settings(text, "conn_max_age").value, "60", "{text}");
    }
    assert_eq!(
        of_settings(
            "DATABASES['default']['CONN_MAX_AGE'] = 60\ndel DATABASES['default']['CONN_MAX_AGE']",
            "conn_max_age"
        )
        .value,
        "unset"
    );
    for text in [
        "MIDDLEWARE += ['whitenoise.middleware.WhiteNoiseMiddleware']",
        "MIDDLEWARE.insert(1, 'whitenoise.middleware.WhiteNoiseMiddleware')",
        "MIDDLEWARE = ['whitenoise.middleware.WhiteNoiseMiddleware', *MIDDLEWARE]",
        "MIDDLEWARE = ['a'] + MIDDLEWARE + ['whitenoise.middleware.WhiteNoiseMiddleware']",
        "MIDDLEWARE = [m for m in ('a', 'whitenoise.middleware.WhiteNoiseMiddleware') if m != 'a']",
    ] {
        assert_eq!(of_settings(text, "static_serving").value, "whitenoise", "{text}");
    }
}

#[test]
fn both_sides_of_a_branch_are_kept_and_production_takes_its_own() {
    let engine = "SESSION_ENGINE = 'django.contrib.sessions.backends.cache'";
    for (text, wanted) in [
        (format!("if DEBUG:\n    {engine}"), ("db-default", "")),
        (format!("if not DEBUG:\n    {engine}"), ("cache", "always")),
        (format!("DEBUG = os.environ.get('DEBUG')\nif not DEBUG:\n    {engine}"), ("cache", "env:DEBUG=false")),
        (format!("if os.environ.get('ENV') == 'production':\n    {engine}"), ("cache", "env:ENV=production")),
        (format!("if os.environ.get('ENV') in ('dev', 'test'):\n    {engine}"), ("db-default", "")),
        // A place for files is no environment: nobody knows that production is not there.
        (
            format!(
                "if os.environ.get('PLACE', 'local') == 'local':\n    {engine}\nelse:\n    {}",
                engine.replace("cache", "file")
            ),
            ("cache", "env:PLACE=local"),
        ),
        (format!("import sys\nif 'test' in sys.argv:\n    {engine}"), ("db-default", "")),
        (
            format!("if os.environ.get('S'):\n    {engine}\nelse:\n    {}", engine.replace("cache", "cached_db")),
            ("cached_db", "no env:S"),
        ),
        (
            format!("match os.environ.get('S', 'x'):\n    case 'x':\n        {engine}\n    case _:\n        pass"),
            ("cache", "env:S"),
        ),
    ] {
        assert_eq!(told(&of_settings(&text, "session_engine")), wanted, "{text}");
    }
    let helper = "def flag(name, default):\n    if name in os.environ:\n        return ast.literal_eval(os.environ[name])\n    return default\n";
    let flagged = format!("import ast\n{helper}DEBUG = flag('DEBUG', True)\nif not DEBUG:\n    {engine}");
    assert_eq!(of_settings(&flagged, "session_engine").value, "cache", "a switch is there in production, and off");
    let both = of_settings(&format!("if os.environ.get('S'):\n    {engine}"), "session_engine");
    assert_eq!((both.value.as_str(), both.alt.get("env:S").map(String::as_str)), ("db-default", Some("cache")));
    // Many branches on one list stay as long as they are.
    let many: String = (0..200).map(|n| format!("if os.environ.get('V{n}'):\n    MIDDLEWARE += ['m{n}']\n")).collect();
    let last = format!("{many}MIDDLEWARE += ['whitenoise.middleware.WhiteNoiseMiddleware']");
    assert_eq!(told(&of_settings(&last, "static_serving")), ("whitenoise", "always"));
}

#[test]
fn imports_are_followed_as_python_does() {
    let cached = "SESSION_ENGINE = 'django.contrib.sessions.backends.cache'\n";
    let manage = ("manage.py", MANAGE);
    let star = format!("{BASE}from .more import *\n");
    let split = format!(
        "{BASE}from split_settings.tools import include, optional\ninclude('parts/*.py', optional('none.py'))\n"
    );
    let named = format!("{BASE}from shop.more import SESSION_ENGINE\n");
    let tried = format!("{BASE}try:\n    from .local_settings import *\nexcept ImportError:\n    {cached}");
    for files in [
        vec![("shop/settings.py", star.as_str()), ("shop/more.py", cached)],
        vec![("shop/settings.py", split.as_str()), ("shop/parts/a.py", cached)],
        vec![("shop/settings.py", named.as_str()), ("shop/more.py", cached)],
        vec![("shop/settings.py", tried.as_str())],
        // The package wins over the module beside it.
        vec![
            ("shop/settings.py", BASE),
            ("shop/settings/__init__.py", "from .base import *\n"),
            ("shop/settings/base.py", &named),
            ("shop/more.py", cached),
        ],
        // Two modules that import each other end.
        vec![
            ("shop/settings.py", star.as_str()),
            ("shop/more.py", "from .settings import *\nSESSION_ENGINE = 'django.contrib.sessions.backends.cache'\n"),
        ],
    ] {
        let found = scan(&[&[manage][..], &files].concat());
        assert_eq!(fact(&found, "session_engine").value, "cache", "{files:?}");
    }
    let missing = scan(&[manage, ("shop/settings.py", &tried)]);
    assert!(missing.remarks[0].contains("shop.local_settings"), "{:?}", missing.remarks);
}

#[test]
fn absence_proves_nothing_where_settings_come_from_elsewhere() {
    for (text, wanted) in [
        ("from shared_settings.production import *", "unknown"),
        ("from .local_settings import *", "unknown"),
        ("try:\n    from .local_settings import *\nexcept ImportError:\n    pass", "no"),
        ("try:\n    from shared_settings import *\nexcept ImportError:\n    pass", "no"),
        ("if os.path.exists('local_settings.py'):\n    from .local_settings import *", "no"),
        ("if os.environ.get('A'):\n    from shared_settings import *", "unknown"),
        ("from shop.apps import INSTALLED_APPS\nif os.environ.get('A'):\n    INSTALLED_APPS.append('a')", "no"),
        ("if DEBUG:\n    from shared_settings import *", "no"),
        ("from django.conf.global_settings import *", "no"),
        ("from shared_settings import NAME", "no"),
        ("import django_heroku\ndjango_heroku.settings(locals())", "unknown"),
        ("import django_heroku\ndjango_heroku.settings(config=globals())", "unknown"),
        ("def f(names):\n    names['X'] = 1\nf(vars())", "unknown"),
        ("exec(open('x.py').read())", "unknown"),
        ("print(len(globals()))\nglobals().update({'A': 1})\nA = dict(globals())", "no"),
        ("import apps\nINSTALLED_APPS = apps.all()", "unknown"),
        ("import apps\nINSTALLED_APPS = ['a', *apps.more]", "unknown"),
        ("import apps\nINSTALLED_APPS += apps.more()", "unknown"),
        ("INSTALLED_APPS += ['a', os.environ['B']]", "unknown"),
        ("INSTALLED_APPS += ['a'] if os.environ.get('B') else ['c']", "no"),
    ] {
        let settings = format!("{BASE}{text}\n");
        let apps = ("shop/apps.py", "INSTALLED_APPS = ['b']\n");
        let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", &settings), apps]);
        assert_eq!(fact(&found, "sentry").value, wanted, "{text}");
    }
}

#[test]
fn absence_in_what_is_not_followed_proves_nothing() {
    for (text, name, wanted) in [
        ("DATABASES = x()", "db_pool", ("unknown", "")),
        ("DATABASES = x()", "pgbouncer_hints", ("unknown", "")),
        ("DATABASES = {'default': x()}", "db_pool", ("unknown", "")),
        ("DATABASES['default']['OPTIONS'] = x()", "db_pool", ("unknown", "")),
        ("DATABASES['default']['OPTIONS'] = {'a': 1}", "db_pool", ("no", "")),
        ("", "pgbouncer_hints", ("no", "")),
        ("REST_FRAMEWORK = x()", "throttling", ("unknown", "")),
        ("REST_FRAMEWORK = {'DEFAULT_THROTTLE_CLASSES': []}", "throttling", ("none", "")),
        ("MIDDLEWARE = x()", "throttling", ("unknown", "")),
        ("MIDDLEWARE = x()", "session_engine", ("unknown", "")),
        ("MIDDLEWARE += [*x()]", "throttling", ("unknown", "")),
        ("MIDDLEWARE = ['a']", "session_engine", ("none", "")),
        ("LOGGING = x()", "logging_structured", ("unknown", "")),
        ("LOGGING = {}", "logging_structured", ("no", "")),
        ("ROOT_URLCONF = 'elsewhere.urls'", "health_endpoint", ("unknown", "")),
        ("ROOT_URLCONF = 'elsewhere.urls'", "metrics_endpoint", ("unknown", "")),
        ("", "metrics_endpoint", ("no", "")),
        ("from decouple import config\nDEFAULT_FILE_STORAGE = config('S')", "media_object_storage", ("unknown", "")),
        ("from decouple import config\nSTATICFILES_STORAGE = config('S')", "hashed_static", ("unknown", "")),
        ("STORAGES = x()", "hashed_static", ("unknown", "")),
    ] {
        assert_eq!(told(&of_settings(text, name)), wanted, "{text}");
    }
    let celery = "CELERY_BROKER_URL = os.environ['Q']\nfrom decouple import config\nCELERY_TASK_ACKS_LATE = ";
    for (text, wanted) in [
        ("config('ACKS', cast=bool)", ("yes", "env:ACKS")),
        ("config('ACKS', default=False, cast=bool)", ("yes", "env:ACKS")),
        ("os.environ.get('ACKS') == 'true'", ("yes", "env:ACKS=true")),
        ("x()", ("unknown", "")),
        ("False", ("no", "")),
        ("True", ("yes", "always")),
    ] {
        assert_eq!(told(&of_settings(&format!("{celery}{text}"), "acks_late")), wanted, "{text}");
    }
}

#[test]
fn celery_may_be_told_elsewhere_than_in_settings() {
    let cache = "CACHES = {'default': {'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': os.environ['R']}}";
    let settings = format!("{BASE}{cache}\n");
    let named = "from celery import Celery\napp = Celery('shop')\napp.config_from_object('shop.celeryconfig')\n";
    let django = named.replace("shop.celeryconfig", "django.conf:settings");
    let unnamed = "from celery import Celery\napp = Celery('shop')\n";
    for (code, config, late, separate) in [
        (named, "task_acks_late = True\nimport os\nbroker_url = os.environ['B']\n", ("yes", "always"), "yes"),
        (named, "import os\nbroker_url = os.environ['R']\n", ("no", ""), "no"),
        (named, "task_acks_late = x()\n", ("unknown", ""), "unknown"),
        (django.as_str(), "task_acks_late = True\n", ("no", ""), "unknown"),
        (unnamed, "task_acks_late = True\n", ("no", ""), "unknown"),
        ("", "", ("na", ""), "na"),
    ] {
        let files =
            [("shop/settings.py", settings.as_str()), ("shop/celery.py", code), ("shop/celeryconfig.py", config)];
        let found = scan(&[&[("manage.py", MANAGE)][..], &files].concat());
        assert_eq!(told_of(&found, "acks_late"), late, "{code}{config}");
        assert_eq!(fact(&found, "separate_broker_cache_redis").value, separate, "{code}{config}");
    }
    let template = "django\n{%- if cookiecutter.celery == 'y' %}\ncelery\n{%- endif %}\n";
    for (asked, separate) in [("django\ncelery[redis]\n", "unknown"), ("django\n", "na"), (template, "na")] {
        let files = [
            ("shop/settings.py", settings.as_str()),
            ("shop/celery.py", unnamed),
            ("requirements.txt", asked),
            ("cookiecutter.json", "{\"celery\": \"n\"}"),
        ];
        let found = scan(&[&[("manage.py", MANAGE)][..], &files].concat());
        assert_eq!(fact(&found, "separate_broker_cache_redis").value, separate, "{asked}");
    }
}

#[test]
fn a_class_of_settings_is_what_production_picks() {
    let settings = "from configurations import Configuration, values\nimport sentry_sdk\n\
        class Base(Configuration):\n    INSTALLED_APPS = []\n    SENTRY_DSN = values.Value(None)\n\
        \x20   DATABASES = {'default': {'CONN_MAX_AGE': values.IntegerValue(5, environ_name='AGE', environ_prefix=None)}}\n\
        \x20   @property\n    def LOGGING(self):\n        return {'version': 1}\n\
        \x20   @classmethod\n    def post_setup(cls):\n        super().post_setup()\n        if cls.SENTRY_DSN:\n            sentry_sdk.init(cls.SENTRY_DSN)\n\
        class Dev(Base):\n    SESSION_ENGINE = 'django.contrib.sessions.backends.file'\n\
        class Production(Base):\n    SESSION_ENGINE = 'django.contrib.sessions.backends.cache'\n";
    let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", settings)]);
    for (name, wanted) in [
        ("session_engine", ("cache", "always")),
        ("conn_max_age", ("5", "env:AGE")),
        ("logging_config", ("yes", "always")),
        ("sentry", ("yes", "env:DJANGO_SENTRY_DSN")),
    ] {
        assert_eq!(told(fact(&found, name)), wanted, "{name}");
    }
    let dev = scan(&[
        ("manage.py", MANAGE),
        ("shop/settings.py", settings),
        (".env.production", "DJANGO_CONFIGURATION=Base\n"),
    ]);
    assert_eq!(fact(&dev, "session_engine").value, "db-default");
}

#[test]
fn production_is_what_the_deployment_says_then_the_entry_then_what_is_left() {
    let wsgi = |module: &str| format!("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '{module}')\n");
    let (dev, live) = (wsgi("shop.settings.dev"), wsgi("shop.settings.production"));
    let whole = format!("{BASE}SECRET_KEY = 'x'\n");
    let settings = [
        ("manage.py", dev.as_str()),
        ("shop/settings/__init__.py", ""),
        ("shop/settings/base.py", &whole),
        ("shop/settings/dev.py", "from .base import *\n"),
        ("shop/settings/production.py", "from .base import *\n"),
    ];
    let named = ["shop.settings.production", "none", "unknown"];
    for (more, module, deployed) in [
        (vec![("shop/wsgi.py", live.as_str())], 0, 1),
        (vec![("shop/wsgi.py", dev.as_str())], 0, 2),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                ("Dockerfile", "FROM a\nENV A=1 DJANGO_SETTINGS_MODULE=shop.settings.production\n"),
            ],
            0,
            0,
        ),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                ("Dockerfile", "RUN DJANGO_SETTINGS_MODULE=shop.settings.base ./manage.py collectstatic\n"),
            ],
            0,
            2,
        ),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                ("Procfile", "web: DJANGO_SETTINGS_MODULE=shop.settings.production gunicorn shop.wsgi\n"),
            ],
            0,
            0,
        ),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                ("render.yaml", "envVars:\n  - key: DJANGO_SETTINGS_MODULE\n    value: shop.settings.production\n"),
            ],
            0,
            0,
        ),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                (
                    "compose.prod.yml",
                    "services:\n  web:\n    environment:\n      - DJANGO_SETTINGS_MODULE=shop.settings.production\n",
                ),
            ],
            0,
            0,
        ),
        (
            vec![
                ("shop/wsgi.py", live.as_str()),
                (
                    "docker-compose.yml",
                    "services:\n  web:\n    command: ./manage.py runserver\n    environment:\n      DJANGO_SETTINGS_MODULE: shop.settings.dev\n",
                ),
            ],
            0,
            1,
        ),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                (".envs/.production/.django", "DJANGO_SETTINGS_MODULE=shop.settings.production\n"),
            ],
            0,
            0,
        ),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                ("web.service", "[Service]\nEnvironment=DJANGO_SETTINGS_MODULE=shop.settings.production\n"),
            ],
            0,
            0,
        ),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                ("fly.toml", "[env]\n  DJANGO_SETTINGS_MODULE = \"shop.settings.production\"\n"),
            ],
            0,
            0,
        ),
        (
            vec![
                ("shop/wsgi.py", dev.as_str()),
                (
                    "chart/values.yaml",
                    "env:\n  - name: DJANGO_SETTINGS_MODULE\n    value: {{ x }}\n    value: shop.settings.production\n",
                ),
            ],
            0,
            0,
        ),
    ] {
        let found = scan(&[&settings[..], &more].concat());
        assert_eq!(found.settings_module.as_deref(), Some(named[module]), "{more:?}");
        assert_eq!(fact(&found, "dsm_deploy").value, named[deployed], "{more:?}");
    }
    // Nothing is called production: the one that stands on its own and is not the developers'.
    let odd = [
        &settings[..3],
        &[
            ("shop/settings/dev.py", "from .base import *\n"),
            ("shop/settings/heaven.py", "from .base import *\n"),
            ("shop/wsgi.py", &dev),
        ],
    ]
    .concat();
    assert_eq!(scan(&odd).settings_module.as_deref(), Some("shop.settings.heaven"));
}

#[test]
fn what_a_version_ignores_does_not_count() {
    let old = format!("{BASE}STATICFILES_STORAGE = 'whitenoise.storage.CompressedManifestStaticFilesStorage'\n");
    let new = format!("{BASE}STORAGES = {{'staticfiles': {{'BACKEND': 'shop.files.Ours'}}}}\n");
    let class =
        "from django.contrib.staticfiles import storage\nclass Ours(storage.ManifestStaticFilesStorage):\n    pass\n";
    for (settings, file, asks, hashed, version) in [
        (&old, "requirements.txt", "Django==3.2.9\n", "yes", "==3.2.9"),
        (&old, "requirements.txt", "Django>=5.1 # new\n", "no", ">=5.1"),
        (&old, "pyproject.toml", "[project]\ndependencies = ['django>=5.0,<5.1']\n", "yes", ">=5.0,<5.1"),
        (&old, "pyproject.toml", "[tool.poetry.dependencies]\nDjango = '^6.0'\n", "no", "^6.0"),
        (&old, "Pipfile", "[packages]\ndjango = {version = '~=4.2', extras = ['argon2']}\n", "yes", "~=4.2"),
        (&old, "setup.cfg", "[options]\ninstall_requires =\n  django[argon2] == 5.2\n", "no", "==5.2"),
        (&new, "requirements/base.txt", "django<6.0.0\n", "yes", "<6.0.0"),
        (&new, "requirements.txt", "django==3.2\n", "no", "==3.2"),
    ] {
        let found =
            scan(&[("manage.py", MANAGE), ("shop/settings.py", settings), ("shop/files.py", class), (file, asks)]);
        assert_eq!(fact(&found, "hashed_static").value, hashed, "{asks}");
        assert_eq!(fact(&found, "django_version").value, version, "{asks}");
    }
}

#[test]
fn code_counts_and_remarks_do_not() {
    let urls = "from django.urls import include, path, re_path\nfrom django.conf import settings\nfrom . import views\n\
        urlpatterns = [path('api/', include([path('v1/', include('shop.more'))])), re_path(r'^_health/?$', views.health)]\n\
        if settings.METRICS:\n    urlpatterns += [path('', include('django_prometheus.urls'))]\n";
    let settings = format!(
        "{BASE}METRICS = os.environ.get('METRICS')\n# sentry_sdk.init(dsn='x')\n\
        '''\nsentry_sdk.init()\n'''\nREST_FRAMEWORK = {{'DEFAULT_THROTTLE_CLASSES': ['a.B']}}\nCELERY_BROKER_URL = os.environ['Q']\n\
        CACHES = {{'default': {{'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': os.environ['R']}}}}\n"
    );
    let code = "def sign(s3):\n    s3.generate_presigned_url('get_object')\n    # generate_presigned_post\n\
        @shared_task(acks_late=True)\ndef late(): pass\n";
    let found = scan(&[
        ("manage.py", MANAGE),
        ("shop/settings.py", &settings),
        ("shop/urls.py", urls),
        ("shop/tasks.py", code),
        ("shop/more.py", "urlpatterns = []\n"),
    ]);
    for (name, value) in [
        ("sentry", "no"),
        ("health_endpoint", "yes"),
        ("metrics_endpoint", "yes"),
        ("presigned_uploads", "no"),
        ("acks_late", "yes"),
        ("throttling", "drf"),
        ("separate_broker_cache_redis", "yes"),
    ] {
        assert_eq!(fact(&found, name).value, value, "{name}");
    }
    assert_eq!(fact(&found, "metrics_endpoint").when.as_deref(), Some("env:METRICS"));
    assert_eq!(fact(&found, "health_endpoint").detail.as_deref(), Some("/_health/"));
    let upload = "def sign(s3):\n    return s3.generate_presigned_url(ClientMethod='put_object')\n";
    let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", BASE), ("shop/views.py", upload)]);
    assert_eq!(fact(&found, "presigned_uploads").value, "yes");
}

#[test]
fn process_files_say_what_is_started() {
    let dev = "services:\n  web:\n    command: ./manage.py runserver\n    volumes:\n      - .:/app\n  jobs:\n    command: celery -A shop worker\n";
    let queue = "from celery import Celery\napp = Celery('shop')\n";
    for (files, server, worker) in [
        (vec![("Procfile", "web: gunicorn shop.wsgi\nworker: celery -A shop worker\n")], "gunicorn", "yes"),
        (
            vec![
                (
                    "Dockerfile",
                    "# CMD [\"gunicorn\"]\nRUN pip install gunicorn\nCMD [\\\n  \"uvicorn\", \"shop.asgi\"]\n",
                ),
                ("compose.yml", dev),
            ],
            "uvicorn",
            "dev-only",
        ),
        (
            vec![(
                "railway.json",
                "{\"deploy\": {\"startCommand\": \"./manage.py migrate && granian shop.asgi:app\"}}",
            )],
            "granian",
            "no",
        ),
        (
            vec![(
                "start.sh",
                "#!/bin/sh\ncase $1 in\n'dev')\n  gunicorn a\n  ;;\n'live')\n  exec uwsgi \\\n    --ini x\n  ;;\nesac\n",
            )],
            "uwsgi",
            "no",
        ),
        (
            vec![(
                "chart/worker.yaml",
                "{{- if .x }}\nspec:\n  containers:\n    - name: w\n      command:\n        - celery\n        - worker\n{{- end }}\n",
            )],
            "unknown",
            "yes",
        ),
        (
            vec![(
                "etc/supervisor.conf",
                "[program:web]\ncommand=gunicorn shop.wsgi\n;[program:w]\n;command=celery worker\n",
            )],
            "gunicorn",
            "no",
        ),
    ] {
        let all =
            [&[("manage.py", MANAGE), ("shop/settings.py", BASE), ("shop/celery.py", queue)][..], &files].concat();
        let found = scan(&all);
        assert_eq!(fact(&found, "server").value, server, "{files:?}");
        assert_eq!(fact(&found, "worker_process").value, worker, "{files:?}");
    }
}

#[test]
fn logs_count_as_structured_where_a_logger_uses_them() {
    let logging = |handlers: &str| {
        format!(
            "LOGGING = {{'formatters': {{'json': {{'()': 'pythonjsonlogger.jsonlogger.JsonFormatter'}}}},\n\
             'handlers': {{'a': {{'class': 'logging.StreamHandler', 'formatter': 'json'}}, 'b': {{'class': 'logging.StreamHandler'}}}},\n\
             'root': {{'handlers': {handlers}}}}}"
        )
    };
    for (text, wanted) in
        [(logging("['a']"), "yes"), (logging("['b']"), "no"), (logging("['a' if DEBUG else 'b']"), "no")]
    {
        assert_eq!(of_settings(&text, "logging_structured").value, wanted, "{text}");
    }
}

#[test]
fn no_secret_of_a_project_is_told() {
    let settings = format!(
        "{BASE}SECRET_KEY = 'hunter-literal'\nimport sentry_sdk, dj_database_url\n\
        sentry_sdk.init(dsn='https://hunter-dsn@sentry.example/1')\nif os.environ.get('API_KEY') == 'hunter-compared':\n    SESSION_ENGINE = 'x'\n\
        DATABASES['default'] = dj_database_url.parse('postgres://u:hunter-url@h/d', conn_max_age=1)\n\
        CACHES = {{'default': {{'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': 'redis://:hunter-redis@h'}}}}\nCELERY_BROKER_URL = 'redis://:hunter-broker@h'\n"
    );
    let files = [
        ("manage.py", MANAGE),
        ("shop/settings.py", settings.as_str()),
        (".env", "SECRET_KEY=hunter-env\nDJANGO_SETTINGS_MODULE=shop.settings\n"),
        ("Procfile", "web: SECRET_KEY=hunter-proc gunicorn -w 2 -k hunter2tok shop.wsgi\n"),
    ];
    let found = scan(&files);
    assert_eq!(fact(&found, "server").detail.as_deref(), Some("-w 2 -k"));
    let told = serde_json::to_string(&found).unwrap();
    assert!(!told.contains("hunter"), "{told}");
    for (options, wanted) in [
        ("-k gthread --threads=4", "-k gthread --threads=4"),
        ("--worker-class uvicorn.workers.UvicornWorker", "--worker-class uvicorn.workers.UvicornWorker"),
        ("--preload shop.wsgi", "--preload"),
    ] {
        let process = format!("web: gunicorn {options}\n");
        let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", BASE), ("Procfile", &process)]);
        assert_eq!(fact(&found, "server").detail.as_deref(), Some(wanted), "{options}");
    }
    for name in ["ADMIN_PIN", "PEPPER"] {
        let engine = "SESSION_ENGINE = 'django.contrib.sessions.backends.cache'";
        let text = format!("if os.environ.get('{name}') == 'hunter2':\n    {engine}");
        let found = format!("{:?}", of_settings(&text, "session_engine"));
        assert!(found.contains(name) && !found.contains("hunter"), "{found}");
    }
    let base = BASE.replace("APPS = []", "APPS = ['shop']");
    for file in ["shop/wsgi.py", "shop/asgi.py", "shop/apps.py"] {
        let code = "import sentry_sdk\nsentry_sdk.init(dsn='https://hunter-dsn@sentry.example/1')\n";
        let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", &base), (file, code)]);
        assert_eq!(told_of(&found, "sentry"), ("yes", "always"), "{file}");
        let told = serde_json::to_string(&found).unwrap();
        assert!(!told.contains("hunter"), "{told}");
    }
    let odd = scan(&[
        ("manage.py", MANAGE),
        ("shop/settings.py", BASE),
        ("requirements.txt", "Django==5.0\n"),
        ("a\u{1b}[31m/Procfile", "web: gunicorn x\n"),
    ]);
    assert!(!serde_json::to_string(&odd).unwrap().contains("\\u001b"), "control characters are stripped");
}

#[test]
fn whatever_a_folder_holds_it_ends_in_words() {
    let root = project(&[("manage.py", MANAGE), ("shop/settings.py", BASE), ("shop/urls.py", "urlpatterns = []\n")]);
    let at = root.path();
    symlink("..", at.join("shop/up")).unwrap();
    symlink("/etc/hostname", at.join("shop/local_settings.py")).unwrap();
    let utf16: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain("Django==5.2\r\n".encode_utf16().flat_map(u16::to_le_bytes)).collect();
    write(at, "requirements.txt", &utf16);
    assert_eq!(fact(&Scan::read(at).unwrap(), "django_version").value, "==5.2");

    for (text, remarks) in [
        (format!("print 'old'\n{BASE}exec 'x'\n"), 1),
        (format!("{BASE}x = [1,\ny = = 2\ndef (\n"), 1),
        (format!("{BASE}X = {}1{}\n", "(".repeat(5000), ")".repeat(5000)), 1),
        (format!("{BASE}X = {}\n", vec!["'a'"; 20_000].join(" + ")), 0),
        (format!("{BASE}def f(n):\n    return f(n + 1) if n else f(n - 1)\nX = f(1)\nwhile True:\n    X = f(X)\n"), 0),
        (format!("{BASE}{{% if x %}}\nA = 1\n{{% endif %}}\n"), 0),
    ] {
        write(at, "shop/settings.py", text.as_bytes());
        let found = Scan::read(at).unwrap();
        assert_eq!((found.facts.len(), found.remarks.len()), (25, remarks), "{}", &text[..text.len().min(300)]);
    }
    for bytes in [vec![b'#'; 3 << 20], vec![0; 9]] {
        write(at, "shop/settings.py", &bytes);
        let sentry = fact(&Scan::read(at).unwrap(), "sentry").clone();
        assert_eq!(sentry.value, "unknown");
        assert!(sentry.why.unwrap().contains("shop/settings.py"));
    }
    let nothing = project(&[("readme.txt", "")]);
    assert!(matches!(Scan::read(nothing.path()), Err(DjangoError::NoProject { .. })));
    assert!(matches!(Scan::read(Path::new("/no/such/folder")), Err(DjangoError::Folder { .. })));
}

#[test]
fn what_grows_without_end_ends_in_words() {
    let began = std::time::Instant::now();
    let many = |line: &dyn Fn(usize) -> String, times: usize| (0..times).map(line).collect::<String>();
    let doubled = |first: &str, line: &str| format!("{first}\n{}", format!("{line}\n").repeat(40));
    let engine = "SESSION_ENGINE = S\n";
    for text in [
        doubled("S = 'ab'", "S = S + S"),
        doubled("S = 'ab'", "S += S"),
        doubled("S = 'ab'", "S = S * 1000"),
        doubled("S = 'ab'", "S = f'{S}{S}'"),
        doubled("S = 'ab'", "S = '{}{}'.format(S, S)"),
        doubled("S = 'ab'", "S = '%s%s' % (S, S)"),
        doubled("S = 'ab'", "S = S.join([S, S, S])"),
        doubled("S = 'ab'", "S = S.replace('a', S)"),
        doubled("S = os.environ['S']", "S = S + S"),
        doubled("S = ['a']", "S = S + S"),
        doubled("S = ['a']", "S.extend(S)"),
        doubled("S = ['a']", "S = [*S, *S]"),
        doubled("S = ['a']", "S = [S, S]"),
        doubled("S = {'a': 1}", "S = {'b': S, 'c': S}"),
        doubled("S = x()", "S = f(S, S)"),
        format!("S = {{}}\n{}", many(&|n| format!("S['k{n}'] = 1\n"), 9_000)),
    ] {
        let found = of_settings(&format!("{text}{engine}"), "session_engine");
        assert_eq!(found.value, "unknown", "{}", &text[..60]);
    }
    let chain = many(&|n| format!("elif os.environ.get('V') == '{n}':\n    A = {n}\n"), 60_000);
    let cases = many(&|n| format!("    case '{n}':\n        A = {n}\n"), 20_000);
    let names = many(&|n| format!("N{n} = {n}\n"), 3_000);
    for text in [
        format!("if DEBUG:\n    pass\n{chain}"),
        format!("match os.environ.get('V'):\n{cases}"),
        format!("{names}{}", many(&|n| format!("if os.environ.get('V{n}'):\n    A = {n}\n"), 6_000)),
        format!("{names}def f():\n    return 1\n{}", many(&|_| "f()\n".to_owned(), 6_000)),
        format!("A = {{}}\n{}", many(&|n| format!("if os.environ.get('V{n}'):\n    A['k{n}'] = {n}\n"), 30_000)),
        many(&|n| format!("if os.environ.get('V{n}'):\n    MIDDLEWARE += ['m{n}']\n"), 30_000),
    ] {
        let found = of_settings(&text, "sentry");
        assert_eq!(found.value, "unknown", "{}", &text[..60]);
    }
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}

#[test]
fn a_template_is_read_as_it_renders_with_its_default_answers() {
    let settings = format!(
        "{BASE}{{%- if cookiecutter.cache == 'redis' %}}\nA = 1\n{{%- elif cookiecutter.cache == 'none' %}}\n\
        SESSION_ENGINE = 'django.contrib.sessions.backends.cache'\n{{%- else %}}\nB = \n{{%- endif %}}\n"
    );
    let manage = MANAGE.replace("shop", "{{cookiecutter.slug}}");
    let files = [
        ("cookiecutter.json", "{\"cache\": [\"none\", \"redis\"], \"slug\": \"shop\"}"),
        ("{{cookiecutter.slug}}/manage.py", manage.as_str()),
        ("{{cookiecutter.slug}}/{{cookiecutter.slug}}/settings.py", &settings),
    ];
    let found = scan(&files);
    assert_eq!(fact(&found, "session_engine").value, "cache");
    assert!(
        fact(&found, "session_engine").evidence.as_ref().unwrap().ends_with("settings.py:10"),
        "lines stay where they are"
    );
}

#[test]
fn hints_name_variables_and_pages_and_guess_none() {
    let settings = "ROOT_URLCONF = 'shop.urls'\nimport os, dj_database_url, environ\nenv = environ.Env()\n\
        DATABASES = {'default': dj_database_url.config(conn_max_age=60)}\n\
        CACHES = {'default': {'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': env('REDIS_URL')}}\n\
        CELERY_BROKER_URL = os.environ['CLOUDAMQP_URL']\n";
    let urls = "from django.urls import path, include\nfrom . import views\nurlpatterns = [\n\
        path('admin/', views.x), path('about/team/', views.x), path('', views.x), path('p/<int:pk>/', views.x),\n\
        path('menu/', views.x), path('accounts/login/', views.x), path('__debug__/', views.x), path('tgadmin/', views.x),\n\
        path('shop.vcf', views.x), path('documents/', include('wagtail.documents.urls'))]\n";
    let found = scan(&[
        ("manage.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"),
        ("shop/__init__.py", ""),
        ("shop/settings.py", &format!("INSTALLED_APPS = []\n{settings}")),
        ("shop/urls.py", urls),
        ("shop/views.py", "def x(request): ...\n"),
    ]);
    let name = |variable: &Option<Variable>| variable.as_ref().map(|variable| variable.name.clone());
    let hints = &found.hints;
    assert_eq!(name(&hints.database).as_deref(), Some("DATABASE_URL"));
    assert_eq!(name(&hints.cache).as_deref(), Some("REDIS_URL"));
    assert_eq!(name(&hints.broker).as_deref(), Some("CLOUDAMQP_URL"));
    assert_eq!(hints.pages, ["/", "/menu/", "/about/team/"]);
    // A host and a password are no address, and of two nobody knows which is set.
    for databases in [
        "{'default': {'HOST': os.environ['DB_HOST'], 'PASSWORD': os.environ['DB_PASSWORD']}}",
        "{'default': dj_database_url.parse(os.environ.get('A_URL') or os.environ['B_URL'])}",
    ] {
        let settings = format!("import os, dj_database_url\nINSTALLED_APPS = []\nDATABASES = {databases}\n");
        let manage = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 's')\n";
        assert_eq!(scan(&[("manage.py", manage), ("s.py", &settings)]).hints.database, None, "{databases}");
    }
}
