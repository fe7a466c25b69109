"""Addresses of the shop itself."""

from django.conf import settings
from django.urls import path

from shop import api, health, views

urlpatterns = [
    path("", views.home, name="home"),
    path("v/<int:pk>/", views.vendor, name="vendor"),
    path("p/<int:pk>/", views.product, name="product"),
    path("cart/", views.cart, name="cart"),
    path("checkout/", views.checkout, name="checkout"),
    path("checkout/done/<uuid:public_id>/", views.done, name="done"),
    path("orders/", views.orders, name="orders"),
    path("account/", views.account, name="account"),
    path("api/csrf", api.csrf),
    path("api/me", api.me),
    path("api/cart/add", api.cart_add, name="cart-add"),
    path("api/search", api.search),
    path("api/orders/<uuid:public_id>/status", api.order_status),
    path("api/upload", api.upload),
    path(".well-known/rampup.txt", health.proof),
]

if settings.DIRECT_UPLOADS:
    urlpatterns.append(path("api/uploads/presign", api.presign))

if settings.HEALTH_PAGE:
    urlpatterns.append(path("healthz", health.healthz))

if settings.SENTRY_DSN:
    urlpatterns.append(path("sentry-debug/", health.sentry_debug))
