"""What every template knows."""

from django.conf import settings


def chrome(request):
    return {"chrome_by_server": settings.PAGE_CHROME == "server"}
