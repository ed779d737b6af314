"""Transitions to ``failed``, to ``superseded`` after a lease, and back to ``waiting``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Case, Q, Value, When

from xqueue_bridge.conf import options, queue_options
from xqueue_bridge.data import ReopenRequest
from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.db.transactions import after_commit
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.log_fields import LogFields, Step, about, named
from xqueue_bridge.signals import submission_failed
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.paused_queues import past_pauses, paused_queues, time_paused
from xqueue_bridge.submission_queue.states import Status, finished, sources_of
from xqueue_bridge.worker.enqueue import run_after_response

log = logging.getLogger(__name__)


def fail_exhausted(limit: int = 100) -> int:
    """Finish submissions whose lease has ended and that no grader gets again.

    Those that a newer answer has replaced are superseded. Those that reached MAX_DELIVERIES or
    MAX_AGE_SECONDS fail; age does not count in a paused queue. Return how many failed. Used by the
    sweeper; in a queue that graders poll, ``pull`` does the same.
    """
    now = DatabaseNow()
    # Most expired leases can be delivered again and may be numerous: filter by the lowest maximum.
    of_queues = [queue_options(name).MAX_DELIVERIES for name in options().QUEUES]
    fewest = min([options().MAX_DELIVERIES, *of_queues])
    is_old = Q(retry_until__lte=now) & ~Q(queue_name__in=list(paused_queues()))
    ended = Submission.objects.filter(
        is_old | Q(is_replaced=True) | Q(deliveries__gte=fewest),
        status=Status.LEASED,
        available_at__lte=now,
    ).annotate(is_old=Case(When(is_old, then=Value(True)), default=Value(False)))
    failed_count = 0
    for pk, deliveries, queue_name, is_replaced, old in ended.values_list(
        "pk", "deliveries", "queue_name", "is_replaced", "is_old"
    ):
        if is_replaced:
            supersede_expired(pk)
        elif deliveries >= queue_options(queue_name).MAX_DELIVERIES or (
            old and not has_time_left(pk, queue_name)
        ):
            failed_count += fail(pk, deliveries)
        if failed_count == limit:
            break
    return failed_count


def has_time_left(submission_id: int, queue_name: str) -> bool:
    """Return whether an old submission is younger than MAX_AGE_SECONDS without the queue's pauses.

    One statement; three if the queue was paused.
    """
    pauses = past_pauses(queue_name)
    rows = Submission.objects.filter(pk=submission_id)
    until = rows.values_list("retry_until", flat=True).first() if pauses else None
    if until is None:
        return False
    max_age = timedelta(seconds=queue_options(queue_name).MAX_AGE_SECONDS)
    paused = time_paused(pauses, until - max_age)
    return bool(paused) and rows.filter(retry_until__gt=DatabaseNow(-paused)).exists()


def fail(submission_id: int, deliveries: int) -> bool:
    """Fail a submission and store a failure reply; return False if its state has changed."""
    with transaction.atomic():
        rows = Submission.objects.filter(pk=submission_id)
        failed = rows.filter(
            deliveries=deliveries,
            available_at__lte=DatabaseNow(),
            status__in=sources_of(Status.FAILED),
        ).update(**finished(Status.FAILED))
        if not failed:
            return False
        transaction.on_commit(partial(_send_failure_signal, rows.get(), deliveries))
        grader_replies.store_failure_reply(submission_id)  # INSERT; applied after commit
    return True


def supersede_expired(submission_id: int) -> None:
    """Supersede a replaced submission whose lease has ended, unless it has changed."""
    superseded = Submission.objects.filter(
        pk=submission_id,
        available_at__lte=DatabaseNow(),
        is_replaced=True,
        status__in=sources_of(Status.SUPERSEDED),
    ).update(**finished(Status.SUPERSEDED))
    if superseded:
        log_superseded([submission_id])


def log_superseded(submission_ids: Iterable[int]) -> None:
    """Log that graders are not offered these submissions any more."""
    for pk in submission_ids:
        extra = LogFields(step=Step.SUPERSEDED, submission_id=pk)
        log.info("Submission %s was superseded", pk, extra=extra)


def requeue(submission_ids: Collection[int], count: Callable[[], object] | None = None) -> int:
    """Requeue failed submissions; return how many changed.

    ``count`` is called for each that changes, in the transaction of its change.

    The learner's block waits for the reply again, and the delivery count is reset. If a valid
    result came after the failure, it is applied instead, unless LATE_RESULTS is "never". A
    submission is not requeued if the learner has answered again, or the reply backend cannot let
    the block wait for it again; the log has the reason. Call it outside any transaction.
    """
    return sum(_requeue(submission_id, count) for submission_id in submission_ids)


#: A reply to such a submission is never applied.
SAME_KEY = "the learner has answered again within the same second"


class _NotFailed(Exception):
    """Another process has changed the submission."""


def _requeue(submission_id: int, count: Callable[[], object] | None) -> bool:
    failed = Submission.objects.filter(pk=submission_id, status=Status.FAILED)
    row = failed.select_related("content").first()
    if row is None:
        return False
    newer = Submission.objects.filter(
        user_id=row.user_id, usage_key=row.usage_key, dispatch=row.dispatch, pk__gt=row.pk
    ).values_list("queue_key", "content__body", "transport")
    if (row.queue_key, row.transport) in {(key, transport) for key, _, transport in newer}:
        extra = LogFields(submission_id=submission_id)
        log.warning("Submission %s is not requeued: %s", submission_id, SAME_KEY, extra=extra)
        return False
    bodies = tuple((key, body) for key, body, _ in newer)
    request = ReopenRequest(row.target, row.queue_key, row.content.body, bodies)
    try:
        reason = grader_replies.reopen(
            submission_id,
            request,
            partial(_requeue_reopened, row, count),
            by_callback=row.answers_by_callback,
        )
    except _NotFailed:
        return False
    except Exception as exc:  # the host's code that loads the block; its message is not logged
        reason = type(exc).__name__
    if reason:
        extra = LogFields(submission_id=submission_id)
        log.warning("Submission %s is not requeued: %s", submission_id, reason, extra=extra)
        return False
    # Does nothing without a late reply. Not earlier, because ``reopen`` can hold the block lock.
    keys = frozenset({row.queue_key})
    apply = partial(grader_replies.apply_waiting, row.user_id, row.target.usage_key, keys)
    after_commit(partial(run_after_response, apply))
    return True


def _requeue_reopened(row: Submission, count: Callable[[], object] | None) -> None:
    """Requeue a failed submission in the transaction in which the learner's state waits again."""
    if not offer_again([row.pk], (Status.FAILED,)):
        raise _NotFailed
    grader_replies.cancel_failure_replies(row.pk)
    grader_replies.accept_late_replies(row.pk)
    if grader_replies.has_valid_reply(row.pk):
        Submission.objects.filter(pk=row.pk).update(**finished(Status.ANSWERED))
        extra = LogFields(step=Step.ANSWERED, submission_id=row.pk)
        log.info("Submission %s is answered by its late result", row.pk, extra=extra)
    if count is not None:
        count()


def offer_again(submission_ids: Collection[int], statuses: Collection[Status]) -> int:
    """Set submissions to WAITING and reset their delivery count; return their number.

    Without the reset, a submission at MAX_DELIVERIES would neither be delivered nor fail, because
    only leased submissions fail. The previous lease's key becomes invalid.
    """
    now = DatabaseNow()
    changed = 0
    rows = Submission.objects.filter(pk__in=submission_ids, status__in=statuses)
    for queue_name in set(rows.values_list("queue_name", flat=True)):
        max_age = timedelta(seconds=queue_options(queue_name).MAX_AGE_SECONDS)
        changed += rows.filter(queue_name=queue_name).update(
            status=Status.WAITING,
            available_at=now,
            due_at=now,
            retry_until=now.plus(max_age),
            finished_at=None,
            deliveries=0,
            pullkey_digest="",
            is_replaced=False,
        )
    for pk in submission_ids if changed else ():
        extra = LogFields(step=Step.REQUEUED, submission_id=pk)
        log.info("Submission %s is offered to graders again", pk, extra=extra)
    return changed


def _send_failure_signal(row: Submission, deliveries: int) -> None:
    extra = about(row, row.queue_name) | LogFields(submission_id=row.pk)
    text = "Grading failed after %s deliveries (%s): requeue it when its graders work"
    log.warning(text, deliveries, named(extra), extra=extra | LogFields(step=Step.FAILED))
    submission_failed.send_robust(
        Submission, submission_id=row.pk, reason="delivered too often without a result"
    )
