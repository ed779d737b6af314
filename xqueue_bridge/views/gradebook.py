"""The course team's gradebook: all learners' grades, with sorting, search and CSV download."""

from __future__ import annotations

import re

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, QueryDict, StreamingHttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from xqueue_bridge.views.decorators import staff_required
from xqueue_bridge.views.gradebook_csv import csv_lines
from xqueue_bridge.views.gradebook_rows import (
    BY_NAME,
    BY_TOTAL,
    graded_subsections,
    learners,
    rows,
    sort_keys,
)
from xqueue_bridge.views.learners import course_or_404

PAGE_SIZE = 50
MAX_SEARCH_LENGTH = 100


@staff_required
@require_GET
def gradebook(request: HttpRequest, course_id: str) -> HttpResponse:
    """Show a page of the gradebook: ``?sort=&order=&search=&page=``; ignore unknown values."""
    course = course_or_404(course_id)
    sort = request.GET.get("sort", BY_NAME)
    if sort not in sort_keys(course):
        sort = BY_NAME
    descending = request.GET.get("order") == "desc"
    search = request.GET.get("search", "")[:MAX_SEARCH_LENGTH].strip()
    found = learners(course, sort=sort, descending=descending, search=search)
    page = Paginator(found, PAGE_SIZE).get_page(request.GET.get("page"))
    order = {"sort": sort, "order": "desc" if descending else "asc", "search": search}
    columns = [(BY_NAME, _("Learner"), ""), (BY_TOTAL, _("Total"), "")]
    columns += [
        (str(number), each.display_name, each.format or "")
        for number, each in enumerate(graded_subsections(course), 1)
    ]
    return render(
        request,
        "xqueue_bridge/gradebook.html",
        {
            "course": course,
            "search": search,
            "headers": [_header(*column, order) for column in columns],
            "page": page,
            "rows": list(rows(course, list(page.object_list))),
            "previous": _query(order, page=page.number - 1) if page.has_previous() else "",
            "next": _query(order, page=page.number + 1) if page.has_next() else "",
            "sort": sort,
            "order": order["order"],
        },
    )


@staff_required
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


def _header(sort: str, name: str, kind: str, order: dict[str, str]) -> dict[str, str]:
    """Return a column's header; its link sorts by the column or reverses the order."""
    is_sorted = order["sort"] == sort
    # Names ascend by default, grades descend.
    first = "asc" if sort == BY_NAME else "desc"
    reverse = {"asc": "desc", "desc": "asc"}[order["order"]]
    return {
        "name": name,
        "format": kind,
        "sorted": order["order"] if is_sorted else "",
        "query": _query({**order, "sort": sort, "order": reverse if is_sorted else first}),
    }


def _query(values: dict[str, str], **more: object) -> str:
    query = QueryDict(mutable=True)
    query.update({name: str(value) for name, value in {**values, **more}.items() if value})
    return f"?{query.urlencode()}"
