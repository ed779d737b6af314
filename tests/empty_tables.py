"""Emptying of the test databases after a test that commits.

Django's ``flush`` empties all tables, also those without rows, and then creates every content type
and permission again. That takes longer than most tests.
"""

from __future__ import annotations

from functools import cache

from django.db import connections, transaction

#: Filled by ``migrate``; the same for all tests.
KEPT = {"django_migrations", "django_content_type", "auth_permission"}


def empty_tables(alias: str) -> None:
    """Delete all rows of all models, but for those in ``KEPT``."""
    connection = connections[alias]
    quote = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(_filled_tables_query(alias))
        filled = [name for (name,) in cursor.fetchall()]
    if not filled:
        return
    with connection.constraint_checks_disabled(), transaction.atomic(using=alias):
        with connection.cursor() as cursor:
            for name in filled:
                cursor.execute(f"DELETE FROM {quote(name)}")


@cache
def _filled_tables_query(alias: str) -> str:
    connection = connections[alias]
    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    quote = connection.ops.quote_name
    return " UNION ALL ".join(
        f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {quote(name)})"
        for name in sorted(set(names) - KEPT)
    )
