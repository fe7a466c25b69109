"""Every address of the shop."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.contrib.staticfiles.views import serve
from django.urls import include, path, re_path

from shop import health

urlpatterns = [
    path("", include("shop.urls")),
    path("login/", LoginView.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
]

if settings.METRICS:
    urlpatterns.append(path("metrics", health.metrics))

if not settings.STATIC_BUCKET:
    # Files by Django itself: one Python thread per icon.
    urlpatterns.append(re_path(r"^static/(?P<path>.+)$", serve, {"insecure": True}))
