"""The queue: submissions enter it, and graders pull them, by one conditional UPDATE each.

``priorities.py`` says in which order. Pulling a submission holds no transaction open.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import Case, F, When

from xqueue_bridge.conf import options, queue_options
from xqueue_bridge.data import NewSubmission, PulledSubmission, StoredFile
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.db.transactions import in_callers_transaction
from xqueue_bridge.exceptions import QueueNotFound
from xqueue_bridge.log_fields import LogFields, Step, about
from xqueue_bridge.protocol.fields import check_name, is_finite
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent, pullkey_digest
from xqueue_bridge.submission_queue.paused_queues import is_queue_paused
from xqueue_bridge.submission_queue.portable_pull import available, pull_in_steps
from xqueue_bridge.submission_queue.postgres_pull import pull_at_once
from xqueue_bridge.submission_queue.priorities import Standing, standing
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.tracing import annotate, traced
from xqueue_bridge.worker.announce import QUEUE, announce

log = logging.getLogger(__name__)

#: A longer queue is not counted completely, because the length is only shown to the learner.
LENGTH_LIMIT = 1_000
#: Queues whose submissions one statement counts.
QUEUES_IN_STATEMENT = 100


@traced("enqueue")
def enqueue(new: NewSubmission, *, is_limited: bool = True) -> int:
    """Store a submission for graders to pull; return the length of its queue, itself included.

    The files are stored first, then SubmissionContent, then Submission, which publishes it, so a
    grader never receives an incomplete submission. On an error everything is removed again. Raise
    TooManyPending if ``is_limited`` and the learner has MAX_PENDING_ANSWERS at the problem, and
    InvalidField if the queue's name is one that no grader can be granted.
    """
    check_name(new.queue_name, "queue_name")
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
        with _savepoint():
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
        files.delete_with_folder(stored, folder)
        raise
    extra = about(new.target, submission.queue_name)
    extra |= LogFields(step=Step.QUEUED, submission_id=submission.pk)
    log.info("Submission %s entered queue %s", submission.pk, submission.queue_name, extra=extra)
    annotate(extra)
    announce(f"{QUEUE}{submission.queue_name}")
    return min(before.length + 1, LENGTH_LIMIT)


def _savepoint() -> AbstractContextManager[object]:
    """Let an error leave a transaction of the caller usable, who then saves the learner's state."""
    return transaction.atomic() if in_callers_transaction() else nullcontext()


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


@traced("pull")
def pull(queue_name: str, grader_id: int | None) -> PulledSubmission | None:
    """Lease the submission that is due first to a grader; return None if there is none for it.

    Each delivery is counted and creates a new lease with a new key. A grader gets none while the
    queue is paused, or its own pulls from it are. Raise QueueContended if other graders claimed
    every submission in the windows read. Three statements, one for an empty queue; PostgreSQL: one.
    """
    annotate(LogFields(queue_name=queue_name, grader_id=grader_id))
    limits = queue_options(queue_name)
    if connection.vendor == "postgresql":
        key = secrets.token_urlsafe(24)
        pulled, is_final = pull_at_once(queue_name, grader_id, key, pullkey_digest(key), limits)
        if is_final:
            return pulled
    return pull_in_steps(queue_name, grader_id, limits)


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
    return values[0] if isinstance(values[0], int | float) and is_finite(values[0]) else None
