"""The cart lives in the session: `{"product id": quantity}`."""

from decimal import Decimal

from shop import queries

MOST_LINES = 20


def add(session, product, quantity):
    cart = session.setdefault("cart", {})
    key = str(product.pk)
    if key in cart or len(cart) < MOST_LINES:
        cart[key] = min(cart.get(key, 0) + quantity, 99)
    session.modified = True
    return count(session)


def count(session):
    return sum(session.get("cart", {}).values())


def lines(session):
    """Product, quantity and price of each line."""
    cart = session.get("cart", {})
    return [
        {
            "product": product,
            "quantity": cart[str(product.pk)],
            "price": product.price * cart[str(product.pk)],
        }
        for product in queries.current().cart_products([int(pk) for pk in cart])
    ]


def total(lines):
    return sum((line["price"] for line in lines), Decimal())


def clear(session):
    session.pop("cart", None)
