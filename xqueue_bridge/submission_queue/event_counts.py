"""Counts of what happened in a queue in an interval, for its metrics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, F, Q, Sum

from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.submission_queue.stats import by_queue


@dataclass(frozen=True)
class FinishedCount:
    """Submissions of a queue that were finished in an interval, and their summed seconds."""

    answered: int = 0
    failed: int = 0
    #: From the last delivery to the result, and from sending to that delivery; answered ones.
    grading_seconds: float = 0.0
    waiting_seconds: float = 0.0


@dataclass(frozen=True)
class EventCounts:
    """What happened in an interval, by queue."""

    received: dict[str, int]
    finished: dict[str, FinishedCount]
    #: The newest submission before the end of the interval; 0: there is none.
    last_id: int


def count_events(since: datetime, until: datetime, *, after_id: int | None) -> EventCounts:
    """Count what was received and finished from ``since`` to before ``until``; three statements.

    Only submissions after ``after_id`` count as received; None: none do, because the time of
    sending has no index. The costs grow with the length of the interval, not with the tables.
    """
    sent = Submission.objects.filter(pk__gt=after_id or 0, created_at__lt=until)
    newest = sent.order_by("-pk").values_list("pk", flat=True).first()
    received = {} if after_id is None else by_queue(sent, received=Count("pk"))
    spent = F("finished_at") - F("leased_at")
    finished = by_queue(
        Submission.objects.filter(
            status__in=[Status.ANSWERED, Status.FAILED],
            finished_at__gte=since,
            finished_at__lt=until,
        ),
        answered=Count("pk", filter=Q(status=Status.ANSWERED)),
        failed=Count("pk", filter=Q(status=Status.FAILED)),
        grading=Sum(spent, filter=Q(status=Status.ANSWERED)),
        waiting=Sum(F("leased_at") - F("created_at"), filter=Q(status=Status.ANSWERED)),
    )
    return EventCounts(
        {name: row["received"] for name, row in received.items()},
        {
            name: FinishedCount(
                row["answered"], row["failed"], _seconds(row["grading"]), _seconds(row["waiting"])
            )
            for name, row in finished.items()
        },
        newest or after_id or 0,
    )


def _seconds(time: timedelta | None) -> float:
    return max(time.total_seconds(), 0.0) if time else 0.0
