"""
Step 9: the indexes that the load tests asked for, built while the shop is open
(CONCURRENTLY, so over a direct connection and outside a transaction).
"""

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently, TrigramExtension
from django.db import migrations, models
from django.db.models.functions import Upper


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("shop", "0001_initial")]
    operations = [
        TrigramExtension(),
        AddIndexConcurrently("order", models.Index(fields=["public_id"], name="order_public_id")),
        AddIndexConcurrently("order", models.Index(fields=["email", "-created_at"], name="order_email_newest")),
        AddIndexConcurrently("product", models.Index(fields=["-created_at"], name="product_newest")),
        AddIndexConcurrently("product", models.Index(fields=["vendor", "-created_at"], name="product_vendor_newest")),
        AddIndexConcurrently("product", GinIndex(OpClass(Upper("name"), name="gin_trgm_ops"), name="product_name_words")),
        # An index on an expression has no statistics until the next ANALYZE,
        # and without them the planner does not trust it.
        migrations.RunSQL("ANALYZE shop_product; ANALYZE shop_order;", migrations.RunSQL.noop),
    ]
