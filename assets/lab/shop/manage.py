#!/usr/bin/env python3
"""Management commands of the practice shop."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    # Migrations hold locks and build indexes outside transactions: they go
    # straight to PostgreSQL, never through a transaction pooler.
    if direct := os.environ.get("DATABASE_UNPOOLED_URL"):
        os.environ["DATABASE_URL"] = direct

    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
