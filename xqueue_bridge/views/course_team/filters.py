"""The search forms of the course team's tables."""

from __future__ import annotations

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.regrading.api import Regrade, RegradeItem
from xqueue_bridge.stuck_answers.api import Kind, StuckAnswer
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.form_fields import MAX_TEXT, DayRangeForm, UsageKeyField
from xqueue_bridge.views.learners import Learner, user_id_from


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
            rows = rows.filter(user_id=user_id_from(values["learner"]))
        if values["problem"]:
            rows = rows.filter(usage_key=values["problem"])
        if values["queue"]:
            rows = rows.filter(queue_name=values["queue"])
        if values["status"]:
            rows = rows.filter(status=values["status"])
        return self.in_range(rows, "created_at")


class RegradeFilter(DayRangeForm):
    """The search form of a course's regrades; every field may be empty."""

    who = forms.CharField(
        label=_("Who"), required=False, max_length=MAX_TEXT, help_text=_("username or id")
    )
    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("all")), *Regrade.Status.choices]
    )
    field_order = ("who", "status", "since", "until")

    def regrades(self, course_key: CourseKey) -> QuerySet[Regrade]:
        """Return the regrades that the valid form selects; a look-up of the name at most."""
        values, rows = self.cleaned_data, Regrade.objects.filter(course_key=course_key)
        if values["who"]:
            rows = rows.filter(author_id=user_id_from(values["who"]))
        if values["status"]:
            rows = rows.filter(status=values["status"])
        return self.in_range(rows, "created_at")


class RegradeItemFilter(forms.Form):
    """The search form of a regrade's submissions; every field may be empty."""

    learner = forms.CharField(
        label=_("Learner"), required=False, max_length=MAX_TEXT, help_text=_("username or id")
    )
    status = forms.ChoiceField(
        label=_("Outcome"), required=False, choices=[("", _("all")), *RegradeItem.Status.choices]
    )

    def items(self, regrade: Regrade) -> QuerySet[RegradeItem]:
        """Return the items that the valid form selects; a look-up of the name at most."""
        values, rows = self.cleaned_data, RegradeItem.objects.filter(regrade=regrade)
        if values["learner"]:
            rows = rows.filter(user_id=user_id_from(values["learner"]))
        if values["status"]:
            rows = rows.filter(status=values["status"])
        return rows


class StuckFilter(forms.Form):
    """The search form of stuck answers, and the row after which the search begins."""

    begin = forms.CharField(required=False, widget=forms.HiddenInput)
    learner = forms.CharField(
        label=_("Learner"), required=False, max_length=MAX_TEXT, help_text=_("a part of the name")
    )
    problem = forms.CharField(
        label=_("Problem"), required=False, max_length=MAX_TEXT, help_text=_("a part of its key")
    )
    kind = forms.ChoiceField(
        label=_("Why it is stuck"), required=False, choices=[("", _("all")), *Kind.choices]
    )

    def selects(self, answer: StuckAnswer, learner: Learner) -> bool:
        """Return whether the valid form selects a stuck answer of a learner."""
        values = self.cleaned_data
        names = f"{learner.full_name} {learner.username} {learner.user_id}".casefold()
        return (
            values["learner"].casefold() in names
            and values["problem"].casefold() in str(answer.target.usage_key).casefold()
            and values["kind"] in ("", answer.kind)
        )
