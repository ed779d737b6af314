"""What operators do with submissions that no grader holds: move them, and end their grading.

A submission is changed on the condition that no grader holds it at that moment. So it is either
changed, or graded by the grader that has pulled it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q, QuerySet

from xqueue_bridge.conf import queue_options
from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.log_fields import LogFields, Step
from xqueue_bridge.signals import submission_failed
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status, finished

log = logging.getLogger(__name__)


def unheld_submissions() -> QuerySet[Submission]:
    """Return the open submissions that no grader holds, without those that were replaced."""
    is_unheld = Q(status=Status.WAITING) | Q(available_at__lte=DatabaseNow()) | Q(pullkey_digest="")
    return Submission.objects.filter(
        is_unheld,
        status__in=(Status.WAITING, Status.LEASED),
        due_at__isnull=False,
        is_replaced=False,
    )


def is_used(queue_name: str) -> bool:
    """Return whether a submission is in the queue, or was; one statement."""
    return Submission.objects.filter(queue_name=queue_name).exists()


def failed_submissions() -> QuerySet[Submission]:
    """Return the submissions that can be requeued, if nothing has changed since."""
    return Submission.objects.filter(status=Status.FAILED, regrade_of=None)


def move_submissions(submission_ids: Collection[int], queue_name: str) -> int:
    """Move those of the submissions that no grader holds to a queue; return how many.

    They keep their position; deliveries and MAX_AGE_SECONDS count anew. Call it in a transaction.
    Two statements.
    """
    rows = unheld_submissions().filter(pk__in=submission_ids)
    ids = list(rows.select_for_update().values_list("pk", flat=True))
    max_age = timedelta(seconds=queue_options(queue_name).MAX_AGE_SECONDS)
    Submission.objects.filter(pk__in=ids).update(
        queue_name=queue_name,
        status=Status.WAITING,
        deliveries=0,
        retry_until=DatabaseNow(max_age),
        pullkey_digest="",
        grader=None,
    )
    for pk in ids:
        extra = LogFields(step=Step.MOVED, submission_id=pk, queue_name=queue_name)
        log.info("Submission %s was moved to queue %s by an operator", pk, queue_name, extra=extra)
    return len(ids)


def end_submissions(submission_ids: Collection[int]) -> int:
    """End the grading of those of the submissions that no grader holds; return how many.

    The learner gets a failure reply. Call it in a transaction. Two statements for each that ends.
    """
    return sum(map(_end, submission_ids))


def release_leases(grader: Grader) -> int:
    """End the leases of a grader, so that its submissions are offered at once; return how many.

    Call it in a transaction. Two statements.
    """
    held = Submission.objects.filter(
        status=Status.LEASED, available_at__gt=DatabaseNow(), grader=grader
    ).exclude(pullkey_digest="")
    ids, now = list(held.select_for_update().values_list("pk", flat=True)), DatabaseNow()
    Submission.objects.filter(pk__in=ids).update(pullkey_digest="", available_at=now, due_at=now)
    for pk in ids:
        extra = LogFields(step=Step.RELEASED, submission_id=pk, grader_id=grader.pk)
        log.info("The lease of submission %s was ended by an operator", pk, extra=extra)
    return len(ids)


def _end(submission_id: int) -> bool:
    ended = (
        unheld_submissions()
        .filter(pk=submission_id)
        # Without its key, the result of a grader that held it before is refused.
        .update(**finished(Status.FAILED), pullkey_digest="")
    )
    if ended:
        transaction.on_commit(partial(_send_signal, submission_id))
        grader_replies.store_ended_reply(submission_id)
    return bool(ended)


def _send_signal(submission_id: int) -> None:
    extra = LogFields(step=Step.ENDED, submission_id=submission_id)
    log.warning("The grading of submission %s was ended by an operator", submission_id, extra=extra)
    submission_failed.send_robust(
        Submission, submission_id=submission_id, reason="ended by an operator"
    )
