"""Paused queues: an operator stops their pulls, for all graders, until the queue is resumed.

A pull that had begun before the pause may still lease a submission, and the results of leased
submissions are accepted.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

from django.db.models import Exists, QuerySet

from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.protocol.fields import check_name
from xqueue_bridge.submission_queue.queue_models import QueueSettings


def is_queue_paused(queue_name: str) -> Exists:
    """Return the condition that the queue is paused."""
    return Exists(_paused().filter(queue_name=queue_name))


def pause_queue(queue_name: str) -> bool:
    """Pause a queue; return False if it is paused already. Raise InvalidField for a bad name."""
    row, _created = QueueSettings.objects.get_or_create(
        queue_name=check_name(queue_name, "queue_name")
    )
    rows = QueueSettings.objects.filter(pk=row.pk, paused_at=None)
    return bool(rows.update(paused_at=DatabaseNow()))


def resume_queue(queue_name: str) -> bool:
    """Resume a queue; return False if it is not paused."""
    name = check_name(queue_name, "queue_name")
    return bool(_paused().filter(queue_name=name).update(paused_at=None))


def paused_queues() -> dict[str, datetime]:
    """Return each paused queue and when it was paused; one statement."""
    return {row.queue_name: cast(datetime, row.paused_at) for row in _paused()}


def _paused() -> QuerySet[QueueSettings]:
    return QueueSettings.objects.filter(paused_at__isnull=False)
