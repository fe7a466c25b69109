"""
Settings of the practice shop.

Everything that a step of the climb changes is read from the environment, each
under the heading of its step. Without any of those variables this is the shop
as many shops start: it works, and it breaks early.
"""

import logging
from pathlib import Path

from config import env

BASE_DIR = Path(__file__).resolve().parent.parent

SECRET_KEY = env.text("SECRET_KEY")
DEBUG = env.yes("DEBUG")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "127.0.0.1 localhost")
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
LOGIN_URL = "/login/"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "shop",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.context.chrome",
            ],
        },
    },
]

# Practice only: one round of MD5, so that logging in a thousand test users
# measures the shop and not the hasher. Never do this where passwords matter.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# Served at /.well-known/rampup.txt: says that whoever runs the shop agrees to
# be loaded.
RAMPUP_PROOF = env.text("RAMPUP_PROOF")


# Step 1: see what happens -------------------------------------------------

HEALTH_PAGE = env.yes("HEALTH_PAGE")

SENTRY_DSN = env.text("SENTRY_DSN")
if SENTRY_DSN:
    import sentry_sdk
    from sentry_sdk.integrations.django import DjangoIntegration

    sentry_sdk.init(
        dsn=SENTRY_DSN,
        traces_sample_rate=env.number("SENTRY_TRACES_SAMPLE_RATE", 0.0),
        integrations=[DjangoIntegration(middleware_spans=False, signals_spans=False)],
        send_default_pii=False,
    )

RELEASE = env.text("RELEASE")

METRICS = env.yes("METRICS")
METRICS_TOKEN = env.text("METRICS_TOKEN")
if METRICS:
    INSTALLED_APPS.insert(0, "django_prometheus")
    MIDDLEWARE.insert(0, "django_prometheus.middleware.PrometheusBeforeMiddleware")
    MIDDLEWARE.append("django_prometheus.middleware.PrometheusAfterMiddleware")

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django.request": {"level": "ERROR"}, "botocore": {"level": "WARNING"}},
}
logging.captureWarnings(True)


# Step 2: files live in a bucket, the edge serves them ----------------------

STATIC_URL = "/static/"
STATIC_ROOT = env.text("STATIC_ROOT", str(BASE_DIR / "static"))
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL") or None
S3_REGION = env.text("AWS_REGION", "us-east-1")
STATIC_BUCKET = env.text("STATIC_BUCKET")
MEDIA_BUCKET = env.text("MEDIA_BUCKET")
MEDIA_ROOT = env.text("MEDIA_ROOT", str(BASE_DIR / "media"))

STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
if STATIC_BUCKET:
    STORAGES["staticfiles"] = {"BACKEND": "shop.storage.BucketStaticStorage"}
if MEDIA_BUCKET:
    STORAGES["default"] = {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": MEDIA_BUCKET,
            "endpoint_url": S3_ENDPOINT_URL,
            "region_name": S3_REGION,
            "addressing_style": "path",
            "default_acl": None,
            "file_overwrite": False,
        },
    }


# Step 3: cache what is the same for everybody -------------------------------

REDIS_URL = env.text("REDIS_URL")
PAGE_CACHE_SECONDS = env.number("PAGE_CACHE_SECONDS", 0)

# "server": name and form token are rendered into every page, which makes every
# page personal. "script": the page is the same for all, a script fills them in.
PAGE_CHROME = env.text("PAGE_CHROME", "server")

if env.yes("CACHE_IN_REDIS"):
    CACHES = {
        "default": {
            "BACKEND": "django_redis.cache.RedisCache",
            "LOCATION": REDIS_URL,
            "KEY_PREFIX": "shop",
            "OPTIONS": {
                # A cache that is slow or gone must not take the shop with it.
                "IGNORE_EXCEPTIONS": True,
                "SOCKET_CONNECT_TIMEOUT": 0.2,
                "SOCKET_TIMEOUT": 0.2,
            },
        }
    }
    SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"


# Step 4: uploads go straight to the bucket ----------------------------------

DIRECT_UPLOADS = env.yes("DIRECT_UPLOADS")
UPLOAD_MAX_BYTES = env.number("UPLOAD_MAX_BYTES", 5 * 1024 * 1024)
UPLOAD_SECONDS = 60


# Step 5: a pooler between the shop and PostgreSQL ---------------------------

DATABASES = {"default": env.database("DATABASE_URL")}
DATABASES["default"]["CONN_MAX_AGE"] = env.number("DATABASE_CONN_MAX_AGE", 0)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# A cursor lives in one server connection; a transaction pooler changes it.
DATABASES["default"]["DISABLE_SERVER_SIDE_CURSORS"] = env.yes("DATABASE_BEHIND_POOLER")


# Step 6: slow work leaves the request ---------------------------------------

EMAIL_HOST = env.text("EMAIL_HOST", "127.0.0.1")
EMAIL_PORT = env.number("EMAIL_PORT", 25)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = "orders@shop.example"
MAIL_IN_BACKGROUND = env.yes("MAIL_IN_BACKGROUND")

# Celery, or "rq" or "huey", which find the broker at the same address.
QUEUE_LIBRARY = env.text("QUEUE_LIBRARY", "celery")

CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")
CELERY_RESULT_BACKEND = env.text("CELERY_BROKER_URL") or None
CELERY_RESULT_EXPIRES = 300
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"socket_connect_timeout": 2, "socket_timeout": 10}


# Step 8: say to the edge what it may keep ------------------------------------

EDGE_CACHE_SECONDS = env.number("EDGE_CACHE_SECONDS", 0)
if EDGE_CACHE_SECONDS:
    MIDDLEWARE.insert(1, "shop.middleware.EdgeHeaders")

# The edge adds this to every request; who does not know it has walked around.
EDGE_SECRET = env.text("EDGE_SECRET")
if EDGE_SECRET:
    MIDDLEWARE.insert(1, "shop.middleware.EdgeOnly")

# Requests a minute and client to addresses that somebody could try through.
API_LIMIT = env.number("API_LIMIT", 0)


# Steps 9 and 10: the queries that the load tests pointed at -------------------

QUERIES = env.text("SHOP_QUERIES", "shop.queries.plain")
