"""Queue statistics and queue positions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import BooleanField, Count, ExpressionWrapper, Min, Q, QuerySet
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.db.clock import DatabaseNow, database_now
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.submission_queue.accounts import QueueGraders, graders_by_queue
from xqueue_bridge.submission_queue.grader_models import QueueGrant
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.paused_queues import paused_queues
from xqueue_bridge.submission_queue.pauses import paused_graders
from xqueue_bridge.submission_queue.portable_pull import available
from xqueue_bridge.submission_queue.states import Status

#: A grader that was not seen for this long does not poll. It is written down to the minute.
GRADER_SILENT = timedelta(minutes=5)
#: Finished submissions older than this are not counted.
RECENT = timedelta(hours=24)
#: Submissions ahead of another one that are counted, at most.
MAX_AHEAD = 1000


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
    pending_replies: int = 0
    #: Graders that get no submissions for a while, because their replies were invalid.
    paused_graders: int = 0
    #: Grants of active graders with a valid secret, for this queue or for every queue.
    graders: int = 0
    #: Seconds since one of these graders sent a valid request, to the minute; None: never.
    grader_seen_seconds: float | None = None
    #: Whether an operator has paused the queue.
    is_paused: bool = False


@dataclass(frozen=True)
class QueuePosition:
    """Position of a learner's open submission; 1 is pulled next.

    ``position`` is None while a grader holds the lease; MAX_AHEAD + 1 says that or later.
    ``has_grader`` is False if no grader that may use the queue was seen in the last minutes, or all
    are paused: then nothing moves. Nor does it if ``is_paused``: an operator has paused the queue.
    """

    queue_key: str
    position: int | None
    usage_key: UsageKey
    sent_at: datetime
    has_grader: bool = True
    is_paused: bool = False


def queue_positions(user_id: int, usage_key: UsageKey) -> list[QueuePosition]:
    """Return the positions of a learner's open submissions at a block, oldest first.

    One statement, one more for each submission that waits, and at most four more if one waits.
    """
    return _positions(Submission.objects.filter(usage_key=usage_key), user_id)


def queue_positions_in_course(user_id: int, course_key: LearningContextKey) -> list[QueuePosition]:
    """Return the positions of a learner's open submissions in a course, oldest first."""
    return _positions(Submission.objects.filter(course_key=course_key), user_id)


def has_open_submissions(user_id: int, usage_key: UsageKey) -> bool:
    """Return whether the learner has a submission at the block that is not finished."""
    rows = Submission.objects.filter(user_id=user_id, usage_key=usage_key)
    return rows.filter(available_at__isnull=False, is_replaced=False).exists()


def _positions(submissions: QuerySet[Submission], user_id: int) -> list[QueuePosition]:
    rows = submissions.filter(
        user_id=user_id, available_at__isnull=False, is_replaced=False, regrade_of=None
    )
    found = list(with_is_held(rows).order_by("pk"))
    waiting = {row.queue_name for row in found if not row.is_held}
    unattended, paused = without_graders(waiting), paused_queues() if waiting else {}
    return [
        QueuePosition(
            row.queue_key,
            None if row.is_held else position_of(row),
            row.usage_key,
            row.created_at,
            row.is_held or row.queue_name not in unattended,
            not row.is_held and row.queue_name in paused,
        )
        for row in found
    ]


def with_is_held(submissions: QuerySet[Submission]) -> QuerySet[Any]:
    """Return the submissions with ``is_held``, which says whether a grader has a lease of it."""
    is_held = Q(status=Status.LEASED, available_at__gt=DatabaseNow()) & ~Q(pullkey_digest="")
    return submissions.annotate(is_held=ExpressionWrapper(is_held, output_field=BooleanField()))


def position_of(row: Submission) -> int:
    """Return the position of a submission that waits, MAX_AHEAD + 1 at most.

    One statement, which reads MAX_AHEAD entries of the work index at most.
    """
    first = available(row.queue_name, DatabaseNow()).filter(due_at__lte=row.due_at)[:MAX_AHEAD]
    same_time = Q(available_at__lt=row.available_at) | Q(
        available_at=row.available_at, pk__lt=row.pk
    )
    # Counted among the first rows. As their condition, it would let PostgreSQL read all rows that
    # are due at the same time, such as those that were requeued together.
    ahead = Q(due_at__lt=row.due_at) | Q(same_time, due_at=row.due_at)
    return int(first.aggregate(ahead=Count("pk", filter=ahead))["ahead"]) + 1


def without_graders(queue_names: Collection[str]) -> set[str]:
    """Return those of the queues from which no grader pulls now; three statements at most."""
    if not queue_names:
        return set()
    graders, paused = graders_by_queue(), paused_graders()
    of_every_queue = graders.get(QueueGrant.EVERY_QUEUE, QueueGraders())
    latest = database_now() - GRADER_SILENT

    def is_silent(name: str) -> bool:
        allowed = graders.get(name, QueueGraders()) + of_every_queue
        seen = allowed.last_seen_at
        return seen is None or seen < latest or len(paused.get(name, ())) >= allowed.count

    silent = {name for name in queue_names if is_silent(name)}
    if not silent:
        return set()
    # A grader that works on one submission for long does not poll meanwhile.
    held = Submission.objects.filter(
        queue_name__in=silent, status=Status.LEASED, available_at__gt=DatabaseNow()
    ).exclude(pullkey_digest="")
    return silent - set(held.values_list("queue_name", flat=True))


def queue_stats() -> list[QueueStats]:
    """Return the statistics of each queue with open or recent submissions, sorted by name.

    Paused queues are included. Names that only unmatched submissions have are not, because any
    client can make them up; nor is the empty one, which some legacy XQueue servers send.
    """
    now, here = DatabaseNow(), database_now()
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
    pending = grader_replies.pending_by_queue(except_of=Status.UNMATCHED)
    paused, paused_since = paused_graders(), paused_queues()
    graders = graders_by_queue()
    of_every_queue = graders.pop(QueueGrant.EVERY_QUEUE, QueueGraders())
    reports = []
    names = set().union(unfinished, finished, pending, paused, paused_since)
    for queue_name in sorted(names - {""}):
        counts = {**unfinished.get(queue_name, {}), **finished.get(queue_name, {})}
        oldest = counts.pop("oldest", None)
        allowed = graders.get(queue_name, QueueGraders()) + of_every_queue
        reports.append(
            QueueStats(
                queue_name,
                oldest_seconds=_seconds_since(oldest, here),
                pending_replies=pending.get(queue_name, 0),
                paused_graders=len(paused.get(queue_name, ())),
                graders=allowed.count,
                grader_seen_seconds=_seconds_since(allowed.last_seen_at, here),
                is_paused=queue_name in paused_since,
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
