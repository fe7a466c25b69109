"""Answers for scripts, in JSON."""

import uuid

from django.conf import settings
from django.core.files.storage import default_storage
from django.http import Http404, JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.http import require_GET, require_POST

from shop import cart as carts
from shop import queries
from shop.models import Order, Product
from shop.throttle import limited


def problem(status, text):
    return JsonResponse({"error": text}, status=status)


@require_GET
def csrf(request):
    """Sets the cookie and gives the token to send back as `X-CSRFToken`."""
    return JsonResponse({"token": get_token(request)})


@require_GET
def me(request):
    name = request.user.get_username() if request.user.is_authenticated else None
    return JsonResponse({"user": name, "cart": carts.count(request.session)})


@require_POST
def cart_add(request):
    pk, quantity = request.POST.get("product", ""), request.POST.get("quantity", "1")
    if not (pk.isdecimal() and quantity.isdecimal() and int(quantity) > 0):
        return problem(400, "product and quantity must be numbers")
    try:
        product = Product.objects.get(pk=pk)
    except Product.DoesNotExist:
        return problem(404, "no such product")
    return JsonResponse({"cart": carts.add(request.session, product, int(quantity))})


@require_GET
def search(request):
    words = request.GET.get("q", "").strip()[:80]
    found = queries.current().search(words) if words else []
    return JsonResponse(
        {
            "products": [
                {"id": p.pk, "name": p.name, "vendor": p.vendor.name, "price": str(p.price)}
                for p in found
            ]
        }
    )


@require_GET
@limited
def order_status(request, public_id):
    """The id is a secret of 122 random bits, so guests may follow their order too."""
    try:
        order = queries.current().order(public_id)
    except Order.DoesNotExist:
        raise Http404 from None
    return JsonResponse({"order": str(public_id), "status": order.status})


@require_POST
def upload(request):
    """The way before step 4: the whole body passes through a Python thread."""
    if settings.DIRECT_UPLOADS:
        return problem(410, "ask /api/uploads/presign and upload to the bucket")
    if not request.user.is_authenticated:
        return problem(401, "log in first")
    photo = request.FILES.get("file")
    if photo is None:
        return problem(400, "send the photo as form field `file`")
    key = default_storage.save(f"uploads/{request.user.pk}/{uuid.uuid4()}.jpg", photo)
    return JsonResponse({"key": key}, status=201)


@require_GET
def presign(request):
    """Step 4: a form for the bucket itself, valid for a minute."""
    if not request.user.is_authenticated:
        return problem(401, "log in first")
    from shop import s3

    return JsonResponse(s3.upload_form(request.user.pk, uuid.uuid4()))
