"""The operators' pages: the queues now, and one queue's last day; and their CSV files."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_list_or_404, render
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_GET

from xqueue_bridge.alerts.api import Alert
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.metrics import api as metrics
from xqueue_bridge.metrics.throughput import QueueThroughput
from xqueue_bridge.operations.api import OperatorAction
from xqueue_bridge.protocol.fields import MAX_NAME, is_valid_text
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.stats import QueueStats, queue_stats
from xqueue_bridge.views.decorators import is_operator, staff_required
from xqueue_bridge.views.operator_actions import with_authors
from xqueue_bridge.views.queue_actions import TEXTS, Kind
from xqueue_bridge.views.queue_chart import (
    HEIGHT,
    SPAN,
    STEP,
    WIDTH,
    Interval,
    events_chart,
    intervals,
    waiting_chart,
)
from xqueue_bridge.views.tables import Column, table_context, table_csv
from xqueue_bridge.worker import heartbeat

#: Seconds after which the page warns that the sweeper does not run.
MAX_SWEEPER_AGE = 120
#: The newest actions that the page of a queue shows.
SHOWN_ACTIONS = 20

LAST_DAY, LAST_HOUR = _("last 24 hours"), _("last hour")
#: Of a queue's statistics and throughput, which is None if it is not measured.
QUEUE_COLUMNS = (
    Column("queue", _("Queue"), lambda row: row[0].queue_name),
    Column("waiting", _("Waiting"), lambda row: row[0].waiting, is_descending=True),
    Column("oldest_seconds", _("Oldest"), lambda row: row[0].oldest_seconds, is_descending=True),
    Column("in_grading", _("In grading"), lambda row: row[0].leased, is_descending=True),
    Column(
        "finished_per_minute",
        _("Finished per minute"),
        lambda row: row[1] and row[1].finished_per_minute,
        note=LAST_HOUR,
        is_descending=True,
    ),
    Column(
        "empty_in_seconds",
        _("Empty in"),
        lambda row: row[1] and row[1].drain_seconds,
        note=_("at this rate"),
        is_descending=True,
    ),
    Column(
        "answered", _("Answered"), lambda row: row[0].answered, note=LAST_DAY, is_descending=True
    ),
    Column("failed", _("Failed"), lambda row: row[0].failed, note=LAST_DAY, is_descending=True),
    Column("graders", _("Graders"), lambda row: row[0].graders, note=_("last seen")),
    Column(
        "pending_replies",
        _("Not applied"),
        lambda row: row[0].pending_replies,
        note=_("replies in processing"),
        is_descending=True,
    ),
)
INTERVAL_COLUMNS = (
    Column("until", pgettext_lazy("time", "Until"), lambda row: row.end, is_descending=True),
    Column("received", _("Received"), lambda row: row.received, is_descending=True),
    Column("answered", _("Answered"), lambda row: row.answered, is_descending=True),
    Column("failed", _("Failed"), lambda row: row.failed, is_descending=True),
    Column("waiting", _("Waiting"), lambda row: row.waiting, is_descending=True),
)


class QueueFilter(forms.Form):
    """The search form of the queues."""

    queue = forms.CharField(
        label=_("Queue"), required=False, max_length=MAX_NAME, help_text=_("a part of its name")
    )

    def queues(self) -> list[tuple[QueueStats, QueueThroughput | None]]:
        """Return the queues that the form selects, all if it is invalid, with their throughput."""
        part, rates = self.cleaned_data.get("queue", "").casefold(), metrics.queue_throughputs()
        return [
            (stats, _at_rate(rates.get(stats.queue_name), stats.waiting))
            for stats in queue_stats()
            if part in stats.queue_name.casefold()
        ]


class IntervalFilter(forms.Form):
    """The search form of the numbers of a queue's last day."""

    queue = forms.CharField(widget=forms.HiddenInput)
    with_failures = forms.BooleanField(label=_("Only with failures"), required=False)

    def intervals(self, found: list[Interval]) -> list[Interval]:
        """Return those of the intervals that the form selects."""
        only_failed = self.is_valid() and self.cleaned_data["with_failures"]
        return [each for each in found if each.failed or not only_failed]


def _at_rate(rate: QueueThroughput | None, waiting: int) -> QueueThroughput | None:
    # The newest sample may be a minute old, and the row says how many submissions wait now.
    return None if rate is None else replace(rate, waiting=waiting)


@staff_required
@require_GET
def queues(request: HttpRequest) -> HttpResponse:
    """Show every queue to staff of the host: ``?queue=&sort=&order=&after=``.

    ``?partial=table`` returns only the table, which the page reloads periodically.
    """
    name = "_queue_table" if request.GET.get("partial") == "table" else "queues"
    now, swept = database_now(), heartbeat.last_seen(heartbeat.SWEEPER)
    age = None if swept is None else max((now - swept).total_seconds(), 0.0)
    form = QueueFilter(request.GET)
    status = 200 if form.is_valid() else 422
    context = {
        **table_context(request, form, form.queues(), QUEUE_COLUMNS),
        "now": now,
        "alerts": Alert.objects.filter(is_open=True).count(),
        "sweeper_seconds": age,
        "sweeper_is_late": age is not None and age > MAX_SWEEPER_AGE,
    }
    return render(request, f"xqueue_bridge/{name}.html", context, status=status)


@staff_required
@require_GET
def queues_csv(request: HttpRequest) -> HttpResponse:
    """Send the queues as a CSV file."""
    form = QueueFilter(request.GET)
    if not form.is_valid():
        return HttpResponse(status=422)
    return table_csv("grading", "queues", form.queues(), QUEUE_COLUMNS)


@staff_required
@require_GET
def queue_history(request: HttpRequest) -> HttpResponse:
    """Show the last day of the queue that ``?queue=`` names, and the actions of operators.

    404 if it has neither samples, nor submissions, nor actions, nor is it paused.
    """
    now, name = database_now(), request.GET.get("queue", "")
    found, paused_at = _last_day(name, now)
    form = IntervalFilter(request.GET)
    actions = OperatorAction.objects.filter(queue_name=name).order_by("-pk")[:SHOWN_ACTIONS]
    context = {
        **table_context(request, form, form.intervals(found), INTERVAL_COLUMNS),
        "name": name,
        "rate": metrics.queue_throughputs().get(name),
        "intervals": found,
        "is_open": bool(request.GET.keys() - {"queue"}),
        "charts": {"events": events_chart(found, now), "waiting": waiting_chart(found, now)},
        "width": WIDTH,
        "height": HEIGHT,
        "is_paused": paused_at,
        "actions": with_authors(list(actions)),
        "can_operate": is_operator(request),
        "kinds": [
            (kind, kind.label)
            for kind in TEXTS
            if kind != (Kind.PAUSE if paused_at else Kind.RESUME)
        ],
    }
    return render(request, "xqueue_bridge/queue_history.html", context)


@staff_required
@require_GET
def queue_history_csv(request: HttpRequest) -> HttpResponse:
    """Send the numbers of a queue's last day as a CSV file."""
    name = request.GET.get("queue", "")
    found, _paused_at = _last_day(name, database_now())
    rows = IntervalFilter(request.GET).intervals(found)
    return table_csv("queue", name, rows, INTERVAL_COLUMNS)


def _last_day(name: str, now: datetime) -> tuple[list[Interval], datetime | None]:
    """Return the queue's intervals and since when it is paused; raise Http404 if it is unknown."""
    if not is_valid_text(name):
        raise Http404
    samples = metrics.samples_of(name, now - SPAN - STEP)
    paused_at = submission_queue.paused_queues().get(name)
    if not (samples or paused_at or submission_queue.is_used(name)):
        # All of its submissions may have been moved away: its page says so.
        get_list_or_404(OperatorAction.objects.filter(queue_name=name)[:1])
    return intervals(samples, now), paused_at
