"""Iteration over many rows or values in batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

from django.db.models import Model, QuerySet

T = TypeVar("T")
M = TypeVar("M", bound=Model)

#: Rows in one transaction of a long job; small enough not to block other transactions for long.
BATCH_SIZE = 500


def by_key(rows: QuerySet[M, T], key: str = "pk", size: int = BATCH_SIZE) -> Iterator[list[T]]:
    """Yield the results of a query in ascending order of a unique ``key``, ``size`` at a time.

    Results are model instances, tuples that begin with the key, or the keys themselves. Each batch
    is one statement that starts after the last key, not at an offset. Rows may be changed, added
    and deleted meanwhile; every row that remains is yielded once.
    """
    pages = rows.order_by(key)
    # One row more than a batch has shows whether another statement is needed.
    found = list(pages[: size + 1])
    while batch := found[:size]:
        yield batch
        if len(found) <= size:
            return
        found = list(pages.filter(**{f"{key}__gt": _key_of(batch[-1], key)})[: size + 1])


def id_batches(rows: QuerySet[Model], size: int = BATCH_SIZE) -> Iterator[list[int]]:
    """Yield the primary keys of ``rows`` in ascending order, at most ``size`` at a time."""
    return by_key(rows.values_list("pk", flat=True), size=size)


def _key_of(result: object, key: str) -> object:
    if isinstance(result, tuple):
        return result[0]
    return getattr(result, key, result)


def chunks(items: Iterable[T], size: int = BATCH_SIZE) -> Iterator[list[T]]:
    """Yield the items in their order, at most ``size`` at a time."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
