"""The course team's gradebook: all learners' grades, with sorting, search and CSV download."""

from __future__ import annotations

import re
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from xqueue_bridge.views.common import course_or_404, percents, staff_only
from xqueue_bridge.views.gradebook_csv import csv_lines
from xqueue_bridge.views.gradebook_rows import (
    BY_NAME,
    BY_TOTAL,
    columns,
    learners,
    lines,
    sort_keys,
)

PAGE_SIZE = 50
LONGEST_SEARCH = 100


@staff_only
@require_GET
def gradebook(request: HttpRequest, course_id: str) -> HttpResponse:
    """Show a page of the gradebook: ``?sort=&order=&find=&page=``; ignore unknown values."""
    course = course_or_404(course_id)
    sort = request.GET.get("sort", BY_NAME)
    if sort not in sort_keys(course):
        sort = BY_NAME
    descending = request.GET.get("order") == "down"
    find = request.GET.get("find", "")[:LONGEST_SEARCH].strip()
    found = learners(course, sort=sort, descending=descending, find=find)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    order = {"sort": sort, "order": "down" if descending else "up", "find": find}
    named = [(BY_NAME, "Learner", ""), (BY_TOTAL, "Total", "")]
    named += [
        (str(n), each.display_name, each.format or "") for n, each in enumerate(columns(course), 1)
    ]
    return render(
        request,
        "xqueue_bridge/gradebook.html",
        {
            "course": course,
            "find": find,
            "heads": [_head(*head, order) for head in named],
            "page": page,
            "lines": [
                (line, percents(line.grade.percent))
                for line in lines(course, list(page.object_list))
            ],
            "earlier": _query(order, page=page.number - 1) if page.has_previous() else "",
            "later": _query(order, page=page.number + 1) if page.has_next() else "",
            "sort": sort,
            "order": order["order"],
        },
    )


@staff_only
@require_GET
def gradebook_csv(request: HttpRequest, course_id: str) -> StreamingHttpResponse:
    """Send the whole gradebook as a CSV file."""
    course = course_or_404(course_id)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", str(course.course_key))
    return StreamingHttpResponse(
        csv_lines(course),
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="grades_{name}.csv"',
            "X-Content-Type-Options": "nosniff",
        },
    )


def _head(sort: str, name: str, kind: str, order: dict[str, str]) -> dict[str, str]:
    """Return a column's header; its link sorts by the column or reverses the order."""
    is_sorted = order["sort"] == sort
    # Names ascend by default, grades descend.
    first = "up" if sort == BY_NAME else "down"
    turned = {"up": "down", "down": "up"}[order["order"]]
    return {
        "name": name,
        "format": kind,
        "sorted": order["order"] if is_sorted else "",
        "query": _query({**order, "sort": sort, "order": turned if is_sorted else first}),
    }


def _query(values: dict[str, str], **more: Any) -> str:
    query = QueryDict(mutable=True)
    query.update({name: str(value) for name, value in {**values, **more}.items() if value})
    return f"?{query.urlencode()}"
