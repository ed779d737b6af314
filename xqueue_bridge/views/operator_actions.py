"""The operators' page of what operators and course staff did, and its CSV file."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy
from django.views.decorators.http import require_GET

from xqueue_bridge.operations.api import OperatorAction
from xqueue_bridge.protocol.fields import MAX_NAME
from xqueue_bridge.submission_queue.priority_models import Priority
from xqueue_bridge.views.decorators import staff_required
from xqueue_bridge.views.form_fields import MAX_TEXT, DayRangeForm
from xqueue_bridge.views.learners import learners_by_id, user_id_from
from xqueue_bridge.views.tables import Column, table_context, table_csv

Kind = OperatorAction.Kind
#: The parameters of an action that name what it was done with; the first that is there is shown.
SUBJECTS = ("to", "grader", "table", "course", "name", "scope")
#: What a transport override chooses.
TRANSPORTS = {
    True: gettext_lazy("submissions table"),
    False: gettext_lazy("legacy XQueue"),
    None: gettext_lazy("none of its own"),
}
#: What course staff do with a regrade.
REGRADES = {
    "start": gettext_lazy("started"),
    "pause": gettext_lazy("paused"),
    "resume": gettext_lazy("resumed"),
    "cancel": gettext_lazy("cancelled"),
}
COLUMNS = (
    Column("when", gettext_lazy("When"), lambda row: row.created_at, "pk", is_descending=True),
    Column("who", gettext_lazy("Who"), lambda row: row.author_id, "author_id"),
    Column("action", gettext_lazy("Action"), lambda row: row.kind, "kind"),
    Column("queue", gettext_lazy("Queue"), lambda row: row.queue_name, "queue_name"),
    Column("with", gettext_lazy("With"), lambda row: details_of(row)),
    Column("selected", gettext_lazy("Selected"), lambda row: row.selected, "selected"),
    Column("changed", pgettext_lazy("number", "Changed"), lambda row: row.changed, "changed"),
    Column("finished", gettext_lazy("Finished"), lambda row: row.finished_at, "finished_at"),
)


class OperatorActionFilter(DayRangeForm):
    """The search form; every field may be empty."""

    field_order = ("who", "queue", "action", "since", "until")

    who = forms.CharField(
        label=gettext_lazy("Who"),
        required=False,
        max_length=MAX_TEXT,
        help_text=gettext_lazy("username or id"),
    )
    queue = forms.CharField(label=gettext_lazy("Queue"), required=False, max_length=MAX_NAME)
    action = forms.ChoiceField(
        label=gettext_lazy("Action"),
        required=False,
        choices=[("", gettext_lazy("all")), *Kind.choices],
    )

    def actions(self) -> QuerySet[OperatorAction]:
        """Return the actions that the valid form selects."""
        values, rows = self.cleaned_data, OperatorAction.objects.all()
        if values["who"]:
            rows = rows.filter(author_id=user_id_from(values["who"]))
        if values["queue"]:
            rows = rows.filter(queue_name=values["queue"])
        if values["action"]:
            rows = rows.filter(kind=values["action"])
        return self.in_range(rows, "created_at")


@staff_required
@require_GET
def operator_actions(request: HttpRequest) -> HttpResponse:
    """Show what was done, newest first: ``?who=&queue=&action=&since=&until=``.

    Four statements at most, and those of the user.
    """
    form = OperatorActionFilter(request.GET)
    if not form.is_valid():
        return render(request, "xqueue_bridge/operator_actions.html", {"form": form}, status=422)
    context = table_context(request, form, form.actions(), COLUMNS, with_authors)
    return render(request, "xqueue_bridge/operator_actions.html", context)


@staff_required
@require_GET
def operator_actions_csv(request: HttpRequest) -> HttpResponse:
    """Send what was done, oldest first, as a CSV file."""
    form = OperatorActionFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("operator", "actions", form.actions(), COLUMNS)


def with_authors(found: list[OperatorAction]) -> list[tuple[OperatorAction, str, str]]:
    """Return actions, each with its author's name and with what it was done; one statement."""
    ids = sorted({each.author_id for each in found if each.author_id})
    names = {each.user_id: each.name for each in learners_by_id(ids)}
    return [(each, names.get(each.author_id or 0, ""), details_of(each)) for each in found]


def details_of(action: OperatorAction) -> str:
    """Return what an action was done with: another queue, a grader, a course, a table; and how."""
    given: dict[str, Any] = action.parameters
    subject = next((str(given[name]) for name in SUBJECTS if given.get(name)), "")
    return ": ".join(each for each in (subject, _how(action.kind, given)) if each)


def _how(kind: str, given: dict[str, Any]) -> str:
    if kind == Kind.PRIORITY:
        level = given.get("level")
        return str(_("none of its own") if level is None else Priority.Level(level).label)
    if kind == Kind.TRANSPORT:
        return str(TRANSPORTS[given.get("use_submissions_table")])
    if kind == Kind.REGRADE:
        return f"{given.get('regrade')} {REGRADES.get(given.get('change', ''), '')}"
    if "submissions" in given:
        ids = given["submissions"]
        text = ", ".join(map(str, ids[:5]))
        return f"{text}, …" if len(ids) > 5 else text
    if "fields" in given:
        return ", ".join(f"{name}={value}" for name, value in given["fields"].items())
    return ", ".join(given.get("queues", ()))
