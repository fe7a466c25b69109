"""The confirmation mail: in the request, or handed to a worker (step 6)."""

from django.conf import settings
from django.core.mail import send_mail

from shop.models import Order


def confirm(order):
    if settings.MAIL_IN_BACKGROUND:
        from shop.tasks import send_confirmation

        send_confirmation.delay(order.pk)
    else:
        send(order)


def send(order):
    """Talks to the mail server, which takes its time. Safe to repeat."""
    if order.status != "received":
        return
    send_mail(
        f"Your order {order.public_id}",
        f"Thank you. We received your order over {order.total}.",
        None,
        [order.email],
    )
    Order.objects.filter(pk=order.pk, status="received").update(status="confirmed")
