"""Reads settings from the environment. Knows nothing about the shop."""

import os
from urllib.parse import unquote, urlsplit


def text(name, default=""):
    return os.environ.get(name, default)


def number(name, default=0):
    return type(default)(os.environ.get(name) or default)


def yes(name):
    return os.environ.get(name, "").lower() in {"1", "true", "yes", "on"}


def words(name, default=""):
    return [word for word in os.environ.get(name, default).replace(",", " ").split() if word]


def database(name):
    """`postgres://user:password@host:port/database` as Django wants it."""
    url = urlsplit(os.environ[name])
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": url.hostname,
        "PORT": url.port or 5432,
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "NAME": url.path.lstrip("/"),
    }
