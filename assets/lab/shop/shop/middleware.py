"""Step 8: every answer says to the edge whether it may be kept, and only the edge is answered."""

from hmac import compare_digest

from django.conf import settings
from django.http import HttpResponseForbidden
from django.utils.cache import patch_cache_control


class EdgeHeaders:
    """Public cached pages may be shared; whatever says nothing is private."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if getattr(response, "shared_page", False) and response.status_code == 200:
            patch_cache_control(response, public=True, s_maxage=settings.EDGE_CACHE_SECONDS)
        elif not response.has_header("Cache-Control"):
            patch_cache_control(response, private=True, no_store=True)
        return response


class EdgeOnly:
    """Who does not know the edge's secret has walked around its limits and rules."""

    # The platform's health check comes from inside; the metrics have a key of their own.
    OPEN = {"/healthz", "/metrics"}

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        given = request.headers.get("X-Edge-Secret", "")
        if request.path in self.OPEN or compare_digest(given.encode(), settings.EDGE_SECRET.encode()):
            return self.get_response(request)
        return HttpResponseForbidden("Ask the edge.\n", content_type="text/plain")
