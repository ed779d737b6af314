"""The queue: submissions enter it, and graders pull them, by one conditional UPDATE each.

``priorities.py`` says in which order. Pulling a submission holds no transaction open. A grader's
pull reads a window of the work index and claims a row on the condition that it is unclaimed. If
another pull was first, the UPDATE matches no row and the next row is tried.
"""

from __future__ import annotations

import logging
import random
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import isfinite
from typing import Any, TypeAlias

from django.db import DatabaseError, connection
from django.db.models import BooleanField, Case, ExpressionWrapper, F, Q, QuerySet, When

from xqueue_bridge.conf import options, queue_options
from xqueue_bridge.data import NewSubmission, PulledSubmission, StoredFile
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.exceptions import QueueContended, QueueNotFound
from xqueue_bridge.log_fields import LogFields, Step, about
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.finish import fail, has_time_left, supersede_expired
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent, pullkey_digest
from xqueue_bridge.submission_queue.paused_queues import is_queue_paused
from xqueue_bridge.submission_queue.pauses import is_paused
from xqueue_bridge.submission_queue.postgres_pull import log_pull, pull_at_once
from xqueue_bridge.submission_queue.priorities import Standing, standing
from xqueue_bridge.submission_queue.states import Status, sources_of
from xqueue_bridge.worker.announce import QUEUE, announce

log = logging.getLogger(__name__)

#: Rows of the work index read in one round. With more concurrent graders than this, a pull may
#: miss free rows and needs another round.
CLAIM_WINDOW = 32
#: Rounds after which a pull raises QueueContended.
CLAIM_ROUNDS = 5
#: A longer queue is not counted completely, because the length is only shown to the learner.
LENGTH_LIMIT = 1_000
#: Queues whose submissions one statement counts.
QUEUES_IN_STATEMENT = 100

#: Every open submission is due after this; a condition that each database reads the index with.
_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)

#: Id, deliveries, id of the content, ``is_replaced``, whether its time has passed, ``regrade_of``.
Offered: TypeAlias = tuple[int, int, int, bool, bool, int | None]


def enqueue(new: NewSubmission, *, is_limited: bool = True) -> int:
    """Store a submission for graders to pull; return the length of its queue, itself included.

    The files are stored first, then SubmissionContent, then Submission, which publishes it, so a
    grader never receives an incomplete submission. On an error everything is removed again. Raise
    TooManyPending if ``is_limited`` and the learner has MAX_PENDING_ANSWERS at the problem.
    """
    if not is_known_queue(new.queue_name):
        raise QueueNotFound(f"Queue '{new.queue_name}' not found")
    before = _standing(new)
    if is_limited:
        before.check()
    stored: list[StoredFile] = []
    folder = files.new_folder() if new.files else ""
    content = None
    try:
        for upload in new.files:
            stored.append(files.store_file(upload, folder))
        content = SubmissionContent.objects.create(
            header=new.header,
            body=new.body,
            points=dict(new.points),
            files=[[file.name, file.storage_name, file.size] for file in stored],
            files_folder=folder,
        )
        submission = _publish(new, content, before.delay)
    except BaseException:  # also when a worker is terminated
        # In a caller's transaction that is already broken, the rollback removes the row.
        if content is not None and not connection.needs_rollback:
            content.delete()
        files.delete_files(stored)
        raise
    log.info(
        "Submission %s entered queue %s",
        submission.pk,
        submission.queue_name,
        extra=about(new.target, submission.queue_name)
        | LogFields(step=Step.QUEUED, submission_id=submission.pk),
    )
    announce(f"{QUEUE}{submission.queue_name}")
    return min(before.length + 1, LENGTH_LIMIT)


def _standing(new: NewSubmission) -> Standing:
    try:
        return standing(new, available(new.queue_name, DatabaseNow())[:LENGTH_LIMIT])
    except DatabaseError:  # the submission is stored even if counting fails
        return Standing()


def _publish(new: NewSubmission, content: SubmissionContent, delay: timedelta) -> Submission:
    now, transports = DatabaseNow(), Submission.Transport
    max_age = timedelta(seconds=queue_options(new.queue_name).MAX_AGE_SECONDS)
    return Submission.objects.create(
        content=content,
        transport=transports.SUBMIT if new.answers_by_callback else transports.TABLE,
        queue_name=new.queue_name,
        status=Status.WAITING,
        available_at=now,
        due_at=now.plus(delay),
        retry_until=now.plus(max_age),
        created_at=now,
        user_id=new.target.user_id,
        course_key=new.target.course_key,
        usage_key=new.target.usage_key,
        dispatch=new.target.dispatch,
        queue_key=new.queue_key,
    )


def is_known_queue(queue_name: str) -> bool:
    """Return whether the bridge accepts submissions to this queue."""
    return not options().REJECT_UNKNOWN_QUEUES or queue_name in options().QUEUES


def queue_length(queue_name: str) -> int:
    """Return how many submissions a grader could pull now: not leased, not delayed."""
    return available(queue_name, DatabaseNow()).count()


def available_counts(limits: Mapping[str, int]) -> dict[str, int]:
    """Return how many submissions each queue offers, counted up to its limit; none while paused.

    One statement for each QUEUES_IN_STATEMENT queues; it reads no more rows than the limits.
    """
    now, names = DatabaseNow(), list(limits)
    found: list[int] = []
    for batch in chunks(names, QUEUES_IN_STATEMENT):
        parts: list[str] = []
        parameters: list[Any] = []
        for name in batch:
            rows = available(name, now).filter(~is_queue_paused(name)).values("pk")
            sql, values = rows[: limits[name]].query.sql_with_params()
            parts.append(f"(SELECT COUNT(*) FROM ({sql}) AS offered)")  # noqa: S608
            parameters += values
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(parts)}", parameters)
            found += cursor.fetchone()
    return dict(zip(names, found, strict=True))


def give_back(pulled: PulledSubmission) -> bool:
    """End a lease whose submission no grader has received, as if it had not been delivered.

    An answer is the first of its queue again; a regrade is not, so that it passes no answer. Return
    False if its state has changed; one statement.
    """
    given_back = Submission.objects.filter(
        pk=pulled.submission_id,
        status=Status.LEASED,
        deliveries=pulled.delivery,
        pullkey_digest=pullkey_digest(pulled.pullkey),
    ).update(
        available_at=DatabaseNow(),
        due_at=Case(When(regrade_of=None, then=F("created_at")), default=F("due_at")),
        deliveries=pulled.delivery - 1,
        pullkey_digest="",
    )
    if given_back:
        pk = pulled.submission_id
        extra = LogFields(step=Step.GIVEN_BACK, submission_id=pk)
        log.info("Submission %s was given back: its grader was gone", pk, extra=extra)
    return bool(given_back)


def pull(queue_name: str, grader_id: int | None) -> PulledSubmission | None:
    """Lease the submission that is due first to a grader; return None if there is none for it.

    Each delivery is counted and creates a new lease with a new key. A grader gets none while the
    queue is paused, or its own pulls from it are. Raise QueueContended if other graders claimed
    every submission in the windows read. Three statements, one for an empty queue; PostgreSQL: one.
    """
    limits = queue_options(queue_name)
    if connection.vendor == "postgresql":
        key = secrets.token_urlsafe(24)
        pulled, is_final = pull_at_once(queue_name, grader_id, key, pullkey_digest(key), limits)
        if is_final:
            return pulled
    for _round in range(CLAIM_ROUNDS):
        now = DatabaseNow()
        window = list(_window(queue_name, grader_id, now))
        if not window:
            return None
        for submission_id, deliveries, content_id, is_replaced, is_expired, _ in _ordered(window):
            if is_replaced:
                supersede_expired(submission_id, deliveries)
            elif deliveries >= limits.MAX_DELIVERIES or (
                deliveries and is_expired and not has_time_left(submission_id, queue_name)
            ):
                fail(submission_id, deliveries)
            elif pullkey := _claim(submission_id, deliveries, queue_name, grader_id, now):
                return _pulled(submission_id, deliveries + 1, pullkey, content_id)
    raise QueueContended


def _pulled(submission_id: int, delivery: int, pullkey: str, content_id: int) -> PulledSubmission:
    """Return what a grader gets of a submission that it has leased; one statement."""
    content = SubmissionContent.objects.only("body", "files", "points").get(pk=content_id)
    return PulledSubmission(
        submission_id, delivery, pullkey, content.body, content.stored_files(), content.points
    )


def max_score(queue_name: str, points: Mapping[str, float]) -> float | None:
    """Return the highest score that counts in a result; None if it is not known.

    Which answer of a problem was submitted is only known when the reply is applied, so several
    answers that are worth different points have no maximum here.
    """
    if queue_options(queue_name).SCORE_SCALE == "fraction":
        return 1
    values = list(points.values())
    if not values or any(value != values[0] for value in values):
        return None
    return values[0] if isinstance(values[0], int | float) and isfinite(values[0]) else None


def _ordered(window: Sequence[Offered]) -> Iterator[Offered]:
    """Yield the rows of a window in the order in which a pull tries them.

    The first of the window is first. The rest is in random order, so that concurrent pulls do not
    collide again and again; answers come before regrades.
    """
    yield from window[:1]
    rest = list(window[1:])
    random.shuffle(rest)
    yield from sorted(rest, key=lambda row: row[-1] is not None)


def _window(
    queue_name: str, grader_id: int | None, now: DatabaseNow
) -> QuerySet[Submission, Offered]:
    """Return what a grader may claim, or what has to be finished instead; one statement."""
    is_expired = ExpressionWrapper(Q(retry_until__lte=now), output_field=BooleanField())
    window = available(queue_name, now).filter(
        ~is_queue_paused(queue_name), ~is_paused(grader_id, queue_name)
    )
    return window.annotate(is_expired=is_expired).values_list(
        "pk", "deliveries", "content_id", "is_replaced", "is_expired", "regrade_of"
    )[:CLAIM_WINDOW]


def available(queue_name: str, now: DatabaseNow) -> QuerySet[Submission]:
    """Return the submissions that the work index offers, in the order of delivery."""
    return Submission.objects.filter(
        queue_name=queue_name, due_at__gt=_BEGIN, available_at__lte=now
    ).order_by("due_at", "available_at", "pk")


def _claim(
    submission_id: int, deliveries: int, queue_name: str, grader_id: int | None, now: DatabaseNow
) -> str | None:
    """Lease a submission and return its new pullkey; None if another pull claimed it first."""
    pullkey = secrets.token_urlsafe(24)
    lease_end = now.plus(timedelta(seconds=queue_options(queue_name).LEASE_SECONDS))
    claimed = Submission.objects.filter(
        pk=submission_id,
        deliveries=deliveries,
        available_at__lte=now,
        status__in=sources_of(Status.LEASED),
    ).update(
        status=Status.LEASED,
        available_at=lease_end,
        due_at=lease_end,
        deliveries=deliveries + 1,
        pullkey_digest=pullkey_digest(pullkey),
        grader_id=grader_id,
        leased_at=now,
    )
    if not claimed:
        return None
    log_pull(submission_id, queue_name, grader_id)
    return pullkey
