"""Work that nobody waits for."""

from celery import shared_task

from shop import mail
from shop.models import Order


@shared_task(autoretry_for=(OSError,), retry_backoff=1, max_retries=5)
def send_confirmation(order_pk):
    mail.send(Order.objects.get(pk=order_pk))
