"""The operator's page with the current statistics of the queues."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_GET

from xqueue_bridge.submission_queue.stats import queue_stats
from xqueue_bridge.views.decorators import staff_required


@staff_required
@require_GET
def queues(request: HttpRequest) -> HttpResponse:
    """Show every queue to staff of the host.

    ``?partial=table`` returns only the table, which the page reloads periodically.
    """
    name = "_queue_table" if request.GET.get("partial") == "table" else "queues"
    context = {"queues": queue_stats(), "now": timezone.now()}
    return render(request, f"xqueue_bridge/{name}.html", context)
