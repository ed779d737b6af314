"""Pages of rows in the database, each of which starts after the last row of the page before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import isfinite
from operator import attrgetter
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db.models import F, Field, Q, QuerySet
from opaque_keys import InvalidKeyError

from xqueue_bridge.protocol.fields import is_valid_text

#: By another column than the primary key the newest so many rows are sorted.
MAX_SORTED = 10_000
_NO_VALUE = (ValidationError, ValueError, OverflowError, InvalidKeyError)


def newest(rows: QuerySet[Any], number: int) -> tuple[QuerySet[Any], bool]:
    """Return the newest rows, at most ``number``, and whether there are more; one statement."""
    beyond = rows.order_by("-pk").values_list("pk", flat=True)[number : number + 1]
    last = next(iter(beyond), None)
    return (rows, False) if last is None else (rows.filter(pk__gt=last), True)


def read_page(
    rows: QuerySet[Any], field: str, descending: bool, cursor: str, size: int
) -> tuple[list[Any], str]:
    """Return the rows after the one of the cursor, at most ``size``, and the next page's cursor.

    One statement. A cursor without meaning is ignored; the next one is "" on the last page.
    """
    order: list[Any] = ["-pk" if descending else "pk"]
    column = _column(rows, field)
    if column is not None and column.null:
        by = F(field).desc(nulls_last=True) if descending else F(field).asc(nulls_first=True)
        order.insert(0, by)
    elif field != "pk":
        order.insert(0, f"-{field}" if descending else field)
    found = _after(rows, field, descending, cursor).order_by(*order)[: size + 1]
    page: Sequence[Any] = list(found)
    if len(page) <= size:
        return list(page), ""
    last = page[size - 1]
    value = attrgetter(field.replace("__", "."))(last)
    is_alone = field == "pk" or value is None
    return list(page[:size]), f"{last.pk}" if is_alone else f"{last.pk}.{value}"


def _column(rows: QuerySet[Any], field: str) -> Field[Any, Any] | None:
    """Return the column of a field of the rows' own table; None for the primary key and others."""
    try:
        column = rows.model._meta.get_field(field)
    except FieldDoesNotExist:
        return None
    return column if isinstance(column, Field) else None


def _after(rows: QuerySet[Any], field: str, descending: bool, cursor: str) -> QuerySet[Any]:
    pk, dot, text = cursor.partition(".")
    if not (is_valid_text(cursor) and pk.isascii() and pk.isdigit() and len(pk) < 19):
        return rows
    beyond = Q(**{f"pk__{'lt' if descending else 'gt'}": int(pk)})
    if field == "pk":
        return rows.filter(beyond)
    column = _column(rows, field)
    is_nullable = column is not None and column.null
    if not dot:  # the last row has no value; those without one are sorted below all others
        if not is_nullable:
            return rows
        same = Q(beyond, **{f"{field}__isnull": True})
        return rows.filter(same if descending else same | Q(**{f"{field}__isnull": False}))
    try:
        value = _parsed(column, text)
    except _NO_VALUE:
        return rows
    found = Q(beyond, **{field: value}) | Q(**{f"{field}__{'lt' if descending else 'gt'}": value})
    if is_nullable and descending:
        found |= Q(**{f"{field}__isnull": True})
    return rows.filter(found)


def _parsed(column: Field[Any, Any] | None, text: str) -> Any:
    """Return a cursor's value; raise one of ``_NO_VALUE`` if the column has none such."""
    value: Any = text if column is None else column.to_python(text)
    is_number = isinstance(value, int | float)
    if value is None or (is_number and not (isfinite(value) and abs(value) < 10**18)):
        raise ValueError(text)
    return value.astimezone(UTC) if isinstance(value, datetime) else value
