"""Answers for monitors and for rampup itself."""

from functools import lru_cache
from hmac import compare_digest

import redis
from django.conf import settings
from django.db import connection
from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache


@lru_cache(maxsize=1)
def _redis():
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=0.5
    )


def _ask_database():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()


@never_cache
def healthz(request):
    """Really asks both stores; 503 as soon as one does not answer."""
    answers = {}
    for name, ask in (("database", _ask_database), ("redis", lambda: _redis().ping())):
        try:
            ask()
            answers[name] = "ok"
        except Exception as error:  # noqa: BLE001  whatever it is, the store is not fine
            answers[name] = type(error).__name__
    healthy = set(answers.values()) == {"ok"}
    release = {"X-Release": settings.RELEASE} if settings.RELEASE else {}
    return JsonResponse({"ok": healthy, **answers}, status=200 if healthy else 503, headers=release)


@never_cache
def metrics(request):
    """Counts of all workers, for whoever has the key."""
    wanted = f"Bearer {settings.METRICS_TOKEN}"
    given = request.headers.get("Authorization", "")
    if settings.METRICS_TOKEN and not compare_digest(given.encode(), wanted.encode()):
        return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
    from django_prometheus.exports import ExportToDjangoView

    return ExportToDjangoView(request)


@never_cache
def sentry_debug(request):
    """Fails on purpose, as Sentry's guide has it."""
    1 / 0


@never_cache
def proof(request):
    if not settings.RAMPUP_PROOF:
        raise Http404
    return HttpResponse(settings.RAMPUP_PROOF + "\n", content_type="text/plain")
