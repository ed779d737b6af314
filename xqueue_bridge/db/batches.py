"""Ground: many rows, a few at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet

#: Rows that one transaction of a long job takes in: short enough that nobody waits for it.
BATCH_SIZE = 500


def id_batches(rows: QuerySet[Any], size: int = BATCH_SIZE) -> Iterator[list[int]]:
    """Yield the primary keys of ``rows`` in rising order, at most ``size`` at a time.

    Each batch is one statement that begins after the last key (and not at an offset), so rows
    may change, go and come meanwhile: every row that stays is met once.
    """
    pages = rows.order_by("pk").values_list("pk", flat=True)
    ids = list(pages[:size])
    while ids:
        yield ids
        ids = list(pages.filter(pk__gt=ids[-1])[:size])
