"""
What pages ask the database. Three modules with the same functions:

plain      as first written: every template line that touches a relation asks again
joined     step 9: joins, prefetches and counts in bulk, and uses the indexes of
           migration 0002
measured   step 10: what measuring again still showed
"""

from importlib import import_module

from django.conf import settings


def current():
    return import_module(settings.QUERIES)
