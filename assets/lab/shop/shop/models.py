"""Vendors sell dishes, people review and order them."""

import uuid
from functools import cached_property

from django.conf import settings
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models.functions import Upper


class Vendor(models.Model):
    name = models.CharField(max_length=80)
    city = models.CharField(max_length=40)

    def __str__(self):
        return self.name

    @cached_property
    def dishes(self):
        """One query each time somebody asks a vendor; `queries` can give it in bulk."""
        return self.products.count()


class Product(models.Model):
    vendor = models.ForeignKey(Vendor, models.CASCADE, related_name="products")
    name = models.CharField(max_length=80)
    price = models.DecimalField(max_digits=7, decimal_places=2)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["-created_at"], name="product_newest"),
            models.Index(fields=["vendor", "-created_at"], name="product_vendor_newest"),
            GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="product_name_words"),
        ]

    def __str__(self):
        return self.name

    @property
    def picture(self):
        return f"shop/img/dish-{self.pk % 8}.svg"

    @cached_property
    def rating(self):
        """One query per product, like `Vendor.dishes`."""
        return self.reviews.aggregate(mean=models.Avg("stars"))["mean"]


class Review(models.Model):
    product = models.ForeignKey(Product, models.CASCADE, related_name="reviews")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    stars = models.SmallIntegerField()
    text = models.CharField(max_length=200)


class Order(models.Model):
    public_id = models.UUIDField(default=uuid.uuid4, editable=False)
    email = models.EmailField()
    status = models.CharField(max_length=12, default="received")
    total = models.DecimalField(max_digits=9, decimal_places=2)
    created_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=["public_id"], name="order_public_id"),
            models.Index(fields=["email", "-created_at"], name="order_email_newest"),
        ]


class OrderItem(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="items")
    product = models.ForeignKey(Product, models.CASCADE)
    quantity = models.SmallIntegerField()
    price = models.DecimalField(max_digits=7, decimal_places=2)
