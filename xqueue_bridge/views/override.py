"""The course team's form that sets or removes an override of a subsection grade."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.course_grades.overrides import (
    LEAST_POSSIBLE,
    MAX_POINTS,
    MAX_REASON,
    override_history,
    remove_override,
    set_override,
)
from xqueue_bridge.course_grades.queries import read_progress
from xqueue_bridge.course_grades.subsection_grade import SubsectionOverride
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.views.common import (
    course_or_404,
    learner_or_404,
    learners_by_id,
    percents,
    points,
    reader_id,
    staff_only,
)
from xqueue_bridge.views.gradebook_rows import Cell, columns

SYSTEM = "gradebook"


class ReasonForm(forms.Form):
    """The reason, which every change needs."""

    reason = forms.CharField(
        max_length=MAX_REASON,
        help_text="For the course team: learners do not see it.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class OverrideForm(ReasonForm):
    """The points that count instead of the computed ones."""

    earned = forms.FloatField(
        label="Points",
        min_value=0,
        max_value=MAX_POINTS,
        widget=forms.NumberInput({"step": "any"}),
    )
    possible = forms.FloatField(
        label="Out of",
        min_value=0,
        max_value=MAX_POINTS,
        required=False,
        help_text="Empty: as many as there are in the course.",
        widget=forms.NumberInput({"step": "any"}),
    )
    field_order = ("earned", "possible", "reason")

    def clean_possible(self) -> float | None:
        possible: float | None = self.cleaned_data["possible"]
        if possible and possible < LEAST_POSSIBLE:
            raise forms.ValidationError(f"This must be 0, or {LEAST_POSSIBLE} at least.")
        return possible


@staff_only
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def override(request: HttpRequest, course_id: str, user_id: str, usage_id: str) -> HttpResponse:
    """Show the form for a learner's grade in a subsection; a POST sets or removes the override."""
    course = course_or_404(course_id)
    learner = learner_or_404(int(user_id))
    subsection = _subsection_or_404(course, usage_id)
    place = (learner.user_id, course.course_key, subsection.usage_key)
    removing = request.POST.get("action") == "remove"
    bound = request.POST if request.method == "POST" else None
    setting_form = OverrideForm(None if removing else bound, prefix="set")
    removal_form = ReasonForm(bound if removing else None, prefix="remove")
    form = removal_form if removing else setting_form
    if bound is not None and form.is_valid():
        values = form.cleaned_data
        if removing:
            remove_override(*place, author_id=reader_id(request), reason=values["reason"])
        else:
            set_override(*place, _override(values, reader_id(request)))
        return redirect(request.path)
    grade = read_progress(learner.user_id, course)
    context = {
        "course": course,
        "learner": learner,
        "percent": percents(grade.percent),
        "grade": grade,
        "setting_form": setting_form,
        "removal_form": removal_form,
        **_standing(Cell(subsection, grade.subsection_grade(subsection.usage_key))),
        "history": _history(*place),
    }
    status = 200 if bound is None else 422
    return render(request, "xqueue_bridge/override.html", context, status=status)


def _override(values: dict[str, Any], author_id: int) -> SubsectionOverride:
    """Return the override: the graded total counts, the total over all is only displayed."""
    earned, possible = values["earned"], values["possible"]
    return SubsectionOverride(
        earned_all=earned,
        possible_all=possible,
        earned_graded=earned,
        possible_graded=possible,
        reason=values["reason"],
        system=SYSTEM,
        author_id=author_id,
    )


def _subsection_or_404(course: Course, usage_id: str) -> Subsection:
    for subsection in columns(course):
        if str(subsection.usage_key) == usage_id:
            return subsection
    raise Http404("The course has no such graded subsection.")


def _standing(cell: Cell) -> dict[str, Any]:
    computed = cell.grade.computed_graded if cell.grade else None
    return {
        "cell": cell,
        "computed": f"{points(computed.earned)} of {points(computed.possible)}" if computed else "",
    }


def _history(user_id: int, course_key: Any, usage_key: UsageKey) -> list[dict[str, Any]]:
    entries = [e for e in override_history(user_id, course_key) if e.usage_key == usage_key]
    ids = {entry.override.author_id for entry in entries if entry.override.author_id is not None}
    authors = {each.user_id: each.name for each in learners_by_id(ids)}
    return [
        {
            "created": entry.created,
            "what": _what(entry.override),
            "reason": entry.override.reason,
            "author": authors.get(entry.override.author_id or 0, ""),
        }
        for entry in entries
    ]


def _what(found: SubsectionOverride) -> str:
    if found.earned_graded is None:
        return "removed"
    out_of = "" if found.possible_graded is None else f" of {points(found.possible_graded)}"
    return f"set to {points(found.earned_graded)}{out_of}"
