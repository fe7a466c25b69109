//! What stands beside the settings: entries, process files, packages, code, paths.

use super::*;

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
fn what_starts_with_every_process_is_followed() {
    let settings = format!("{BASE}SENTRY_DSN = os.environ.get('DSN')\n").replace("APPS = []", "APPS = ['shop']");
    let ready = "from django.apps import AppConfig\nclass Shop(AppConfig):\n    def ready(self):\n        import os, sentry_sdk\n";
    let top = "import os, sentry_sdk\nfrom django.conf import settings\n";
    for (file, code, wanted) in [
        ("wsgi.py", format!("{top}sentry_sdk.init(dsn=os.environ.get('A'))"), ("yes", "env:A")),
        ("wsgi.py", format!("{top}sentry_sdk.init(os.getenv('A'), environment='x')"), ("yes", "env:A")),
        ("wsgi.py", format!("{top}sentry_sdk.init(dsn=os.environ['A'])"), ("yes", "always")),
        (
            "wsgi.py",
            format!("{top}import environ\nenv = environ.Env()\nsentry_sdk.init(dsn=env('A', default=''))"),
            ("yes", "env:A"),
        ),
        (
            "wsgi.py",
            format!("{top}if os.environ.get('A'):\n    sentry_sdk.init(dsn=os.environ['B'])"),
            ("yes", "env:A"),
        ),
        (
            "wsgi.py",
            format!("{top}if not settings.DEBUG:\n    sentry_sdk.init(dsn=settings.SENTRY_DSN)"),
            ("yes", "env:DSN"),
        ),
        ("wsgi.py", format!("{top}if settings.DEBUG:\n    sentry_sdk.init(dsn=settings.SENTRY_DSN)"), ("unknown", "")),
        ("wsgi.py", format!("{top}def late():\n    sentry_sdk.init(dsn='x')"), ("unknown", "")),
        ("wsgi.py", format!("{top}sentry_sdk.init(dsn=os.environ.get('A'), integrations=[x()])"), ("yes", "env:A")),
        ("apps.py", format!("{ready}        sentry_sdk.init(dsn=os.environ.get('A'))"), ("yes", "env:A")),
        ("apps.py", format!("{ready}        if os.environ.get('A'):\n            sentry_sdk.init()"), ("yes", "env:A")),
    ] {
        let file = format!("shop/{file}");
        let code = format!("{code}\n");
        let found = scan(&[("manage.py", MANAGE), ("shop/settings.py", &settings), (&file, &code)]);
        assert_eq!(told_of(&found, "sentry"), wanted, "{code}");
    }
}

#[test]
fn paths_that_are_not_followed_are_told_and_no_page_is_absent() {
    let settings = format!("{BASE}PATHS = os.environ.get('PATHS')\n");
    let lists = "from django.urls import path\nfrom . import views\nmore = [path('healthz/', views.x)]\n";
    let known = "from django.conf import settings\nfrom django.conf.urls.static import static\n\
        from django.urls import include, path\nfrom rest_framework.routers import DefaultRouter\nfrom . import views\n";
    for (urls, wanted) in [
        ("", "unknown"),
        ("urlpatterns = x()", "unknown"),
        ("urlpatterns = something_unknown", "unknown"),
        ("import foreign\nurlpatterns = foreign.urlpatterns", "unknown"),
        ("from foreign.urls import *", "unknown"),
        ("urlpatterns = [path('', views.x)] + x()", "unknown"),
        ("urlpatterns = [path('', views.x), *x()]", "unknown"),
        ("urlpatterns = [path('', views.x)]\nurlpatterns += x()", "unknown"),
        ("urlpatterns = [path('a/', include(x()))]", "unknown"),
        ("urlpatterns = [path('a/', include((x(), 'a')))]", "unknown"),
        ("urlpatterns = [path('a/', include('shop.more'))]", "unknown"),
        ("urlpatterns = [path('a/', include(f'shop.{name}')) for name in x()]", "unknown"),
        ("for name in x():\n    urlpatterns += [path(name, include(name))]", "unknown"),
        ("urlpatterns = []\nif settings.DEBUG:\n    urlpatterns += x()", "no"),
        ("urlpatterns = [path('a/', include('foreign.urls')), *static('/m/')]", "no"),
        ("router = DefaultRouter()\nurlpatterns = [path('a/', include(router.urls)), *router.urls]", "no"),
        ("from .lists import more\nurlpatterns = more", "yes"),
        ("from .lists import more\nurlpatterns = [path('a/', include(more))]", "yes"),
        ("from .lists import more\nurlpatterns = [path('a/', include((more, 'a')))]", "yes"),
        ("urlpatterns = [path('a/', include('shop.paths' if settings.PATHS else 'shop.none'))]", "yes"),
    ] {
        let urls = format!("{known}{urls}\n");
        let found = scan(&[
            ("manage.py", MANAGE),
            ("shop/__init__.py", ""),
            ("shop/settings.py", &settings),
            ("shop/urls.py", &urls),
            ("shop/more.py", "more = []\n"),
            ("shop/lists.py", lists),
            ("shop/paths.py", &lists.replace("more =", "urlpatterns =")),
            ("shop/none.py", "urlpatterns = []\n"),
        ]);
        assert_eq!(fact(&found, "health_endpoint").value, wanted, "{urls}");
    }
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
