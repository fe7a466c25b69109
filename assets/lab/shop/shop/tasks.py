"""Work that nobody waits for."""

from config.jobs import background
from shop import mail
from shop.models import Order


@background
def send_confirmation(order_pk):
    mail.send(Order.objects.get(pk=order_pk))
