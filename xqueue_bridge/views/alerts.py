"""The operators' page of alerts: which trouble goes on, and what they were told of it."""

from __future__ import annotations

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET

from xqueue_bridge.alerts.api import Alert
from xqueue_bridge.conf import alert_options
from xqueue_bridge.protocol.fields import MAX_NAME
from xqueue_bridge.views.decorators import staff_required
from xqueue_bridge.views.tables import Column, table_context, table_csv

Kind = Alert.Kind
#: Rows that the table has at most, the newest ones.
MAX_ROWS = 10_000
#: What operators do about each kind of trouble.
ADVICE = {
    Kind.STALLED: _("Look at the queue: do its graders pull, and do they return results?"),
    Kind.NO_GRADER: _("Grant the queue to a grader."),
    Kind.GRADER_GONE: _("Start the graders, and look at their logs."),
    Kind.GRADER_PAUSED: _("Repair the grader: its last replies were all invalid."),
    Kind.FAILED: _("Find out why, then requeue the submissions."),
}


def notice_of(row: Alert) -> str:
    """Return what operators were told of an alert, and why a notification was not sent."""
    if row.last_error:
        return gettext("not sent: %(error)s") % {"error": row.last_error}
    if row.next_attempt_at is not None:
        return gettext("will be sent")
    if row.notified_at is None:
        return gettext("none")
    return gettext("that it began") if row.is_told else gettext("that it ended")


COLUMNS = (
    Column(
        "state",
        _("Status"),
        lambda row: "open" if row.is_open else "ended",
        is_descending=True,
    ),
    Column("kind", _("Trouble"), lambda row: str(row.get_kind_display())),
    Column("queue", _("Queue"), lambda row: row.queue_name),
    Column("since", _("Since"), lambda row: row.changed_at, is_descending=True),
    Column("measured", _("Measured"), lambda row: row.detail),
    Column("notice", _("Last notification"), notice_of),
    Column("notified", _("Notified at"), lambda row: row.notified_at, is_descending=True),
    Column("attempts", _("Attempts"), lambda row: row.attempts, is_descending=True),
)


class AlertFilter(forms.Form):
    """The search form; every field may be empty."""

    state = forms.ChoiceField(
        label=_("Status"),
        required=False,
        choices=[("", _("all")), ("open", _("open")), ("ended", _("ended"))],
    )
    kind = forms.ChoiceField(
        label=_("Trouble"), required=False, choices=[("", _("all")), *Kind.choices]
    )
    queue = forms.CharField(label=_("Queue"), required=False, max_length=MAX_NAME)

    def alerts(self) -> list[Alert]:
        """Return the alerts that the valid form selects, newest first; one statement."""
        values, rows = self.cleaned_data, Alert.objects.order_by("-changed_at")
        if values["state"]:
            rows = rows.filter(is_open=values["state"] == "open")
        if values["kind"]:
            rows = rows.filter(kind=values["kind"])
        if values["queue"]:
            rows = rows.filter(queue_name=values["queue"])
        return list(rows[:MAX_ROWS])


@staff_required
@require_GET
def alerts(request: HttpRequest) -> HttpResponse:
    """Show the alerts, those that are open first: ``?state=&kind=&queue=``.

    One statement, and those of the user.
    """
    form = AlertFilter(request.GET)
    context = {"form": form, "is_on": alert_options() is not None}
    if not form.is_valid():
        return render(request, "xqueue_bridge/alerts.html", context, status=422)
    context |= table_context(request, form, form.alerts(), COLUMNS, with_texts)
    return render(request, "xqueue_bridge/alerts.html", context)


@staff_required
@require_GET
def alerts_csv(request: HttpRequest) -> HttpResponse:
    """Send the selected alerts as a CSV file."""
    form = AlertFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("xqueue", "alerts", form.alerts(), COLUMNS)


def with_texts(found: list[Alert]) -> list[tuple[Alert, str, str]]:
    """Return alerts, each with its last notification, and what to do while it is open."""
    return [
        (row, notice_of(row), str(ADVICE[Kind(row.kind)]) if row.is_open else "") for row in found
    ]
