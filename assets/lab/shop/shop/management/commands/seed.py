"""Makes the tables of the naive shop and fills them, once, by SQL inside the database."""

import time

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import connection, transaction
from django.contrib.auth.hashers import make_password

from shop.models import Order, OrderItem, Product, Review, Vendor

PASSWORD = "rampup-practice"

USERS = """
INSERT INTO auth_user (username, email, password, first_name, last_name, is_superuser, is_staff, is_active, date_joined)
SELECT 'user' || n, 'user' || n || '@shop.example', %s, 'User', n::text, false, false, true, now()
FROM generate_series(1, 2000) n
"""

VENDORS = """
INSERT INTO shop_vendor (id, name, city)
SELECT n + 1,
       (ARRAY['Golden','Little','Royal','Old','Green','Happy','Silver','Sunny','Red','Quiet'])[1 + n %% 10] || ' ' ||
       (ARRAY['Kitchen','Garden','Table','Oven','Spoon'])[1 + n / 10],
       (ARRAY['Riga','Lyon','Porto','Ghent','Turin','Graz','Cork'])[1 + n %% 7]
FROM generate_series(0, 49) n
"""

PRODUCTS = """
INSERT INTO shop_product (vendor_id, name, price, created_at)
SELECT 1 + (n - 1) / 2000,
       (ARRAY['Smoky','Crisp','Spicy','Sweet','Roasted','Pickled','Fresh','Creamy','Grilled','Baked'])[1 + (random() * 9)::int] || ' ' ||
       (ARRAY['Lentil','Pepper','Tomato','Mushroom','Pumpkin','Chicken','Salmon','Tofu','Potato','Spinach','Beetroot','Noodle'])[1 + (random() * 11)::int] || ' ' ||
       (ARRAY['Curry','Soup','Salad','Bowl','Pie','Stew','Wrap','Toast'])[1 + (random() * 7)::int] || ' ' || lpad(n::text, 6, '0'),
       round((4 + random() * 16)::numeric, 2),
       timestamptz '2024-01-01' + random() * interval '500 days'
FROM generate_series(1, 100000) n
"""

REVIEWS = """
INSERT INTO shop_review (product_id, user_id, stars, text)
SELECT product, person.id, 1 + (random() * 4)::int, 'I would order this again.'
FROM (SELECT 1 + (random() * 99999)::int AS product, 1 + (random() * 1999)::int AS n FROM generate_series(1, 100000)) drawn
JOIN auth_user person ON person.username = 'user' || drawn.n
"""

ORDERS = """
INSERT INTO shop_order (public_id, email, status, total, created_at)
SELECT gen_random_uuid(), 'user' || 1 + n %% 2000 || '@shop.example', 'confirmed',
       round((8 + random() * 60)::numeric, 2), timestamptz '2024-01-01' + random() * interval '500 days'
FROM generate_series(1, 500000) n
"""

ITEMS = """
INSERT INTO shop_orderitem (order_id, product_id, quantity, price)
SELECT o.id, 1 + (random() * 99999)::int, 1 + (random() * 2)::int, round((4 + random() * 16)::numeric, 2)
FROM shop_order o CROSS JOIN generate_series(1, 2)
"""


class Command(BaseCommand):
    help = __doc__

    def handle(self, **options):
        # Up to the shop's first migration only: the indexes of 0002 are the
        # remedy of step 9.
        for target in (["auth"], ["sessions"], ["admin"], ["shop", "0001"]):
            call_command("migrate", *target, verbosity=0, interactive=False)
        if Vendor.objects.exists():
            self.stdout.write("already seeded")
            return
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT setseed(0.5)")
            fill = [
                (USERS, [make_password(PASSWORD, salt="practice")], None),
                (VENDORS, [], Vendor),
                (PRODUCTS, [], Product),
                (REVIEWS, [], Review),
                (ORDERS, [], Order),
                (ITEMS, [], OrderItem),
            ]
            for sql, values, model in fill:
                self._fill(cursor, sql, values, model)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")

    def _fill(self, cursor, sql, values, model):
        started = time.monotonic()
        if model is None:
            cursor.execute(sql, values)
            rows = cursor.rowcount
        else:
            table = model._meta.db_table
            rebuild = self._take_off(cursor, table)
            cursor.execute(sql.replace("%%", "%"))
            rows = cursor.rowcount
            for statement in rebuild:
                cursor.execute(statement)
        self.stdout.write(f"{rows} rows in {time.monotonic() - started:.1f} s: {sql.split()[2]}")

    def _take_off(self, cursor, table):
        """
        Drops foreign keys and plain indexes of an empty table and says how to
        put them back: checking and sorting a million rows at once is several
        times faster than row by row.
        """
        cursor.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = %s::regclass AND contype = 'f'",
            [table],
        )
        keys = cursor.fetchall()
        cursor.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = %s::regclass AND NOT indisprimary",
            [table],
        )
        indexes = cursor.fetchall()
        for name, _ in keys:
            cursor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        return [definition for _, definition in indexes] + [
            f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition.replace(" DEFERRABLE INITIALLY DEFERRED", "")} DEFERRABLE INITIALLY DEFERRED'
            for name, definition in keys
        ]
