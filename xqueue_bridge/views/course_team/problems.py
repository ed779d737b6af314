"""The course team's pages with the problems of a course, and the statistics of one."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
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
from xqueue_bridge.views.form_fields import MAX_TEXT
from xqueue_bridge.views.tables import Column, table_context, table_csv

COLUMNS = (
    Column("problem", _("Problem"), lambda row: str(row.usage_key)),
    Column("submissions", _("Submissions"), lambda row: row.total, is_descending=True),
    Column("failed", _("Failed"), lambda row: row.failed, is_descending=True),
)
#: Pixels of the chart.
ROW, TOP = 28, 4


@dataclass(frozen=True, slots=True)
class ScoreBar:
    """One bar of the chart, with its numbers for the SVG."""

    bin: Bin
    width: str
    y: int
    text_y: int


class ProblemFilter(forms.Form):
    """The search form of the problems."""

    problem = forms.CharField(
        label=_("Problem"), required=False, max_length=MAX_TEXT, help_text=_("a part of its key")
    )

    def problems(self, course: TeamCourse) -> list[ProblemCount]:
        """Return the problems that the form selects, all if it is invalid."""
        part = self.cleaned_data.get("problem", "").casefold()
        found = problems_of(course.course_key)
        return [each for each in found if part in str(each.usage_key).casefold()]


@course_staff_required
@require_GET
def problems(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """List the problems of a course that have submissions: ``?problem=&sort=&order=&after=``.

    Two statements and the course's.
    """
    form = ProblemFilter(request.GET)
    status = 200 if form.is_valid() else 422
    context = {"course": course, **table_context(request, form, form.problems(course), COLUMNS)}
    return render(request, "xqueue_bridge/problems.html", context, status=status)


@course_staff_required
@require_GET
def problems_csv(request: HttpRequest, course: TeamCourse) -> HttpResponse:
    """Send the selected problems of a course as a CSV file."""
    form = ProblemFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("problems", course.course_key, form.problems(course), COLUMNS)


@course_staff_required
@require_GET
def problem(request: HttpRequest, course: TeamCourse, usage_id: str) -> HttpResponse:
    """Show the statistics of one problem; two statements and the course's."""
    try:
        usage_key = UsageKey.from_string(usage_id)
    except InvalidKeyError:
        raise Http404(gettext("This course has no such problem.")) from None
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
