"""The course team's form that sets or removes an override of a subsection grade."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_grades.course_grade import SubsectionOverride
from xqueue_bridge.course_grades.overrides import (
    LEAST_POSSIBLE,
    MAX_POINTS,
    MAX_REASON,
    override_history,
    remove_override,
    set_override,
)
from xqueue_bridge.course_grades.queries import read_progress
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.views.decorators import current_user_id, staff_required
from xqueue_bridge.views.gradebook_rows import Cell, graded_subsections
from xqueue_bridge.views.learners import course_or_404, learner_or_404, learners_by_id

SYSTEM = "gradebook"


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """An override that was set, or one that was removed: its ``earned_graded`` is None."""

    created: datetime
    override: SubsectionOverride
    author: str


class ReasonForm(forms.Form):
    """The reason, which every change needs."""

    reason = forms.CharField(
        label=gettext_lazy("Reason"),
        max_length=MAX_REASON,
        help_text=gettext_lazy("For the course team; learners do not see it."),
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class OverrideForm(ReasonForm):
    """The points that count instead of the computed ones."""

    earned = forms.FloatField(
        label=gettext_lazy("Points"),
        min_value=0,
        max_value=MAX_POINTS,
        widget=forms.NumberInput({"step": "any"}),
    )
    possible = forms.FloatField(
        label=gettext_lazy("Out of"),
        min_value=0,
        max_value=MAX_POINTS,
        required=False,
        help_text=gettext_lazy("If empty: the maximum in the course."),
        widget=forms.NumberInput({"step": "any"}),
    )
    field_order = ("earned", "possible", "reason")

    def clean_possible(self) -> float | None:
        possible: float | None = self.cleaned_data["possible"]
        if possible and possible < LEAST_POSSIBLE:
            raise forms.ValidationError(
                _("Enter 0, or at least %(least)s.") % {"least": LEAST_POSSIBLE}
            )
        return possible


@staff_required
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def override(request: HttpRequest, course_id: str, user_id: str, usage_id: str) -> HttpResponse:
    """Show the form for a learner's grade in a subsection; a POST sets or removes the override."""
    course = course_or_404(course_id)
    learner = learner_or_404(int(user_id))
    subsection = _subsection_or_404(course, usage_id)
    key = (learner.user_id, course.course_key, subsection.usage_key)
    removing = request.POST.get("action") == "remove"
    bound = request.POST if request.method == "POST" else None
    setting_form = OverrideForm(None if removing else bound, prefix="set")
    removal_form = ReasonForm(bound if removing else None, prefix="remove")
    form = removal_form if removing else setting_form
    if bound is not None and form.is_valid():
        values = form.cleaned_data
        if removing:
            remove_override(*key, author_id=current_user_id(request), reason=values["reason"])
        else:
            set_override(*key, _override(values, current_user_id(request)))
        return redirect(request.path)
    grade = read_progress(learner.user_id, course)
    context = {
        "course": course,
        "learner": learner,
        "grade": grade,
        "setting_form": setting_form,
        "removal_form": removal_form,
        "cell": Cell(subsection, grade.subsection_grade(subsection.usage_key)),
        "history": _history(*key),
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
    for subsection in graded_subsections(course):
        if str(subsection.usage_key) == usage_id:
            return subsection
    raise Http404(_("Graded subsection not found."))


def _history(user_id: int, course_key: CourseKey, usage_key: UsageKey) -> list[HistoryRow]:
    entries = [e for e in override_history(user_id, course_key) if e.usage_key == usage_key]
    ids = {entry.override.author_id for entry in entries if entry.override.author_id is not None}
    authors = {each.user_id: each.name for each in learners_by_id(ids)}
    return [
        HistoryRow(
            created=entry.created,
            override=entry.override,
            author=authors.get(entry.override.author_id or 0, ""),
        )
        for entry in entries
    ]
