"""Filters, order and position of the submissions table, read from the query of its URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time

from django import forms
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.lms.users import user_id_of
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.form_fields import UsageKeyField

PAGE_SIZE = 50
MAX_TEXT = 255
#: Column of the table -> the field that it is sorted by.
SORTS = {"sent": "pk", "learner": "user_id", "queue": "queue_name", "status": "status"}


class SubmissionFilter(forms.Form):
    """The search form; every field may be empty."""

    learner = forms.CharField(
        label=_("Learner"), required=False, max_length=MAX_TEXT, help_text=_("username or id")
    )
    problem = UsageKeyField(label=_("Problem"), required=False, max_length=MAX_TEXT)
    queue = forms.CharField(label=_("Queue"), required=False, max_length=128)
    status = forms.ChoiceField(
        label=_("Status"), required=False, choices=[("", _("all")), *Status.choices]
    )
    since = forms.DateField(
        label=_("From"), required=False, widget=forms.DateInput({"type": "date"})
    )
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput({"type": "date"}))

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
        if values["since"]:
            rows = rows.filter(created_at__gte=_begin(values["since"]))
        if values["until"]:
            rows = rows.filter(created_at__lte=_begin(values["until"], time.max))
        return rows


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows in an order, and the cursor of the next one ("" for the last)."""

    rows: list[Submission]
    sort: str
    descending: bool
    next: str


def read_page(
    rows: QuerySet[Submission], query: QueryDict, sorts: Mapping[str, str] = SORTS
) -> Page:
    """Return the page that ``?sort=&order=&after=`` names; unknown values are ignored.

    One statement, which starts after the last row of the page before and not at an offset.
    """
    sort = query.get("sort", "sent")
    if sort not in sorts:
        sort = "sent"
    descending = query.get("order", "desc" if sort == "sent" else "asc") != "asc"
    field, sign = sorts[sort], "-" if descending else ""
    order = [f"{sign}pk"] if field == "pk" else [f"{sign}{field}", f"{sign}pk"]
    found = list(
        _after(rows, field, descending, query.get("after", "")).order_by(*order)[: PAGE_SIZE + 1]
    )
    page = found[:PAGE_SIZE]
    cursor = ""
    if len(found) > PAGE_SIZE:
        last = page[-1]
        cursor = f"{last.pk}" if field == "pk" else f"{last.pk}.{getattr(last, field)}"
    return Page(page, sort, descending, cursor)


def _after(
    rows: QuerySet[Submission], field: str, descending: bool, cursor: str
) -> QuerySet[Submission]:
    pk, _dot, value = cursor.partition(".")
    if not (pk.isascii() and pk.isdigit() and len(pk) < 19):
        return rows
    than = "lt" if descending else "gt"
    beyond = Q(**{f"pk__{than}": int(pk)})
    if field == "pk":
        return rows.filter(beyond)
    if field == "user_id" and not (value.isascii() and value.isdigit() and len(value) < 19):
        return rows
    return rows.filter(Q(**{f"{field}__{than}": value}) | Q(beyond, **{field: value}))


def _user_id(text: str) -> int:
    found = user_id_of(text)
    if found is None and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return -1 if found is None else found


def _begin(day: date, at: time = time.min) -> datetime:
    return timezone.make_aware(datetime.combine(day, at))
