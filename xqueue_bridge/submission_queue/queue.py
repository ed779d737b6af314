"""The queue: each status transition of a submission, made by one conditional UPDATE.

Pulling a submission locks no row and holds no transaction open. A grader's pull reads a window of
the work index and claims a row on the condition that it is unclaimed. If another pull was first,
the UPDATE matches no row and the next row is tried.
"""

from __future__ import annotations

import hashlib
import logging
import random
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.conf import options, queue_options
from xqueue_bridge.data import NewSubmission, PulledSubmission, StoredFile
from xqueue_bridge.exceptions import QueueContended, QueueNotFound
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.signals import submission_failed
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status, sources_of

log = logging.getLogger(__name__)

#: Rows of the work index read in one round. With more concurrent graders than this, a pull may
#: miss free rows and needs another round.
CLAIM_WINDOW = 32
#: Rounds after which a pull raises QueueContended.
CLAIM_ROUNDS = 5
#: A longer queue is not counted completely, because the length is only shown to the learner.
LENGTH_LIMIT = 10_000


def enqueue(new: NewSubmission) -> int:
    """Store a submission for graders to pull; return the length of its queue, itself included.

    The files are stored first, then SubmissionContent, then Submission, which publishes it, so a
    grader never receives an incomplete submission. On an error everything is removed again.
    """
    if not is_known_queue(new.queue_name):
        raise QueueNotFound(f"Queue '{new.queue_name}' not found")
    stored: list[StoredFile] = []
    content = None
    try:
        for upload in new.files:
            stored.append(files.store_file(upload))
        content = SubmissionContent.objects.create(
            header=new.header,
            body=new.body,
            points=dict(new.points),
            files=[[file.name, file.storage_name, file.size] for file in stored],
        )
        now = timezone.now()
        submission = Submission.objects.create(
            content=content,
            queue_name=new.queue_name,
            status=Status.WAITING,
            available_at=now,
            created_at=now,
            user_id=new.target.user_id,
            course_key=new.target.course_key,
            usage_key=new.target.usage_key,
            dispatch=new.target.dispatch,
            queue_key=new.queue_key,
        )
    except BaseException:  # also when a worker is terminated
        # In a caller's transaction that is already broken, the rollback removes the row.
        if content is not None and not connection.needs_rollback:
            content.delete()
        files.delete_files(stored)
        raise
    log.info("Submission %s entered queue %s", submission.pk, submission.queue_name)
    try:
        return _available(new.queue_name, now)[:LENGTH_LIMIT].count()
    except DatabaseError:  # the submission is stored even if counting fails
        return 1


def is_known_queue(queue_name: str) -> bool:
    """Return whether the bridge accepts submissions to this queue."""
    return not options().REJECT_UNKNOWN_QUEUES or queue_name in options().QUEUES


def queue_length(queue_name: str) -> int:
    """Return how many submissions a grader could pull now: not leased, not delayed."""
    return _available(queue_name, timezone.now()).count()


def pull(queue_name: str, grader_id: int | None) -> PulledSubmission | None:
    """Lease the queue's oldest submission to a grader; return None if the queue is empty.

    Each delivery is counted and creates a new lease with a new key. Raise QueueContended if
    other graders claimed every submission in the windows read.
    """
    most = queue_options(queue_name).MAX_DELIVERIES
    for _round in range(CLAIM_ROUNDS):
        now = timezone.now()
        window = list(
            _available(queue_name, now).values_list("pk", "deliveries", "content_id")[:CLAIM_WINDOW]
        )
        if not window:
            return None
        # The oldest first, the rest in random order, so that concurrent pulls do not collide
        # again and again.
        oldest, *rest = window
        random.shuffle(rest)
        for submission_id, deliveries, content_id in (oldest, *rest):
            if deliveries >= most:
                _fail(submission_id, deliveries, now)
            elif pullkey := _claim(submission_id, deliveries, queue_name, grader_id, now):
                content = SubmissionContent.objects.only("body", "files").get(pk=content_id)
                return PulledSubmission(
                    submission_id, deliveries + 1, pullkey, content.body, content.stored_files()
                )
    raise QueueContended


def pullkey_digest(pullkey: str) -> str:
    """Return the stored digest of a pullkey, an unsalted hash of a long random text."""
    return hashlib.sha256(pullkey.encode("utf-8", "surrogatepass")).hexdigest()


def fail_exhausted(limit: int = 100) -> int:
    """Fail submissions that were delivered as often as allowed; return their number.

    Used by the sweeper; in a queue that graders poll, ``pull`` does the same.
    """
    now = timezone.now()
    # Most expired leases can be delivered again and may be numerous: filter by the lowest maximum.
    of_queues = [queue_options(name).MAX_DELIVERIES for name in options().QUEUES]
    fewest = min([options().MAX_DELIVERIES, *of_queues])
    ended = Submission.objects.filter(
        status=Status.LEASED, available_at__lte=now, deliveries__gte=fewest
    )
    failed_count = 0
    for pk, deliveries, queue_name in ended.values_list("pk", "deliveries", "queue_name"):
        if deliveries >= queue_options(queue_name).MAX_DELIVERIES:
            failed_count += _fail(pk, deliveries, now)
        if failed_count == limit:
            break
    return failed_count


def supersede_replaced(user_id: int, usage_key: UsageKey, waiting_keys: Collection[str]) -> None:
    """Supersede the submissions that a learner's newest answer at a block has replaced.

    ``waiting_keys`` are the queue keys that the saved state waits for. Only submissions older
    than one of those are superseded, because the state of a newer one may not be saved yet. A
    superseded submission that the state still waits for (two requests crossed) is requeued.
    """
    rows = list(
        Submission.objects.filter(user_id=user_id, usage_key=usage_key).values_list(
            "pk", "status", "dispatch", "queue_key"
        )
    )
    newest_waited_for: dict[str, int] = {}
    for pk, _status, dispatch, queue_key in rows:
        if queue_key in waiting_keys:
            newest_waited_for[dispatch] = max(pk, newest_waited_for.get(dispatch, 0))
    replaced = [
        pk
        for pk, status, dispatch, queue_key in rows
        if status == Status.WAITING
        and queue_key not in waiting_keys
        and pk < newest_waited_for.get(dispatch, 0)
    ]
    wanted = [
        pk
        for pk, status, _dispatch, queue_key in rows
        if status == Status.SUPERSEDED and queue_key in waiting_keys
    ]
    if replaced:
        Submission.objects.filter(pk__in=replaced, status=Status.WAITING).update(
            status=Status.SUPERSEDED, available_at=None, finished_at=timezone.now()
        )
    if wanted:
        _offer_again(wanted, (Status.SUPERSEDED,))


def supersede_open(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> int:
    """Supersede a learner's open submissions at a block; return their number.

    Used when the state is deleted. A grader that holds a lease may still post its result. A
    submission that a saved state waits for again (from a page loaded earlier) is requeued.
    """
    return Submission.objects.filter(
        user_id=user_id,
        usage_key=usage_key,
        course_key=course_key,
        status__in=(Status.WAITING, Status.LEASED),
    ).update(status=Status.SUPERSEDED, available_at=None, finished_at=timezone.now())


def requeue(submission_ids: Collection[int]) -> int:
    """Requeue failed submissions and reset their delivery count; return how many changed."""
    return _offer_again(submission_ids, sources_of(Status.WAITING))


def _available(queue_name: str, now: datetime) -> QuerySet[Submission]:
    """Return the submissions that the work index offers, in the order of delivery."""
    return Submission.objects.filter(queue_name=queue_name, available_at__lte=now).order_by(
        "available_at", "pk"
    )


def _offer_again(submission_ids: Collection[int], statuses: Collection[Status]) -> int:
    """Set submissions to WAITING and reset their delivery count; return their number.

    Without the reset, a submission at MAX_DELIVERIES would neither be delivered nor fail, because
    only leased submissions fail. The previous lease's key becomes invalid.
    """
    return Submission.objects.filter(pk__in=submission_ids, status__in=statuses).update(
        status=Status.WAITING,
        available_at=timezone.now(),
        finished_at=None,
        deliveries=0,
        pullkey_digest="",
    )


def _claim(
    submission_id: int, deliveries: int, queue_name: str, grader_id: int | None, now: datetime
) -> str | None:
    """Lease a submission and return its new pullkey; None if another pull claimed it first."""
    pullkey = secrets.token_urlsafe(24)
    claimed = Submission.objects.filter(
        pk=submission_id,
        deliveries=deliveries,
        available_at__lte=now,
        status__in=sources_of(Status.LEASED),
    ).update(
        status=Status.LEASED,
        available_at=now + timedelta(seconds=queue_options(queue_name).LEASE_SECONDS),
        deliveries=deliveries + 1,
        pullkey_digest=pullkey_digest(pullkey),
        grader_id=grader_id,
        leased_at=now,
    )
    if not claimed:
        return None
    log.info("Submission %s leased to grader %s", submission_id, grader_id)
    return pullkey


def _fail(submission_id: int, deliveries: int, now: datetime) -> bool:
    """Fail a submission and store a failure reply; return False if its state has changed."""
    with transaction.atomic():
        failed = Submission.objects.filter(
            pk=submission_id,
            deliveries=deliveries,
            available_at__lte=now,
            status__in=sources_of(Status.FAILED),
        ).update(status=Status.FAILED, available_at=None, finished_at=now)
        if not failed:
            return False
        grader_replies.store_failure_reply(submission_id)  # INSERT; applied after commit
        transaction.on_commit(lambda: _announce_failure(submission_id))
    log.warning("Submission %s failed after %s deliveries", submission_id, deliveries)
    return True


def _announce_failure(submission_id: int) -> None:
    submission_failed.send_robust(
        Submission, submission_id=submission_id, reason="handed out too often without a result"
    )
