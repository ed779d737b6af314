"""Tables that are sorted, filtered and paged by the query of the URL, and exported as CSV."""

from __future__ import annotations

import csv
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.utils.functional import Promise

from xqueue_bridge.db.batches import by_key
from xqueue_bridge.views.gradebook_csv import BYTE_ORDER_MARK, Echo, safe
from xqueue_bridge.views.stored_rows import MAX_SORTED, newest, read_page

#: Rows on a page.
PAGE_SIZE = 50
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
#: Adds to a batch of rows what is read for all of them at once, such as names.
Complete = Callable[[list[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows in an order, and the cursor of the next one ("" for the last)."""

    rows: list[Any]
    sort: str
    descending: bool
    next: str
    #: Of how many rows, the newest ones, it is a page; 0: of all.
    newest: int = 0


def table_context(
    request: HttpRequest,
    form: forms.Form,
    rows: Rows,
    columns: Sequence[Column],
    complete: Complete = list,
) -> dict[str, Any]:
    """Return what the template of a table needs: ``?sort=&order=&after=`` and the form's fields.

    Rows in the database take one statement, and one more if they are sorted by another column
    than their primary key; the newest MAX_SORTED are sorted then. Other rows are sorted here.
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
        "rows": complete(page.rows),
        "headers": heads,
        "is_filtered": bool(chosen),
        "newest": page.newest,
        "all": request.path + query(hidden),
        "first": query({**hidden, **chosen}, **order) if after else "",
        "next": query({**hidden, **chosen}, **order, after=page.next) if page.next else "",
        "csv": query({**hidden, **chosen}),
        "state": query({**hidden, **chosen}, **order, after=after, partial="table"),
    }


def table_csv(
    name: str,
    key: object,
    rows: Rows | Iterable[Any],
    columns: Sequence[Column],
    complete: Complete = list,
) -> HttpResponse:
    """Send the rows as a CSV file of at most MAX_ROWS lines; those in the database oldest first."""
    return csv_response(name, key, _lines(rows, columns, complete))


def _lines(
    rows: Rows | Iterable[Any], columns: Sequence[Column], complete: Complete
) -> Iterator[Sequence[str]]:
    yield [each.name for each in columns]
    found: Iterable[Any] = rows
    if isinstance(rows, QuerySet):
        found = (row for batch in by_key(rows) for row in complete(batch))
    for row in islice(found, MAX_ROWS):
        yield [_cell(each.value(row)) for each in columns]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return f"{value:g}" if isinstance(value, float) else str(value)


def _page(rows: Rows, columns: Sequence[Column], given: QueryDict) -> Page:
    if isinstance(rows, QuerySet):
        columns = [each for each in columns if each.field]
    first = next((each for each in columns if each.field == "pk"), columns[0])
    found = {each.name: each for each in columns}
    column = found.get(given.get("sort", ""), first)
    descending = given.get("order", "desc" if column.is_descending else "asc") != "asc"
    after = given.get("after", "")
    if isinstance(rows, QuerySet):
        is_part = False
        if column.field != "pk":
            rows, is_part = newest(rows, MAX_SORTED)
        page, following = read_page(rows, column.field, descending, after, PAGE_SIZE)
        return Page(page, column.name, descending, following, MAX_SORTED if is_part else 0)

    def key(row: object) -> tuple[bool, Any]:
        value = column.value(row)
        return value is not None, value.casefold() if isinstance(value, str) else value

    ordered = sorted(rows, key=key, reverse=descending)
    begin = read_number(after)
    end = begin + PAGE_SIZE
    following = str(end) if len(ordered) > end else ""
    return Page(ordered[begin:end], column.name, descending, following)


def csv_response(name: str, key: object, lines: Iterator[Sequence[str]]) -> HttpResponse:
    """Return a streamed CSV file whose cells no spreadsheet reads as formulas."""
    writer = csv.writer(Echo())

    def texts() -> Iterator[str]:
        yield BYTE_ORDER_MARK
        for line in lines:
            yield writer.writerow([safe(cell) for cell in line])

    file_name = "".join(c if c.isalnum() or c in "._-" else "_" for c in f"{name}_{key}")
    headers = {
        "Content-Disposition": f'attachment; filename="{file_name}.csv"',
        "X-Content-Type-Options": "nosniff",
    }
    response: HttpResponse = StreamingHttpResponse(  # type: ignore[assignment]
        texts(), content_type="text/csv; charset=utf-8", headers=headers
    )
    return response


def query(values: dict[str, str], **more: object) -> str:
    """Return the query of a link, "?" included."""
    found = QueryDict(mutable=True)
    found.update({name: str(value) for name, value in {**values, **more}.items() if value})
    return f"?{found.urlencode()}"


def header(
    sort: str,
    name: str,
    chosen: dict[str, str],
    order: dict[str, str],
    *,
    descending: Collection[str] = (),
) -> dict[str, str]:
    """Return the head of a column: its name, and a link if the table can be sorted by it.

    ``order`` has the ``sort`` and ``order`` of the table. Columns in ``descending`` begin with
    the highest value.
    """
    if not sort:
        return {"name": name}
    is_sorted = order["sort"] == sort
    reverse = {"asc": "desc", "desc": "asc"}[order["order"]]
    first = "desc" if sort in descending else "asc"
    return {
        "name": name,
        "sorted": order["order"] if is_sorted else "",
        "query": query(chosen, sort=sort, order=reverse if is_sorted else first),
    }


def read_number(text: str) -> int:
    """Return the number of a row in a URL or form; 0 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
