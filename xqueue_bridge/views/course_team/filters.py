"""The filter of the submissions table, and the columns that it is sorted by."""

from __future__ import annotations

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.lms.users import user_id_of
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.form_fields import MAX_TEXT, DayRangeForm, UsageKeyField

#: Column of the table -> the field that it is sorted by.
SORTS = {"sent": "pk", "learner": "user_id", "queue": "queue_name", "status": "status"}


class SubmissionFilter(DayRangeForm):
    """The search form; every field may be empty."""

    learner = forms.CharField(
        label=_("Learner"), required=False, max_length=MAX_TEXT, help_text=_("username or id")
    )
    problem = UsageKeyField(label=_("Problem"), required=False, max_length=MAX_TEXT)
    queue = forms.CharField(label=_("Queue"), required=False, max_length=128)
    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("all")), *Status.choices]
    )
    field_order = ("learner", "problem", "queue", "status", "since", "until")

    def submissions(self, course_key: CourseKey) -> QuerySet[Submission]:
        """Return the submissions that the valid form selects; a look-up of the name at most."""
        values = self.cleaned_data
        rows = Submission.objects.filter(course_key=course_key)
        if values["learner"]:
            rows = rows.filter(user_id=_user_id(values["learner"]))
        if values["problem"]:
            rows = rows.filter(usage_key=values["problem"])
        if values["queue"]:
            rows = rows.filter(queue_name=values["queue"])
        if values["status"]:
            rows = rows.filter(status=values["status"])
        return self.in_range(rows, "created_at")


def _user_id(text: str) -> int:
    found = user_id_of(text)
    if found is None and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return -1 if found is None else found
