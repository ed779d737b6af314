"""Tables of operators: sorted, filtered, paged by the query of the URL, and exported as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.functional import Promise

from xqueue_bridge.db.batches import by_key
from xqueue_bridge.views.course_team.filters import PAGE_SIZE, Page, read_page
from xqueue_bridge.views.course_team.tables import csv_response, header, query, read_number

#: Rows of a CSV file.
MAX_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name in URL and CSV file, its head, and what a row has in it."""

    name: str
    label: str | Promise
    value: Callable[[Any], object]
    #: Of rows in the database: the field that they are sorted by; "": they are not.
    field: str = ""
    #: A second line in the head.
    note: str | Promise = ""
    #: The first order of this column begins with the highest value.
    is_descending: bool = False


Rows = Sequence[Any] | QuerySet[Any]


def table_context(
    request: HttpRequest, form: forms.Form, rows: Rows, columns: Sequence[Column]
) -> dict[str, Any]:
    """Return what the template of a table needs: ``?sort=&order=&after=`` and the form's fields.

    Rows in the database take one statement. Other rows are sorted here.
    """
    page = _page(rows, columns, request.GET)
    chosen = {name: request.GET[name] for name in form.fields if request.GET.get(name)}
    hidden = {each.name: chosen.pop(each.name, "") for each in form.hidden_fields()}
    order = {"sort": page.sort, "order": "desc" if page.descending else "asc"}
    is_stored, after = isinstance(rows, QuerySet), request.GET.get("after", "")
    descending = [each.name for each in columns if each.is_descending]
    heads = []
    for each in columns:
        sort = each.name if each.field or not is_stored else ""
        head = header(sort, str(each.label), {**hidden, **chosen}, order, descending=descending)
        heads.append({**head, "format": str(each.note)})
    return {
        "form": form,
        "rows": page.rows,
        "headers": heads,
        "is_filtered": bool(chosen),
        "all": request.path + query(hidden),
        "first": query({**hidden, **chosen}, **order) if after else "",
        "next": query({**hidden, **chosen}, **order, after=page.next) if page.next else "",
        "csv": query({**hidden, **chosen}),
        "state": query({**hidden, **chosen}, **order, after=after, partial="table"),
    }


def table_csv(name: str, key: object, rows: Rows, columns: Sequence[Column]) -> HttpResponse:
    """Send the rows as a CSV file of at most MAX_ROWS lines."""
    return csv_response(name, key, _lines(rows, columns))


def _lines(rows: Rows, columns: Sequence[Column]) -> Iterator[Sequence[str]]:
    yield [each.name for each in columns]
    batches = by_key(rows) if isinstance(rows, QuerySet) else iter([rows])
    for row in islice((each for batch in batches for each in batch), MAX_ROWS):
        yield [_cell(each.value(row)) for each in columns]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _page(rows: Rows, columns: Sequence[Column], given: QueryDict) -> Page:
    if isinstance(rows, QuerySet):
        return read_page(rows, given, {each.name: each.field for each in columns if each.field})
    found = {each.name: each for each in columns}
    column = found.get(given.get("sort", ""), columns[0])
    descending = given.get("order", "desc" if column.is_descending else "asc") != "asc"

    def key(row: object) -> tuple[bool, Any]:
        value = column.value(row)
        return value is not None, value.casefold() if isinstance(value, str) else value

    ordered = sorted(rows, key=key, reverse=descending)
    begin = read_number(given.get("after", ""))
    end = begin + PAGE_SIZE
    following = str(end) if len(ordered) > end else ""
    return Page(ordered[begin:end], column.name, descending, following)
