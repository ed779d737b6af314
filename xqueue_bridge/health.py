"""The bridge's part of the platform's extended heartbeat."""

from __future__ import annotations

from datetime import timedelta

from django.db import DatabaseError
from django.utils import timezone

from xqueue_bridge.grader_replies.models import ReceivedReply

NAME = "xqueue_bridge"
#: A reply that is overdue for this long has no sweeper that would try it.
OVERDUE = timedelta(minutes=15)


def health_check() -> tuple[str, bool, str]:
    """Return name, whether the app works, and a message; for HEARTBEAT_EXTENDED_CHECKS.

    Makes one statement. Fails if the tables cannot be read, or if replies are not applied because
    no sweeper runs.
    """
    try:
        latest = timezone.now() - OVERDUE
        is_overdue = ReceivedReply.objects.filter(next_attempt_at__lt=latest).exists()
    except DatabaseError as exc:
        return NAME, False, f"The tables cannot be read: {type(exc).__name__}"
    if is_overdue:
        return NAME, False, "Replies are overdue: is xqueue_bridge_sweep running?"
    return NAME, True, "OK"
