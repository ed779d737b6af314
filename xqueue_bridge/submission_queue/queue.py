"""The queue: every legal change of a submission's status, each one conditional UPDATE.

No row is locked and no transaction held to hand out a submission. A puller reads a window of
the work index and claims a row on condition that nobody has claimed it since; whoever comes
second matches nothing and takes the next.
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

#: Rows of the work index that one look takes in. More graders than this may miss one another's
#: leftovers and look again.
WINDOW = 32
#: Looks before a puller says that others were always faster.
CLAIM_ROUNDS = 5
#: A longer queue is not counted to its end for a message that a learner glances at.
LENGTH_LIMIT = 10_000


def enqueue(new: NewSubmission) -> int:
    """Store a submission for graders to pull; return the length of its queue, itself included.

    Files first, then the wide row, then the narrow row, which publishes: a grader never meets
    a submission that is not complete. Whatever fails, nothing is left behind.
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
    except BaseException:  # also of a worker that is told to stop
        # In a transaction of the caller's that is broken by now, the row goes with it.
        if content is not None and not connection.needs_rollback:
            content.delete()
        files.delete_files(stored)
        raise
    log.info("Submission %s entered queue %s", submission.pk, submission.queue_name)
    try:
        return _available(new.queue_name, now)[:LENGTH_LIMIT].count()
    except DatabaseError:  # the submission is in the queue, whatever its length
        return 1


def is_known_queue(queue_name: str) -> bool:
    """Return whether submissions to this queue are accepted."""
    return not options().REJECT_UNKNOWN_QUEUES or queue_name in options().QUEUES


def queue_length(queue_name: str) -> int:
    """Return how many submissions a grader could have now: not leased, not delayed."""
    return _available(queue_name, timezone.now()).count()


def pull(queue_name: str, grader_id: int | None) -> PulledSubmission | None:
    """Lease the queue's oldest submission to a grader; None if there is none.

    Each hand-out is a new lease with a new key, and is counted. Raises QueueContended if
    other graders took every submission that was looked at.
    """
    most = queue_options(queue_name).MAX_DELIVERIES
    for _look in range(CLAIM_ROUNDS):
        now = timezone.now()
        window = list(
            _available(queue_name, now).values_list("pk", "deliveries", "content_id")[:WINDOW]
        )
        if not window:
            return None
        # The oldest first. Where somebody else has it, pullers that try the rest in the same
        # order would go on meeting each other.
        oldest, *rest = window
        random.shuffle(rest)
        for submission_id, deliveries, content_id in (oldest, *rest):
            if deliveries >= most:
                _give_up(submission_id, deliveries, now)
            elif pullkey := _claim(submission_id, deliveries, queue_name, grader_id, now):
                content = SubmissionContent.objects.only("body", "files").get(pk=content_id)
                return PulledSubmission(
                    submission_id, deliveries + 1, pullkey, content.body, content.stored_files()
                )
    raise QueueContended


def pullkey_digest(pullkey: str) -> str:
    """Return what is stored of a pullkey. It is random and long: a plain hash hides it."""
    return hashlib.sha256(pullkey.encode("utf-8", "surrogatepass")).hexdigest()


def fail_exhausted(limit: int = 100) -> int:
    """Give up submissions that were handed out as often as allowed; return how many.

    For the sweeper: a queue that is polled does this by itself.
    """
    now = timezone.now()
    # Most leases that ended will be given to somebody else: of those there can be any number.
    of_queues = [queue_options(name).MAX_DELIVERIES for name in options().QUEUES]
    fewest = min([options().MAX_DELIVERIES, *of_queues])
    ended = Submission.objects.filter(
        status=Status.LEASED, available_at__lte=now, deliveries__gte=fewest
    )
    given_up = 0
    for pk, deliveries, queue_name in ended.values_list("pk", "deliveries", "queue_name"):
        if deliveries >= queue_options(queue_name).MAX_DELIVERIES:
            given_up += _give_up(pk, deliveries, now)
        if given_up == limit:
            break
    return given_up


def supersede_replaced(user_id: int, usage_key: UsageKey, waiting_keys: Collection[str]) -> None:
    """Withdraw the submissions that a learner's newest answer at a block has replaced.

    ``waiting_keys`` are the queue keys that the saved state waits for. Only what is older
    than one of those is withdrawn: a newer one's state may not be saved yet. A submission
    that the state waits for after all (two requests crossed) is offered again.
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


def withdraw(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> int:
    """Offer a learner's open submissions at a block to nobody any more; return how many.

    For a state that is deleted. A grader that has one of them may still answer. A submission
    that the state waits for after all (a page was loaded before) is offered again.
    """
    return Submission.objects.filter(
        user_id=user_id,
        usage_key=usage_key,
        course_key=course_key,
        status__in=(Status.WAITING, Status.LEASED),
    ).update(status=Status.SUPERSEDED, available_at=None, finished_at=timezone.now())


def requeue(submission_ids: Collection[int]) -> int:
    """Offer given-up submissions again, with a fresh count; return how many changed."""
    return _offer_again(submission_ids, sources_of(Status.WAITING))


def _available(queue_name: str, now: datetime) -> QuerySet[Submission]:
    """Return what the work index offers, in the order in which a queue is served."""
    return Submission.objects.filter(queue_name=queue_name, available_at__lte=now).order_by(
        "available_at", "pk"
    )


def _offer_again(submission_ids: Collection[int], statuses: Collection[Status]) -> int:
    """Put submissions back; return how many.

    The count starts afresh: only what is leased can be given up, so one that came back used up
    would neither be handed out nor end. Whoever had it before has no key to it any more.
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
    """Lease a submission and return its new pullkey; None if somebody else was faster."""
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


def _give_up(submission_id: int, deliveries: int, now: datetime) -> bool:
    """Fail a submission and store a notice for its learner; False if it has moved on."""
    with transaction.atomic():
        failed = Submission.objects.filter(
            pk=submission_id,
            deliveries=deliveries,
            available_at__lte=now,
            status__in=sources_of(Status.FAILED),
        ).update(status=Status.FAILED, available_at=None, finished_at=now)
        if not failed:
            return False
        grader_replies.store_failure_reply(submission_id)  # INSERT; delivered after commit
        transaction.on_commit(lambda: _announce_failure(submission_id))
    log.warning("Submission %s given up after %s deliveries", submission_id, deliveries)
    return True


def _announce_failure(submission_id: int) -> None:
    submission_failed.send_robust(
        Submission, submission_id=submission_id, reason="handed out too often without a result"
    )
