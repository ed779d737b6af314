"""The course team's pages with the problems of a course, and the statistics of one."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET
from opaque_keys import InvalidKeyError
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.views.course_team.access import TeamCourse, course_staff_required
from xqueue_bridge.views.course_team.statistics import Bin, problems_of, statistics_of

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
    """List the problems of a course that have submissions; one statement and the course's."""
    context = {"course": course, "rows": problems_of(course.course_key)}
    return render(request, "xqueue_bridge/problems.html", context)


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
