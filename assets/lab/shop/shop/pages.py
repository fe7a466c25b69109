"""Step 3: marks a view as the same for everybody and keeps its pages."""

from functools import wraps

from django.conf import settings
from django.views.decorators.cache import cache_page


def shared(view):
    """Nothing below this line may look at the user, the session or the form token."""
    if settings.PAGE_CACHE_SECONDS and settings.PAGE_CHROME == "script":
        view = cache_page(settings.PAGE_CACHE_SECONDS)(view)

        @wraps(view)
        def marked(request, *args, **kwargs):
            response = view(request, *args, **kwargs)
            response.shared_page = True
            return response

        return marked
    return view
