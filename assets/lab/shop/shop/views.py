"""Pages for people."""

from django.contrib.auth.decorators import login_required
from django.core.validators import validate_email
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from shop import cart as carts
from shop import mail, queries
from shop.models import Order, OrderItem, Product, Vendor
from shop.pages import shared

PER_PAGE = 8


@require_safe
@shared
def home(request):
    ask = queries.current()
    return render(
        request,
        "shop/home.html",
        {"vendors": ask.front_vendors(), "products": ask.newest_products()},
    )


@require_safe
@shared
def vendor(request, pk):
    found = get_object_or_404(Vendor, pk=pk)
    page = request.GET.get("page", "1")
    page = int(page) if page.isdecimal() and 0 < int(page) < 100 else 1
    products = queries.current().vendor_products(found, (page - 1) * PER_PAGE, PER_PAGE)
    return render(
        request,
        "shop/vendor.html",
        {"vendor": found, "products": products, "page": page, "next": page + 1},
    )


@require_safe
@shared
def product(request, pk):
    ask = queries.current()
    try:
        found = ask.product(pk)
    except Product.DoesNotExist:
        raise Http404 from None
    return render(
        request, "shop/product.html", {"product": found, "reviews": ask.reviews(found)}
    )


@require_safe
def cart(request):
    lines = carts.lines(request.session)
    return render(request, "shop/cart.html", {"lines": lines, "total": carts.total(lines)})


@require_http_methods(["GET", "POST"])
def checkout(request):
    lines = carts.lines(request.session)
    if request.method == "GET":
        return render(request, "shop/checkout.html", {"lines": lines, "total": carts.total(lines)})

    email = request.user.email if request.user.is_authenticated else request.POST.get("email", "")
    problem = None if lines else "Your cart is empty."
    try:
        validate_email(email)
    except ValidationError:
        problem = "Please give a valid email address."
    if problem:
        return render(request, "shop/checkout.html", {"lines": lines, "problem": problem}, status=400)

    with transaction.atomic():
        order = Order.objects.create(
            email=email, total=carts.total(lines), created_at=timezone.now()
        )
        OrderItem.objects.bulk_create(
            OrderItem(
                order=order,
                product=line["product"],
                quantity=line["quantity"],
                price=line["product"].price,
            )
            for line in lines
        )
    carts.clear(request.session)
    mail.confirm(order)
    return redirect("done", public_id=order.public_id)


@require_safe
def done(request, public_id):
    return render(request, "shop/done.html", {"public_id": public_id})


@require_safe
@login_required
def orders(request):
    return render(
        request, "shop/orders.html", {"orders": queries.current().orders(request.user.email)}
    )


@require_safe
@login_required
def account(request):
    return render(request, "shop/account.html")
