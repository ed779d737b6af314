"""What the tables of course teams and learners share: links, heads of columns, and CSV files."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence

from django.http import HttpResponse, QueryDict, StreamingHttpResponse

from xqueue_bridge.views.gradebook_csv import BYTE_ORDER_MARK, Echo, safe


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
