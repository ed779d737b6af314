"""Paused queues: an operator stops their pulls, for all graders, until the queue is resumed.

A pull that had begun before the pause may still lease a submission, and the results of leased
submissions are accepted. The time of a pause does not count for MAX_AGE_SECONDS.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import cast

from django.db import transaction
from django.db.models import Exists, QuerySet

from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.db.prepared import Parameter
from xqueue_bridge.protocol.fields import check_name
from xqueue_bridge.submission_queue.queue_models import QueuePause, QueueSettings

#: Past pauses that ended longer ago are deleted when their queue is resumed.
KEEP = timedelta(days=730)


def is_queue_paused(queue_name: str | Parameter) -> Exists:
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
    """Resume a queue and store its pause; return False if it is not paused. Four statements."""
    name = check_name(queue_name, "queue_name")
    with transaction.atomic():
        row = _paused().select_for_update().filter(queue_name=name).first()
        if row is None or row.paused_at is None:
            return False
        QueuePause.objects.filter(queue_name=name, resumed_at__lt=DatabaseNow(-KEEP)).delete()
        QueuePause.objects.create(
            queue_name=name, paused_at=row.paused_at, resumed_at=DatabaseNow()
        )
        QueueSettings.objects.filter(pk=row.pk).update(paused_at=None)
    return True


def past_pauses(queue_name: str) -> list[tuple[datetime, datetime]]:
    """Return when each stored pause of the queue began and ended; one statement."""
    rows = QueuePause.objects.filter(queue_name=queue_name)
    return list(rows.values_list("paused_at", "resumed_at"))


def time_paused(pauses: Iterable[tuple[datetime, datetime]], since: datetime) -> timedelta:
    """Return how much of the pauses was after ``since``."""
    lengths = (end - max(begin, since) for begin, end in pauses if end > since)
    return sum(lengths, timedelta(0))


def paused_queues() -> dict[str, datetime]:
    """Return each paused queue and when it was paused; one statement."""
    return {row.queue_name: cast(datetime, row.paused_at) for row in _paused()}


def _paused() -> QuerySet[QueueSettings]:
    return QueueSettings.objects.filter(paused_at__isnull=False)
