"""Iteration over many rows in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

#: Rows in one transaction of a long job; small enough not to block other transactions for long.
BATCH_SIZE = 500


def by_key(rows: QuerySet[Any], key: str = "pk", size: int = BATCH_SIZE) -> Iterator[list[Any]]:
    """Yield the results of a query in ascending order of a unique ``key``, ``size`` at a time.

    Results are model instances, dictionaries with the key, or the keys themselves. Each batch is
    one statement that starts after the last key, not at an offset. Rows may be changed, added and
    deleted meanwhile; every row that remains is yielded once.
    """
    pages = rows.order_by(key)
    batch = list(pages[:size])
    while batch:
        yield batch
        if len(batch) < size:
            return
        batch = list(pages.filter(**{f"{key}__gt": _key_of(batch[-1], key)})[:size])


def id_batches(rows: QuerySet[Any], size: int = BATCH_SIZE) -> Iterator[list[int]]:
    """Yield the primary keys of ``rows`` in ascending order, at most ``size`` at a time."""
    return by_key(rows.values_list("pk", flat=True), size=size)


def _key_of(result: object, key: str) -> object:
    if isinstance(result, dict):
        return result[key]
    return getattr(result, key, result)
