"""What of the queue is down, for the endpoint status."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError

from xqueue_bridge.cache import BestEffortCache, is_cache_down
from xqueue_bridge.db.transactions import retry_on_lost_connection
from xqueue_bridge.submission_queue.models import Submission


def is_database_down() -> bool:
    """Return whether the submissions table cannot be read; one statement."""
    try:
        _read_submissions()
    except (DatabaseError, InterfaceError):
        return True
    return False


def working_without() -> str:
    """Return what is down that the queue can work without; "" if nothing is."""
    BestEffortCache().get("xqueue_bridge.status")
    return "cache: is down" if is_cache_down() else ""


@retry_on_lost_connection
def _read_submissions() -> None:
    Submission.objects.values_list("pk").first()
