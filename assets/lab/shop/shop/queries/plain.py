"""The queries as first written. See the package's docstring."""

from shop.models import Order, Product, Vendor


def front_vendors():
    return Vendor.objects.order_by("name")[:8]


def newest_products():
    return Product.objects.order_by("-created_at")[:4]


def vendor_products(vendor, offset, count):
    return vendor.products.order_by("-created_at")[offset : offset + count]


def reviews(product):
    return product.reviews.order_by("-id")[:10]


def product(pk):
    return Product.objects.get(pk=pk)


def search(words):
    return Product.objects.filter(name__icontains=words).order_by("-created_at")[:20]


def orders(email):
    return Order.objects.filter(email=email).order_by("-created_at")[:10]


def order(public_id):
    return Order.objects.get(public_id=public_id)


def cart_products(pks):
    return [Product.objects.get(pk=pk) for pk in pks]
