"""The course team's pages with the problems of a course, and the statistics of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.course_team.statistics import (
    Bin,
    ProblemCount,
    problems_of,
    statistics_of,
)
from xqueue_bridge.views.course_team.tables import csv_response, header

CSV_HEADER = ("problem", "submissions", "failed")
#: Column of the list -> what it is sorted by.
SORTS: dict[str, Callable[[ProblemCount], tuple[object, ...]]] = {
    "problem": lambda row: (str(row.usage_key),),
    "total": lambda row: (row.total, str(row.usage_key)),
    "failed": lambda row: (row.failed, str(row.usage_key)),
}
#: Pixels of the chart.
ROW, TOP = 28, 4


@dataclass(frozen=True, slots=True)
class ScoreBar:
    """One bar of the chart, with its numbers for the SVG."""

    bin: Bin
    width: str
    y: int
    text_y: int


@course_staff_required
@require_GET
def problems(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """List the problems of a course that have submissions: ``?sort=&order=``.

    One statement and the course's.
    """
    rows = problems_of(course.course_key)
    sort = request.GET.get("sort", "problem")
    if sort not in SORTS:
        sort = "problem"
    is_descending = request.GET.get("order", "asc") == "desc"
    rows.sort(key=SORTS[sort], reverse=is_descending)
    order = {"sort": sort, "order": "desc" if is_descending else "asc"}
    columns = [("problem", _("Problem")), ("total", _("Submissions")), ("failed", _("Failed"))]
    context = {
        "course": course,
        "rows": rows,
        "headers": [
            header(column, name, {}, order, descending=("total", "failed"))
            for column, name in columns
        ],
    }
    return render(request, "xqueue_bridge/problems.html", context)


@course_staff_required
@require_GET
def problems_csv(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Send the problems of a course, by usage key, as a CSV file."""
    rows = problems_of(course.course_key)
    lines = [(str(each.usage_key), str(each.total), str(each.failed)) for each in rows]
    return csv_response("problems", course.course_key, iter([CSV_HEADER, *lines]))


@course_staff_required
@require_GET
def problem(request: HttpRequest, course: TeamCourse, usage_id: str) -> HttpResponse:
    """Show the statistics of one problem; two statements and the course's."""
    try:
        usage_key = UsageKey.from_string(usage_id)
    except InvalidKeyError:
        raise Http404(_("This course has no such problem.")) from None
    found = statistics_of(course.course_key, usage_key)
    context = {
        "course": course,
        "usage_key": usage_key,
        "statistics": found,
        "bars": _bars(found.bins),
        "height": TOP + ROW * len(found.bins),
    }
    return render(request, "xqueue_bridge/problem_statistics.html", context)


def _bars(bins: tuple[Bin, ...]) -> list[ScoreBar]:
    most = max((each.number for each in bins), default=0) or 1
    return [
        ScoreBar(each, f"{each.number / most * 60:.2f}%", TOP + ROW * n, TOP + ROW * n + 16)
        for n, each in enumerate(bins)
    ]
