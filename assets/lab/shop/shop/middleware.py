"""Step 8: every answer says to the edge whether it may be kept."""

from django.conf import settings
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
