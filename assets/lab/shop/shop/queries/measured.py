"""Step 10: the cart was missed the first time. See the package's docstring."""

from shop.models import Product
from shop.queries.joined import *  # noqa: F403  (all but the cart stays)
from shop.queries.joined import with_ratings


def cart_products(pks):
    return with_ratings(Product.objects.select_related("vendor").filter(pk__in=pks))
