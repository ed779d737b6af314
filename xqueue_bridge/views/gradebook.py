"""The course team's gradebook: all learners' grades, with sorting, search and CSV download."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.views.decorators import staff_required
from xqueue_bridge.views.gradebook_csv import csv_lines
from xqueue_bridge.views.gradebook_rows import graded_subsections, learners, ranks, rows
from xqueue_bridge.views.learners import Learner, course_or_404
from xqueue_bridge.views.tables import Column, csv_response, table_context

MAX_SEARCH_LENGTH = 100


class GradebookFilter(forms.Form):
    """The search form; every field may be empty."""

    search = forms.CharField(
        label=gettext_lazy("Learner"),
        required=False,
        max_length=MAX_SEARCH_LENGTH,
        help_text=gettext_lazy("a part of the name"),
    )
    passed = forms.ChoiceField(
        label=gettext_lazy("Status"),
        required=False,
        choices=[
            ("", gettext_lazy("all")),
            ("yes", gettext_lazy("passed")),
            ("no", gettext_lazy("not passed")),
        ],
    )

    def learners(self, course: Course) -> list[Learner]:
        """Return the learners that the valid form selects, by name."""
        passed = self.cleaned_data["passed"]
        found = learners(course, self.cleaned_data["search"])
        if not passed:
            return found
        grades = rows(course, found, ())
        return [row.learner for row in grades if row.grade.passed is (passed == "yes")]


@dataclass
class _Ranks:
    """The sort keys of learners by one column, which are read when the first is asked for."""

    course: Course
    learners: Sequence[Learner]
    wanted: tuple[Subsection, ...]

    @cached_property
    def by_id(self) -> dict[int, float]:
        return ranks(self.course, self.learners, self.wanted)

    def __call__(self, learner: Learner) -> float:
        return self.by_id[learner.user_id]


@staff_required
@require_GET
def gradebook(request: HttpRequest, course_id: str) -> HttpResponse:
    """Show a page of the gradebook: ``?search=&passed=&sort=&order=&after=``."""
    course, form = course_or_404(course_id), GradebookFilter(request.GET)
    context = {"course": course, "form": form}
    if not form.is_valid():
        return render(request, "xqueue_bridge/gradebook.html", context, status=422)
    found = form.learners(course)
    columns = _columns(course, found)
    context |= table_context(request, form, found, columns, lambda page: list(rows(course, page)))
    context["number"] = len(found)
    return render(request, "xqueue_bridge/gradebook.html", context)


@staff_required
@require_GET
def gradebook_csv(request: HttpRequest, course_id: str) -> HttpResponse:
    """Send the selected learners' grades as a CSV file."""
    course, form = course_or_404(course_id), GradebookFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return csv_response("grades", course.course_key, csv_lines(course, form.learners(course)))


def _columns(course: Course, found: Sequence[Learner]) -> list[Column]:
    """Return the columns: the name, the total, and one for each graded subsection."""

    def column(name: str, label: str, wanted: tuple[Subsection, ...], note: str = "") -> Column:
        return Column(name, label, _Ranks(course, found, wanted), note=note, is_descending=True)

    by_name = Column("name", _("Learner"), lambda learner: learner.name)
    numbered = enumerate(graded_subsections(course), 1)
    return [
        by_name,
        column("total", _("Total"), ()),
        *(column(str(n), each.display_name, (each,), each.format or "") for n, each in numbered),
    ]
