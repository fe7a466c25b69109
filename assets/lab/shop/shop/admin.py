from django.contrib import admin

from shop.models import Order, Product, Vendor

admin.site.register(Vendor)
admin.site.register(Product, raw_id_fields=["vendor"])
admin.site.register(Order)
