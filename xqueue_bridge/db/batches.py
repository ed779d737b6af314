"""Iteration over many rows in batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

#: Rows in one transaction of a long job; small enough not to block other transactions for long.
BATCH_SIZE = 500


def id_batches(rows: QuerySet[Any], size: int = BATCH_SIZE) -> Iterator[list[int]]:
    """Yield the primary keys of ``rows`` in ascending order, at most ``size`` at a time.

    Each batch is one statement that starts after the last key, not at an offset. Rows may be
    changed, added and deleted meanwhile; every row that remains is yielded once.
    """
    pages = rows.order_by("pk").values_list("pk", flat=True)
    ids = list(pages[:size])
    while ids:
        yield ids
        ids = list(pages.filter(pk__gt=ids[-1])[:size])
