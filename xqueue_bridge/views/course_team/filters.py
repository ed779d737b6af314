"""Filters, order and position of the submissions table, read from the query of its URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from django import forms
from django.db.models import IntegerField, Q, QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.lms.users import user_id_of
from xqueue_bridge.protocol.fields import is_valid_text
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.views.form_fields import DayRangeForm, UsageKeyField

PAGE_SIZE = 50
MAX_TEXT = 255
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


@dataclass(frozen=True, slots=True)
class Page:
    """One page of rows in an order, and the cursor of the next one ("" for the last)."""

    rows: list[Any]
    sort: str
    descending: bool
    next: str


def read_page(rows: QuerySet[Any], query: QueryDict, sorts: Mapping[str, str] = SORTS) -> Page:
    """Return the page that ``?sort=&order=&after=`` names; unknown values are ignored.

    Without ``sort`` the first of ``sorts`` is taken, which is the primary key. One statement, which
    starts after the last row of the page before and not at an offset.
    """
    first = next(iter(sorts))
    sort = query.get("sort", first)
    if sort not in sorts:
        sort = first
    descending = query.get("order", "desc" if sort == first else "asc") != "asc"
    field, sign = sorts[sort], "-" if descending else ""
    order = [f"{sign}pk"] if field == "pk" else [f"{sign}{field}", f"{sign}pk"]
    found = list(
        _after(rows, field, descending, query.get("after", "")).order_by(*order)[: PAGE_SIZE + 1]
    )
    page = found[:PAGE_SIZE]
    cursor = ""
    if len(found) > PAGE_SIZE:
        last = page[-1]
        value = attrgetter(field.replace("__", "."))(last)
        cursor = f"{last.pk}" if field == "pk" else f"{last.pk}.{value}"
    return Page(page, sort, descending, cursor)


def _after(rows: QuerySet[Any], field: str, descending: bool, cursor: str) -> QuerySet[Any]:
    pk, _dot, value = cursor.partition(".")
    if not (is_valid_text(cursor) and pk.isascii() and pk.isdigit() and len(pk) < 19):
        return rows
    than = "lt" if descending else "gt"
    beyond = Q(**{f"pk__{than}": int(pk)})
    if field == "pk":
        return rows.filter(beyond)
    column = None if "__" in field else rows.model._meta.get_field(field)
    is_number = value.isascii() and value.isdigit() and len(value) < 19
    if isinstance(column, IntegerField) and not is_number:
        return rows
    return rows.filter(Q(**{f"{field}__{than}": value}) | Q(beyond, **{field: value}))


def _user_id(text: str) -> int:
    found = user_id_of(text)
    if found is None and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return -1 if found is None else found
