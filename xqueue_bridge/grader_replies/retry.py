"""The result of an attempt to apply a reply, and the time of the next attempt.

    PENDING ──applied──> APPLIED ──the key waits again──> PENDING
       │ └──does not wait, and the grace period is over──> STALE
       └──attempts exhausted──> DEAD

``next_attempt_at`` is NULL when no attempt is left.
"""

from __future__ import annotations

import hashlib
import logging
import random
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.utils import timezone

from xqueue_bridge.conf import options
from xqueue_bridge.data import ApplyResult, Dispatch, ReplyToApply
from xqueue_bridge.grader_replies.inbox import ledger_key, send_after_commit_not_applied
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.signals import reply_applied

Status = ReceivedReply.Status

#: Without DEAD, because a dead reply can be retried later.
_LEDGER_OUTCOMES = {
    Status.STALE: learner_state.Outcome.STALE,
    Status.REJECTED: learner_state.Outcome.REJECTED,
}

#: ``problem`` of a reply during an attempt, and afterwards if the process was killed.
INTERRUPTED = "an attempt began and did not end"

log = logging.getLogger(__name__)


def mark_applied(
    reply: ReceivedReply,
    delivery: ReplyToApply,
    recorded: ApplyResult,
    recheck_seconds: float | None,
) -> None:
    """Mark the reply as applied, in the caller's transaction."""
    now = timezone.now()
    recheck = recheck_seconds is not None and reply.status != Status.APPLIED
    # Unconditional, because the learner's state contains the reply whatever the row says.
    ReceivedReply.objects.filter(pk=reply.pk).update(
        status=Status.APPLIED,
        attempts=reply.attempts + 1,
        next_attempt_at=now + timedelta(seconds=recheck_seconds or 0) if recheck else None,
        problem="",
        score_applied=recorded.points,
        applied_at=now,
    )
    if _is_graded(reply):
        applied = learner_state.Outcome.APPLIED
        _enter_in_ledger(reply, applied, recorded.points, recorded.max_points)
    if reply.applied_at is not None and reply.score_applied == recorded.points:
        return  # applied again after it was overwritten: the signal was sent before
    transaction.on_commit(
        partial(
            reply_applied.send_robust,
            sender=ReceivedReply,
            reply_id=reply.pk,
            user_id=delivery.target.user_id,
            course_key=delivery.target.course_key,
            usage_key=delivery.target.usage_key,
            dispatch=str(delivery.target.dispatch),
            points=recorded.points,
            max_points=recorded.max_points,
        )
    )


def defer_or_mark_stale(reply: ReceivedReply, delivery: ReplyToApply) -> None:
    """Schedule a retry if the state may not be saved yet; after the grace period mark stale."""
    grace_ends = delivery.sent_at + timedelta(seconds=options().STALE_AFTER_SECONDS)
    if reply.status == Status.APPLIED:
        finish(reply, Status.APPLIED, "")
    elif timezone.now() < grace_ends:
        _try_again(reply, "the learner's state does not wait for it yet", not_after=grace_ends)
    else:
        finish(reply, Status.STALE, "the learner's state does not wait for it")


def failed(reply: ReceivedReply, problem: str, attempts: int) -> None:
    """Schedule a retry, or mark the reply dead after ``attempts`` attempts."""
    log.warning("Reply %s, attempt %s: %s", reply.pk, reply.attempts + 1, problem)
    if reply.attempts + 1 < attempts:
        _try_again(reply, problem)
    else:
        # A failed re-check does not undo a reply that was already applied.
        applied = reply.status == Status.APPLIED
        finish(reply, Status.APPLIED if applied else Status.DEAD, problem)


def finish(reply: ReceivedReply, status: ReceivedReply.Status, problem: str) -> None:
    """Set the final status of a reply and send ``reply_not_applied`` unless it is applied."""
    with transaction.atomic():
        written = _update_unless_moved_on(reply, status, problem, None)
        outcome = _LEDGER_OUTCOMES.get(status)
        if written and outcome and _is_graded(reply):
            _enter_in_ledger(reply, outcome)
    if written and status != Status.APPLIED:
        log.warning("Reply %s is %s: %s", reply.pk, status, problem)
        send_after_commit_not_applied(reply.pk, status, problem)


def _enter_in_ledger(
    reply: ReceivedReply,
    outcome: learner_state.Outcome,
    points: float | None = None,
    max_points: float | None = None,
) -> None:
    """Record the reply's outcome in the score ledger."""
    target = reply.submission.target
    learner_state.record_outcome(
        ledger_key(reply.pk),
        target.user_id,
        target.course_key,
        target.usage_key,
        outcome,
        earned=points,
        possible=max_points,
        attempt=reply.submission_id,
        digest=hashlib.sha256(reply.body.encode()).hexdigest(),
    )


def _is_graded(reply: ReceivedReply) -> bool:
    """Return whether the reply has a score; the output of a trial run has none."""
    return reply.submission.target.dispatch is Dispatch.SCORE_UPDATE


def _try_again(reply: ReceivedReply, problem: str, *, not_after: datetime | None = None) -> None:
    conf = options()
    doubled = conf.RETRY_BACKOFF * 2.0 ** min(reply.attempts, 30)
    longest = min(doubled, conf.RETRY_BACKOFF_MAX)
    wait = timedelta(seconds=longest * random.uniform(0.5, 1))  # noqa: S311
    again_at = timezone.now() + wait
    if not_after is not None:
        again_at = min(again_at, not_after)
    _update_unless_moved_on(reply, reply.status, problem, again_at)


def _update_unless_moved_on(
    reply: ReceivedReply, status: str, problem: str, next_attempt_at: datetime | None
) -> bool:
    """Save the result of an attempt, unless another process has changed the reply."""
    written = ReceivedReply.objects.filter(
        pk=reply.pk, status=reply.status, next_attempt_at=reply.next_attempt_at
    ).update(
        status=status,
        attempts=reply.attempts + 1,
        next_attempt_at=next_attempt_at,
        problem=problem[:255],
    )
    if written:
        reply.status = status
    else:
        reply.refresh_from_db(fields=["status"])
    return bool(written)
