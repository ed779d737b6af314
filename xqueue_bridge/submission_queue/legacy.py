"""Results that a legacy XQueue server brings to the callback URL, or edx-submissions by an event.

The request is not authenticated; the queue key is its only proof. A reply whose key the learner's
saved state waits for is always stored. A reply with another key can be early, because a fast
grader answers before the state is saved: it is stored within bounds on its size and number, as
an ``unmatched`` submission, and deleted if no state waits for it within an hour.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from django.db import transaction
from django.db.models import Count, Q

from xqueue_bridge.data import Target, XHeader
from xqueue_bridge.db.clock import DatabaseNow, database_now
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.log_fields import LogFields, Step, about
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.parsed_result import (
    ParsedResult,
    filtered,
    parse_result,
    store_stopped,
)
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.worker.enqueue import run_after_response

log = logging.getLogger(__name__)

#: Maximum of different replies to one submission whose key the state no longer waits for.
MAX_REPLIES = 16
#: Maxima of unmatched submissions. A refused early reply is sent again by its XQueue server, and
#: then the saved state waits for it.
MAX_UNMATCHED_AT_BLOCK = 16
MAX_UNMATCHED_OF_LEARNER = 64
MAX_UNMATCHED_IN_COURSE = 250
MAX_UNMATCHED = 1_000
#: Maximum size of an unmatched reply if the state is ours.
MAX_UNMATCHED_BYTES = 65_536
#: How long an unmatched submission is kept.
UNMATCHED_LIFETIME = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Receipt:
    """The response to a callback: HTTP status, and a text without anything that was posted."""

    status: int
    text: str


def receive(target: Target, header: XHeader, body: str, source: str = "callback") -> Receipt:
    """Store one reply from a legacy XQueue server; it is applied after the response.

    200: stored, or nothing to do. 400, 403, 404, 409, 413: sending it again will not help.
    503: too many unmatched replies; the server may send it again later. Two statements before
    the first write if the state waits for the key, three otherwise.
    """
    learner = learner_state.find_learner_at(target.user_id, target.course_key, target.usage_key)
    # This callback may be our own, about a submission that a block here sent over HTTP.
    rows = Submission.objects.filter(
        user_id=target.user_id, usage_key=target.usage_key, queue_key=header.queue_key
    ).exclude(transport=Submission.Transport.SUBMIT)
    # Compared again here: MySQL and MariaDB ignore spaces at the end.
    same_key = [row for row in rows.order_by("-pk") if row.queue_key == header.queue_key]
    if any(row.transport == Submission.Transport.TABLE for row in same_key):
        # Graders pull it from our table, and only the pull key proves a result.
        return Receipt(403, "this submission is answered by put_result")
    submission = next((row for row in same_key if row.dispatch == target.dispatch), None)
    if learner.is_retired or not learner.exists:
        return _discard(target, submission, source, is_known=learner.is_retired)
    result = filtered(target, header.queue_name, parse_result(body, source))
    if header.queue_key in learner.waiting_keys:
        return _store_waited_for(target, header, submission, result)
    if submission is not None:
        return _store_again(submission, result)
    return _store_unmatched(target, header, result)


def purge_unmatched(limit: int = 100) -> int:
    """Delete unmatched submissions that no state has waited for; return their number.

    Those with an applied reply become ``answered``. Used by the sweeper.
    """
    unmatched = Submission.objects.filter(status=Status.UNMATCHED)
    ids = list(unmatched.order_by("finished_at").values_list("pk", flat=True)[:limit])
    if not ids:
        return 0
    applied, pending = grader_replies.submissions_with_replies(ids)
    unmatched.filter(pk__in=applied).update(status=Status.ANSWERED)
    expired = dict(
        unmatched.filter(pk__in=set(ids) - applied - pending)
        .filter(finished_at__lt=database_now() - UNMATCHED_LIFETIME)
        .values_list("pk", "content_id")
    )
    with transaction.atomic():
        grader_replies.delete_replies(expired)
        Submission.objects.filter(pk__in=expired).delete()
        SubmissionContent.objects.filter(pk__in=expired.values()).delete()
    return len(expired)


def create_legacy_submission(
    target: Target,
    header: XHeader,
    status: Status,
    transport: Submission.Transport = Submission.Transport.LEGACY,
) -> Submission:
    """Create the row of a submission that was sent through a legacy XQueue server."""
    now = DatabaseNow()
    content = SubmissionContent.objects.create(header=header.text, body="")
    return Submission.objects.create(
        content=content,
        transport=transport,
        queue_name=header.queue_name,
        status=status,
        user_id=target.user_id,
        course_key=target.course_key,
        usage_key=target.usage_key,
        dispatch=target.dispatch,
        queue_key=header.queue_key,
        created_at=now,
        finished_at=now,
    )


def _store_waited_for(
    target: Target, header: XHeader, submission: Submission | None, result: ParsedResult
) -> Receipt:
    """Store a reply whose key the state waits for, however many were stored before."""
    if submission is not None and grader_replies.record_if_duplicate(submission.pk, result.body):
        # It may be dead or stale by now.
        keys = frozenset({header.queue_key})
        run_after_response(
            partial(grader_replies.apply_waiting, target.user_id, target.usage_key, keys)
        )
        return Receipt(200, "this reply was received before")
    with transaction.atomic():
        if submission is None:
            submission = create_legacy_submission(target, header, Status.ANSWERED)
        return _store(submission, result)


def _store_again(submission: Submission, result: ParsedResult) -> Receipt:
    """Store another reply to a submission that the state does not wait for."""
    if grader_replies.record_if_duplicate(submission.pk, result.body):
        return Receipt(200, "this reply was received before")
    if submission.replies.count() >= MAX_REPLIES:
        return Receipt(409, "too many replies to this submission")
    with transaction.atomic():
        return _store(submission, result)


def _store_unmatched(target: Target, header: XHeader, result: ParsedResult) -> Receipt:
    """Store a reply whose key no saved state waits for, within the bounds."""
    # A state that is stored elsewhere may wait for it.
    if grader_replies.get_reply_backend().state_is_ours:
        if len(result.body.encode("utf-8", "surrogatepass")) > MAX_UNMATCHED_BYTES:
            return Receipt(413, "the learner's state does not wait for it, and it is too large")
        if target.dispatch not in result.dispatches:
            return Receipt(400, f"the learner's state does not wait for it, and {result.problem}")
    course = Q(course_key=target.course_key)
    learner = Q(user_id=target.user_id)
    counts = Submission.objects.filter(status=Status.UNMATCHED).aggregate(
        total=Count("pk"),
        course=Count("pk", filter=course),
        learner=Count("pk", filter=learner),
        block=Count("pk", filter=learner & Q(usage_key=target.usage_key)),
    )
    if (
        counts["total"] >= MAX_UNMATCHED
        or counts["course"] >= MAX_UNMATCHED_IN_COURSE
        or counts["learner"] >= MAX_UNMATCHED_OF_LEARNER
        or counts["block"] >= MAX_UNMATCHED_AT_BLOCK
    ):
        return Receipt(503, "too many replies that no learner's state waits for")
    with transaction.atomic():
        return _store(create_legacy_submission(target, header, Status.UNMATCHED), result)


def _store(submission: Submission, result: ParsedResult) -> Receipt:
    """Store the reply in the caller's transaction; an invalid one with a failure reply."""
    is_valid = not result.stopped and submission.dispatch in result.dispatches
    log.info(
        "Submission %s got a reply (%s)",
        submission.pk,
        result.source,
        extra=about(submission)  # without the queue's name, which any client can make up
        | LogFields(step=Step.ANSWERED if is_valid else Step.REFUSED, submission_id=submission.pk),
    )
    if result.stopped:
        store_stopped(submission.pk, result)
        return Receipt(200, "stopped by a filter, and the learner is told")
    if submission.dispatch in result.dispatches:
        grader_replies.store_reply(submission.pk, result.source, result.body, reply=result.reply)
        return Receipt(200, "stored")
    # An invalid reply never reaches a block. The failure reply ends the learner's waiting.
    grader_replies.store_reply(
        submission.pk, result.source, result.body, reply=None, error=result.problem or ""
    )
    grader_replies.store_failure_reply(submission.pk)
    return Receipt(200, f"refused, and the learner is told: {result.problem}")


def _discard(
    target: Target, submission: Submission | None, source: str, *, is_known: bool
) -> Receipt:
    """Acknowledge a reply to a retired or deleted learner, because a retry would not help."""
    if submission is not None:
        grader_replies.discard_late_reply(submission.pk, source)
    elif is_known:
        learner_state.count_late_reply(target.user_id)
    else:
        return Receipt(404, "userid: no such learner")
    return Receipt(200, "received, and rejected: the learner is gone")
