"""The tables as the shop was first written: only the indexes that Django makes by itself."""

import uuid

from django.conf import settings
from django.db import migrations, models
from django.db.models import CASCADE, ForeignKey


def key():
    return ("id", models.BigAutoField(primary_key=True, auto_created=True, serialize=False, verbose_name="ID"))


class Migration(migrations.Migration):
    initial = True
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        migrations.CreateModel(
            "Vendor",
            [key(), ("name", models.CharField(max_length=80)), ("city", models.CharField(max_length=40))],
        ),
        migrations.CreateModel(
            "Product",
            [
                key(),
                ("vendor", ForeignKey("shop.vendor", CASCADE, related_name="products")),
                ("name", models.CharField(max_length=80)),
                ("price", models.DecimalField(max_digits=7, decimal_places=2)),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            "Review",
            [
                key(),
                ("product", ForeignKey("shop.product", CASCADE, related_name="reviews")),
                ("user", ForeignKey(settings.AUTH_USER_MODEL, CASCADE)),
                ("stars", models.SmallIntegerField()),
                ("text", models.CharField(max_length=200)),
            ],
        ),
        migrations.CreateModel(
            "Order",
            [
                key(),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("email", models.EmailField(max_length=254)),
                ("status", models.CharField(default="received", max_length=12)),
                ("total", models.DecimalField(max_digits=9, decimal_places=2)),
                ("created_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            "OrderItem",
            [
                key(),
                ("order", ForeignKey("shop.order", CASCADE, related_name="items")),
                ("product", ForeignKey("shop.product", CASCADE)),
                ("quantity", models.SmallIntegerField()),
                ("price", models.DecimalField(max_digits=7, decimal_places=2)),
            ],
        ),
    ]
