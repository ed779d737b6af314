"""Queue statistics and queue positions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BooleanField, Count, ExpressionWrapper, Min, Q, QuerySet
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.submission_queue.accounts import QueueGraders, graders_by_queue
from xqueue_bridge.submission_queue.grader_models import QueueGrant
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.pauses import paused_by_queue
from xqueue_bridge.submission_queue.states import Status

#: Finished submissions older than this are not counted.
RECENT = timedelta(hours=24)


@dataclass(frozen=True)
class QueueStats:
    """Statistics of one queue; ``answered`` and ``failed`` count the last 24 hours."""

    queue_name: str
    waiting: int = 0
    leased: int = 0
    #: Age in seconds of the oldest waiting submission; None if the queue is empty.
    oldest_seconds: float | None = None
    answered: int = 0
    failed: int = 0
    #: Stored replies that are not yet applied to the learner's state.
    undelivered: int = 0
    #: Graders that get no submissions for a while, because their replies were invalid.
    paused_graders: int = 0
    #: Grants of active graders with a valid secret, for this queue or for every queue.
    graders: int = 0
    #: Seconds since one of these graders sent a valid request, to the minute; None: never.
    grader_seen_seconds: float | None = None


@dataclass(frozen=True)
class QueuePosition:
    """Position of a learner's open submission; 1 is pulled next.

    ``position`` is None while a grader holds the lease.
    """

    queue_key: str
    position: int | None


def queue_positions(user_id: int, usage_key: UsageKey) -> list[QueuePosition]:
    """Return the positions of a learner's open submissions at a block, oldest first."""
    is_held = Q(status=Status.LEASED, available_at__gt=DatabaseNow()) & ~Q(pullkey_digest="")
    rows = Submission.objects.filter(
        user_id=user_id, usage_key=usage_key, available_at__isnull=False, is_replaced=False
    ).annotate(is_held=ExpressionWrapper(is_held, output_field=BooleanField()))
    return [
        QueuePosition(row.queue_key, None if row.is_held else _position_of(row))
        for row in rows.order_by("pk")
    ]


def _position_of(row: Submission) -> int:
    ahead = Q(available_at__lt=row.available_at) | Q(available_at=row.available_at, pk__lt=row.pk)
    return Submission.objects.filter(ahead, queue_name=row.queue_name).count() + 1


def queue_stats() -> list[QueueStats]:
    """Return the statistics of each queue with open or recent submissions, sorted by name."""
    now, here = DatabaseNow(), timezone.now()
    unfinished = by_queue(
        # Filtered by status, which leads an index; the work index would be read completely.
        Submission.objects.filter(status__in=[Status.WAITING, Status.LEASED]),
        waiting=Count("pk", filter=Q(available_at__lte=now)),
        leased=Count("pk", filter=Q(available_at__gt=now, status=Status.LEASED)),
        oldest=Min("created_at", filter=Q(available_at__lte=now)),
    )
    finished = by_queue(
        Submission.objects.filter(
            status__in=[Status.ANSWERED, Status.FAILED], finished_at__gte=here - RECENT
        ),
        answered=Count("pk", filter=Q(status=Status.ANSWERED)),
        failed=Count("pk", filter=Q(status=Status.FAILED)),
    )
    undelivered = grader_replies.undelivered_by_queue()
    paused = paused_by_queue()
    graders = graders_by_queue()
    of_every_queue = graders.pop(QueueGrant.EVERY_QUEUE, QueueGraders())
    reports = []
    for queue_name in sorted(
        unfinished.keys() | finished.keys() | undelivered.keys() | paused.keys()
    ):
        counts = {**unfinished.get(queue_name, {}), **finished.get(queue_name, {})}
        oldest = counts.pop("oldest", None)
        allowed = graders.get(queue_name, QueueGraders()) + of_every_queue
        reports.append(
            QueueStats(
                queue_name,
                oldest_seconds=_seconds_since(oldest, here),
                undelivered=undelivered.get(queue_name, 0),
                paused_graders=paused.get(queue_name, 0),
                graders=allowed.count,
                grader_seen_seconds=_seconds_since(allowed.last_seen_at, here),
                **counts,
            )
        )
    return reports


def _seconds_since(time: datetime | None, now: datetime) -> float | None:
    return None if time is None else max((now - time).total_seconds(), 0.0)


def by_queue(submissions: QuerySet[Submission], **figures: object) -> dict[str, dict[str, Any]]:
    """Return aggregates of ``submissions`` for each queue; one statement."""
    rows = submissions.order_by().values("queue_name").annotate(**figures)
    return {
        row["queue_name"]: {name: value for name, value in row.items() if name in figures}
        for row in rows
    }
