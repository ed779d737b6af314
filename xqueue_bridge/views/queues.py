"""The operator's page with the current statistics of the queues."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from xqueue_bridge.submission_queue.stats import queue_stats
from xqueue_bridge.views.decorators import staff_required
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
    context = {
        "queues": queue_stats(),
        "now": now,
        "sweeper_seconds": age,
        "sweeper_is_late": age is not None and age > MAX_SWEEPER_AGE,
    }
    return render(request, f"xqueue_bridge/{name}.html", context)
