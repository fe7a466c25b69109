//! Settings, each written in one of the ways in which people write them.

use super::*;

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
            "STORAGES = {'default': {'BACKEND': 'a.B'}}\nSTORAGES['default']['BACKEND'] = 'storages.backends.s3.S3Storage'",
            "media_object_storage",
            "yes",
        ),
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
    for text in [
        "DATABASES.get('default')['CONN_MAX_AGE'] = 60",
        "DATABASES.setdefault('default', {})['CONN_MAX_AGE'] = 60",
        "DATABASES.clear()\nDATABASES.setdefault('default', {}).update(CONN_MAX_AGE=60)",
        "AGES = [5, 60]\nDATABASES['default']['CONN_MAX_AGE'] = AGES.pop()",
        "AGES = [5, 60]\nAGES.pop(0)\nDATABASES['default']['CONN_MAX_AGE'] = AGES[0]",
        "one = DATABASES['default']\none['CONN_MAX_AGE'] = 60",
        "ALL = DATABASES\nALL['default']['CONN_MAX_AGE'] = 60",
        "one = {}\nDATABASES = {'default': one}\none['CONN_MAX_AGE'] = 60",
        "def age(one):\n    one['CONN_MAX_AGE'] = 60\nage(DATABASES['default'])",
        "from shop.ages import age\nage(all=DATABASES)",
        "DATABASES['default']['CONN_MAX_AGE'] = 60\none = DATABASES['default'].copy()\none['CONN_MAX_AGE'] = 5",
        "import copy\nDATABASES['default']['CONN_MAX_AGE'] = 60\nall = copy.deepcopy(DATABASES)\nall['default']['CONN_MAX_AGE'] = 5",
        "DATABASES['default']['CONN_MAX_AGE'] = 60\none = {**DATABASES['default']}\none['CONN_MAX_AGE'] = 5",
        "for one in DATABASES.values():\n    one['CONN_MAX_AGE'] = 60",
        "for name, one in DATABASES.items():\n    one.update(CONN_MAX_AGE=60)",
        "import dj_database_url\nDATABASES['default'].update(dj_database_url.config(conn_max_age=60))",
        "import dj_database_url\nDATABASES = {'default': {**dj_database_url.config(), 'CONN_MAX_AGE': 60}}",
        "import dj_database_url\nDATABASES = {'default': dj_database_url.config() | {'CONN_MAX_AGE': 60}}",
        "import environ\nDATABASES['default']['CONN_MAX_AGE'] = 60\nDATABASES['default'].update(environ.Env().db())",
    ] {
        assert_eq!(of_settings(text, "conn_max_age").value, "60", "{text}");
    }
    // dj-database-url sets the age of connections, whatever stood there before.
    for text in [
        "DATABASES['default']['CONN_MAX_AGE'] = 60\nDATABASES['default'].update(dj_database_url.config())",
        "DATABASES = {'default': {'CONN_MAX_AGE': 60, **dj_database_url.parse(os.environ['U'])}}",
        "DATABASES['default'] = dj_database_url.config()\nDATABASES['default'].setdefault('CONN_MAX_AGE', 60)",
    ] {
        assert_eq!(
            told(&of_settings(&format!("import dj_database_url\n{text}"), "conn_max_age")),
            ("unset", ""),
            "{text}"
        );
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
        "MIDDLEWARE.extend(('whitenoise.middleware.WhiteNoiseMiddleware',))",
        "MIDDLEWARE[1:1] = ['whitenoise.middleware.WhiteNoiseMiddleware']",
        "MIDDLEWARE[:] = ['whitenoise.middleware.WhiteNoiseMiddleware']",
        "name = 'whitenoise'\nMIDDLEWARE += [f'{name}.middleware.WhiteNoiseMiddleware']",
        "MIDDLEWARE += ['{}.middleware.WhiteNoiseMiddleware'.format('whitenoise')]",
    ] {
        assert_eq!(of_settings(text, "static_serving").value, "whitenoise", "{text}");
    }
}

#[test]
fn what_is_spread_and_not_followed_may_hold_what_is_asked_for() {
    let unknown = ("unknown", "");
    let redis = "CACHES = {'default': {'BACKEND': 'django.core.cache.backends.redis.RedisCache', **x()}}";
    let locmem = "CACHES = {'default': {'BACKEND': 'django.core.cache.backends.locmem.LocMemCache'}, **x()}";
    let logging = "LOGGING = {'handlers': {'a': {'class': 'logging.StreamHandler'}}, 'root': ";
    for (text, name, wanted) in [
        ("DATABASES = {'default': {**x()}}", "conn_max_age", unknown),
        ("DATABASES = {'default': {**x()}}", "db_pool", unknown),
        ("DATABASES = {'default': {**x()}}", "pgbouncer_hints", unknown),
        ("DATABASES = {'default': {'OPTIONS': {**x()}}}", "db_pool", unknown),
        ("DATABASES = {'default': {'OPTIONS': {**x(), 'pool': True}}}", "db_pool", ("yes", "always")),
        ("DATABASES = {'default': {'OPTIONS': {'pool': os.environ.get('P') == '1'}}}", "db_pool", ("yes", "env:P=1")),
        ("DATABASES = {**x()}", "conn_max_age", unknown),
        ("DATABASES = {'default': dict(ENGINE='a', **x())}", "conn_max_age", unknown),
        ("DATABASES = {'default': {x(): 60}}", "conn_max_age", unknown),
        ("DATABASES = {'default': {x(): 60 for a in 'ab'.split()}}", "conn_max_age", unknown),
        ("DATABASES['default'].update(x())", "conn_max_age", unknown),
        ("DATABASES['default'].update(x() if os.environ.get('A') else {})", "conn_max_age", unknown),
        ("DATABASES['default'] |= x()", "conn_max_age", unknown),
        ("DATABASES['default'][x()] = 60", "conn_max_age", unknown),
        ("for i in x():\n    DATABASES[f'replica_{i}'] = {}", "conn_max_age", ("unset", "")),
        (
            "K = 'CONN_MAX_AGE' if os.environ.get('K') else 'X'\nDATABASES['default'][K] = 60",
            "conn_max_age",
            ("60", "env:K"),
        ),
        ("DATABASES = {os.environ.get('N', 'default'): {'CONN_MAX_AGE': 60}}", "conn_max_age", ("60", "always")),
        (
            "DATABASES['default']['DISABLE_SERVER_SIDE_CURSORS'] = 'P' in os.environ",
            "pgbouncer_hints",
            ("yes", "env:P"),
        ),
        (
            "from decouple import config\nDATABASES['default']['DISABLE_SERVER_SIDE_CURSORS'] = config('P', False, cast=bool)",
            "pgbouncer_hints",
            ("yes", "env:P"),
        ),
        ("def f(**all):\n    return all\nDATABASES = {'default': f(**x())}", "conn_max_age", unknown),
        ("def f(age=0):\n    return {'CONN_MAX_AGE': age}\nDATABASES = {'default': f(**x())}", "conn_max_age", unknown),
        ("import dj_database_url as d\nDATABASES = {'default': d.config(**x())}", "conn_max_age", unknown),
        ("DATABASES = {'default': {**x(), 'CONN_MAX_AGE': 60}}", "conn_max_age", ("60", "always")),
        ("DATABASES['default'].update([('CONN_MAX_AGE', 60)])", "conn_max_age", ("60", "always")),
        ("DATABASES = {'default': {'CONN_MAX_AGE': 60, **(None or {})}}", "conn_max_age", ("60", "always")),
        // What is spread later may replace what stands before it.
        (
            "DATABASES = {'default': {'CONN_MAX_AGE': 60, **x()}}",
            "conn_max_age",
            ("60", "not what shop/settings.py:7 gives"),
        ),
        (
            "import json\nDATABASES = {'default': {'CONN_MAX_AGE': 60, **json.loads(os.environ['D'])}}",
            "conn_max_age",
            ("60", "no env:D"),
        ),
        ("CACHES = {**x()}", "cache_backend", unknown),
        ("CACHES = {**x()}", "redis_cache", unknown),
        ("CACHES = {**x()}\nCELERY_BROKER_URL = os.environ['Q']", "separate_broker_cache_redis", unknown),
        ("CACHES = {'default': {**x()}}", "cache_backend", unknown),
        (redis, "redis_cache", ("yes", "not what shop/settings.py:7 gives")),
        (locmem, "redis_cache", unknown),
        ("REST_FRAMEWORK = {**x()}", "throttling", unknown),
        ("REST_FRAMEWORK = {'DEFAULT_THROTTLE_CLASSES': [*x()]}", "throttling", unknown),
        ("REST_FRAMEWORK = {'DEFAULT_THROTTLE_CLASSES': ['a', *x()]}", "throttling", ("drf", "always")),
        ("STORAGES = {**x()}", "hashed_static", unknown),
        ("STORAGES = {'staticfiles': {**x()}}", "hashed_static", unknown),
        ("LOGGING = {'handlers': {**x()}, 'root': {'handlers': ['a']}}", "logging_structured", unknown),
    ] {
        assert_eq!(told(&of_settings(text, name)), wanted, "{text}");
    }
    for (root, wanted) in [("[*x()]", unknown), ("['a'], **x()", unknown), ("['a']", ("no", ""))] {
        let text = format!("{logging}{{'handlers': {root}}}}}");
        assert_eq!(told(&of_settings(&text, "logging_structured")), wanted, "{text}");
    }
}

#[test]
fn names_of_a_module_are_set_in_more_ways_than_one() {
    let engine = "E = 'django.contrib.sessions.backends.cache'\nimport sys\n";
    for text in [
        "globals()['SESSION_ENGINE'] = E",
        "locals()['SESSION_ENGINE'] = E",
        "vars().update(SESSION_ENGINE=E)",
        "for name, value in {'SESSION_ENGINE': E}.items():\n    globals()[name] = value",
        "setattr(sys.modules[__name__], 'SESSION_ENGINE', E)",
        "this = sys.modules[__name__]\nthis.SESSION_ENGINE = E",
        "def f():\n    global SESSION_ENGINE\n    SESSION_ENGINE = E\nf()",
        "def f():\n    globals()['SESSION_ENGINE'] = E\ndef g():\n    f()\ng()",
        "ALL = {}\ndef f():\n    ALL['E'] = E\nf()\nSESSION_ENGINE = ALL['E']",
    ] {
        assert_eq!(told(&of_settings(&format!("{engine}{text}"), "session_engine")), ("cache", "always"), "{text}");
    }
    let sometimes =
        "def f():\n    global SESSION_ENGINE\n    if os.environ.get('A'):\n        return\n    SESSION_ENGINE = E\n";
    for (call, wanted) in [("f()", ("cache", "no env:A")), ("", ("db-default", ""))] {
        let text = format!("{engine}{sometimes}{call}");
        assert_eq!(told(&of_settings(&text, "session_engine")), wanted, "{text}");
    }
    for text in [
        "for key in os.environ:\n    globals()[key] = os.environ[key]",
        "globals().update(x())",
        "import sys\nsetattr(sys.modules[__name__], x(), 1)",
        "import sys, x\nx.fill(sys.modules[__name__])",
    ] {
        assert_eq!(of_settings(text, "session_engine").value, "unknown", "{text}");
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
        (format!("match DEBUG:\n    case False:\n        {engine}"), ("cache", "always")),
        (
            format!(
                "match os.environ.get('ENV'):\n    case 'dev' if DEBUG:\n        pass\n    case _ if DEBUG:\n        pass\n    case _:\n        {engine}"
            ),
            ("cache", "always"),
        ),
        (
            format!(
                "match os.environ.get('S'):\n    case 'redis' as s if s:\n        {engine}\n    case None:\n        {}",
                engine.replace("cache", "cached_db")
            ),
            ("cached_db", "env:S!=redis"),
        ),
        (
            format!("if 'S' in os.environ:\n    {engine}\nelse:\n    {}", engine.replace("cache", "cached_db")),
            ("cached_db", "no env:S"),
        ),
        (
            format!(
                "import environ\nD = environ.Env().bool('DEBUG', default=True)\nif not any([D, 'test' in ()]):\n    {engine}"
            ),
            ("cache", "env:DEBUG=false"),
        ),
        (format!("if os.environ.get('S') != 'hunter2':\n    {engine}"), ("cache", "env:S!=…")),
        (
            format!(
                "import environ\nif not environ.Env().bool('S', default=True):\n    {engine}\nelse:\n    {}",
                engine.replace("cache", "cached_db")
            ),
            ("cached_db", "env:S"),
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
    let present = format!("{BASE}try:\n    from .local_settings import *\nexcept ImportError:\n    pass\n");
    let tried = format!("{BASE}try:\n    from .local_settings import *\nexcept ImportError:\n    {cached}");
    for files in [
        vec![("shop/settings.py", star.as_str()), ("shop/more.py", cached)],
        vec![("shop/settings.py", split.as_str()), ("shop/parts/a.py", cached)],
        vec![("shop/settings.py", named.as_str()), ("shop/more.py", cached)],
        vec![("shop/settings.py", tried.as_str())],
        vec![("shop/settings.py", present.as_str()), ("shop/local_settings.py", cached)],
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
        ("from contextlib import suppress\nwith suppress(ImportError):\n    from .local_settings import *", "no"),
        ("import contextlib\nwith contextlib.suppress(ImportError):\n    from shared_settings import *", "no"),
        ("with x():\n    from shared_settings import *", "unknown"),
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
        ("def f(apps):\n    apps.append(os.environ['B'])\nf(INSTALLED_APPS)", "unknown"),
        ("INSTALLED_APPS += ['a'] if os.environ.get('B') else ['c']", "no"),
    ] {
        let settings = format!("{BASE}{text}\n");
        let apps = ("shop/apps.py", "INSTALLED_APPS = ['b']\n");
        let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", &settings), apps]);
        assert_eq!(fact(&found, "sentry").value, wanted, "{text}");
    }
}

#[test]
fn what_dynaconf_reads_may_be_any_setting() {
    let filled = [
        "import dynaconf\nsettings = dynaconf.DjangoDynaconf(__name__)",
        "from dynaconf import DjangoDynaconf as Fill\nFill(__name__, environments=True)",
        "import sys\nfrom dynaconf import LazySettings\nsettings = LazySettings()\nsettings.populate_obj(sys.modules[__name__])",
    ];
    for (text, name) in filled.iter().flat_map(|text| {
        let names = ["sentry", "cache_backend", "redis_cache", "session_engine", "conn_max_age", "db_pool"];
        let more = ["pgbouncer_hints", "task_queue", "acks_late", "throttling", "hashed_static", "logging_config"];
        let rest = ["media_object_storage", "presigned_uploads", "separate_broker_cache_redis", "metrics_endpoint"];
        names.into_iter().chain(more).chain(rest).map(move |name| (text, name))
    }) {
        let fact = of_settings(text, name);
        assert_eq!(fact.value, "unknown", "{name} {text}");
        let why = fact.why.unwrap();
        assert!(why.starts_with("dynaconf reads") && why.contains("shop/settings.py:"), "{name} {why}");
    }
    let age = "\nDATABASES['default']['CONN_MAX_AGE'] = AGE";
    assert_eq!(told(&of_settings(&format!("{}\nAGE = 60{age}", filled[0]), "conn_max_age")), ("60", "always"));
    // One that is only asked is one reader more.
    let read = "from dynaconf import Dynaconf\ns = Dynaconf(settings_files=['settings.toml'])\n";
    for (text, wanted) in [
        ("AGE = s.get('AGE', 60)", ("60", "config:AGE")),
        ("AGE = s('AGE', default=60)", ("60", "config:AGE")),
        ("AGE = s.AGE", ("unknown", "")),
        ("AGE = s['AGE']", ("unknown", "")),
        ("from dynaconf import settings\nAGE = settings.AGE", ("unknown", "")),
        ("AGE = 60 if s.LONG else 0", ("0", "no config:LONG")),
    ] {
        assert_eq!(told(&of_settings(&format!("{read}{text}{age}"), "conn_max_age")), wanted, "{text}");
    }
    assert_eq!(of_settings(read, "sentry").value, "no");
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
        ("MIDDLEWARE.clear()", "session_engine", ("none", "")),
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
fn celery_is_told_by_names_and_under_any_prefix() {
    let settings = format!(
        "{BASE}CACHES = {{'default': {{'BACKEND': 'django_redis.cache.RedisCache', 'LOCATION': os.environ['R']}}}}\n\
        SHOP_BROKER_URL = os.environ['B_URL']\nSHOP_TASK_ACKS_LATE = True\n"
    );
    let (late, none) = (("yes", "always"), ("no", ""));
    for (code, wanted, broker) in [
        ("from shop import celeryconfig\napp.config_from_object(celeryconfig)", late, true),
        ("from . import celeryconfig as told\napp.config_from_object(obj=told)", late, true),
        ("from shop.celeryconfig import Config\napp.config_from_object(Config)", late, false),
        ("app.config_from_object('shop.celeryconfig:Config')", late, false),
        ("app.config_from_object('django.conf:settings', namespace='SHOP')", late, true),
        ("from django.conf import settings\napp.config_from_object(settings, namespace='SHOP_')", late, true),
        ("app.config_from_object('django.conf:settings', namespace='CELERY')", none, false),
        ("app.config_from_object('django.conf:settings', namespace=x())", ("unknown", ""), false),
        ("app.config_from_object(x())", ("unknown", ""), false),
        ("app.config_from_object('elsewhere.config')", ("unknown", ""), false),
        ("app.config_from_object('shop.elsewhere')", ("unknown", ""), false),
        ("def late():\n    app.config_from_object(x)", ("unknown", ""), false),
        ("def late():\n    app.config_from_object('shop.celeryconfig')", late, true),
    ] {
        let code = format!("from celery import Celery\napp = Celery('shop')\n{code}\n");
        let found = scan(&[
            ("manage.py", MANAGE),
            ("shop/__init__.py", ""),
            ("shop/settings.py", &settings),
            ("shop/celery.py", &code),
            (
                "shop/celeryconfig.py",
                "import os\ntask_acks_late = True\nbroker_url = os.environ['B_URL']\nclass Config:\n    task_acks_late = True\n",
            ),
        ]);
        assert_eq!(told_of(&found, "acks_late"), wanted, "{code}");
        let named = found.hints.broker.as_ref().map(|variable| variable.name.as_str());
        assert_eq!(named, broker.then_some("B_URL"), "{code}");
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
