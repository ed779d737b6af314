"""The form that selects submissions for a regrade, and says how it is done."""

from __future__ import annotations

from datetime import datetime, time
from typing import Any

from django import forms
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.views.form_fields import DayField, UsageKeyField

Scope = regrading.Regrade.Scope
#: The field that each scope needs.
NEEDED = {Scope.SUBMISSION: "submission", Scope.PROBLEM: "problem", Scope.QUEUE: "queue"}


class RegradeForm(forms.Form):
    """What is graded again, and how."""

    scope = forms.ChoiceField(label=_("What"), choices=Scope.choices, initial=Scope.FAILED)
    submission = forms.IntegerField(label=_("Submission"), required=False, min_value=1)
    problem = UsageKeyField(
        label=_("Problem"), required=False, max_length=255, help_text=_("its usage key")
    )
    queue = forms.CharField(label=_("Queue"), required=False, max_length=128)
    since = DayField(label=_("Sent since"), required=False)
    only_if_higher = forms.BooleanField(
        label=_("Only if higher"),
        required=False,
        help_text=_("A result counts only if it has more points than the learner has now."),
    )
    keep_feedback = forms.BooleanField(
        label=_("Keep the old feedback until the new one is there"), required=False, initial=True
    )
    per_minute = forms.IntegerField(
        label=_("Submissions per minute"),
        min_value=1,
        max_value=regrading.MAX_PER_MINUTE,
        initial=60,
        help_text=_("Learners who submit now come first at any pace."),
    )

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        needed = NEEDED.get(values.get("scope", ""))
        if needed and not values.get(needed) and needed not in self.errors:
            self.add_error(needed, _("This field is required."))
        return values

    def selection(self, course_key: CourseKey) -> regrading.Selection:
        """Return what the valid form selects."""
        values, scope = self.cleaned_data, self.cleaned_data["scope"]
        day = values["since"]
        return regrading.Selection(
            course_key,
            submission_id=values["submission"] if scope == Scope.SUBMISSION else None,
            usage_key=values["problem"] or None,
            queue_name=values["queue"] or None,
            since=timezone.make_aware(datetime.combine(day, time.min)) if day else None,
            only_failed=scope == Scope.FAILED,
        )

    def options(self) -> regrading.RegradeOptions:
        """Return how the valid form wants it done."""
        values = self.cleaned_data
        return regrading.RegradeOptions(
            only_if_higher=values["only_if_higher"],
            keep_feedback=values["keep_feedback"],
            per_minute=values["per_minute"],
        )
