"""The operator's page with the current statistics of the queues."""

from __future__ import annotations

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from xqueue_bridge.submission_queue.stats import queue_stats

UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


@never_cache
@require_GET
def queues(request: HttpRequest) -> HttpResponse:
    """Show every queue to staff of the host; redirect other users to its login or refuse them.

    ``?part=figures`` returns only the table of figures, which the page reloads periodically.
    """
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    if not (request.user.is_active and request.user.is_staff):
        raise PermissionDenied
    page = "_queue_figures" if request.GET.get("part") == "figures" else "queues"
    rows = [(report, age(report.oldest_seconds)) for report in queue_stats()]
    return render(request, f"xqueue_bridge/{page}.html", {"rows": rows, "now": timezone.now()})


def age(seconds: float | None) -> str:
    """Format seconds in the largest unit that fits; "" for None."""
    if seconds is None:
        return ""
    for unit, length in UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return "0 s"
