"""Sends the newest orders' confirmations again, after an outage of the mail server."""

from django.core.management.base import BaseCommand
from shop import mail
from shop.models import Order


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("count", type=int)

    def handle(self, *, count, **_):
        for order in Order.objects.order_by("-pk")[:count]:
            mail.confirm(order)
