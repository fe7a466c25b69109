"""Step 8: a limit of the shop's own, counted for all its processes together."""

from functools import wraps

from django.conf import settings
from django.core.cache import cache
from django.http import JsonResponse

SECONDS = 60


def client(request):
    """The address that the edge saw: it writes the last entry, the caller all before."""
    return request.headers.get("X-Forwarded-For", "").split(",")[-1].strip()


def limited(view):
    """At most `API_LIMIT` requests a minute from one address; 0 is no limit."""

    @wraps(view)
    def counted(request, *args, **kwargs):
        if settings.API_LIMIT:
            key = f"limit:{view.__name__}:{client(request)}"
            cache.add(key, 0, timeout=SECONDS)
            try:
                asked = cache.incr(key) or 0
            except ValueError:  # it ran out in between
                asked = 0
            if asked > settings.API_LIMIT:
                detail = {"detail": "Request was throttled."}
                return JsonResponse(detail, status=429, headers={"Retry-After": str(SECONDS)})
        return view(request, *args, **kwargs)

    return counted
