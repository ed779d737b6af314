"""The operators' pages: the queues now, and one queue's last day."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from xqueue_bridge.metrics import api as metrics
from xqueue_bridge.protocol.fields import is_valid_text
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.stats import queue_stats
from xqueue_bridge.views.decorators import is_operator, staff_required
from xqueue_bridge.views.queue_actions import TEXTS, Kind, shown_actions
from xqueue_bridge.views.queue_chart import (
    HEIGHT,
    SPAN,
    STEP,
    WIDTH,
    events_chart,
    intervals,
    waiting_chart,
)
from xqueue_bridge.worker import heartbeat

#: Seconds after which the page warns that the sweeper does not run.
MAX_SWEEPER_AGE = 120


@staff_required
@require_GET
def queues(request: HttpRequest) -> HttpResponse:
    """Show every queue to staff of the host.

    ``?partial=table`` returns only the table, which the page reloads periodically.
    """
    name = "_queue_table" if request.GET.get("partial") == "table" else "queues"
    now, swept = timezone.now(), heartbeat.last_seen(heartbeat.SWEEPER)
    age = None if swept is None else max((now - swept).total_seconds(), 0.0)
    rates = metrics.queue_throughputs()
    context = {
        "queues": [(stats, rates.get(stats.queue_name)) for stats in queue_stats()],
        "now": now,
        "sweeper_seconds": age,
        "sweeper_is_late": age is not None and age > MAX_SWEEPER_AGE,
    }
    return render(request, f"xqueue_bridge/{name}.html", context)


@staff_required
@require_GET
def queue_history(request: HttpRequest) -> HttpResponse:
    """Show the last day of the queue that ``?queue=`` names, and the actions of operators.

    404 if it has neither samples, nor submissions, nor is it paused.
    """
    now = timezone.now()
    name = request.GET.get("queue", "")
    if not is_valid_text(name):
        raise Http404
    samples = metrics.samples_of(name, now - SPAN - STEP)
    paused_at = submission_queue.paused_queues().get(name)
    if not (samples or paused_at or submission_queue.is_used(name)):
        raise Http404
    found = intervals(samples, now)
    context = {
        "name": name,
        "now": now,
        "rate": metrics.queue_throughputs().get(name),
        "intervals": found[::-1],
        "charts": {"events": events_chart(found, now), "waiting": waiting_chart(found, now)},
        "width": WIDTH,
        "height": HEIGHT,
        "is_paused": paused_at,
        "actions": shown_actions(name),
        "can_operate": is_operator(request),
        "kinds": [
            (kind, kind.label)
            for kind in TEXTS
            if kind != (Kind.PAUSE if paused_at else Kind.RESUME)
        ],
    }
    return render(request, "xqueue_bridge/queue_history.html", context)
