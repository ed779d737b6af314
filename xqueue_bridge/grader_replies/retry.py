"""The result of an attempt to apply a reply, and the time of the next attempt.

    PENDING ──applied──> APPLIED ──the key waits again──> PENDING
       │ └──does not wait, and the grace period is over──> STALE
       └──attempts exhausted──> DEAD

``next_attempt_at`` is NULL when no attempt is left.
"""

from __future__ import annotations

import logging
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
from xqueue_bridge.worker.backoff import backoff

Status = ReceivedReply.Status

#: Without DEAD, because a dead reply can be retried later.
_LEDGER_OUTCOMES = {
    Status.STALE: learner_state.Outcome.STALE,
    Status.REJECTED: learner_state.Outcome.REJECTED,
}

#: ``last_error`` of a reply during an attempt, and afterwards if the process was killed.
INTERRUPTED = "an attempt began and did not end"

log = logging.getLogger(__name__)


def mark_applied(
    reply: ReceivedReply,
    to_apply: ReplyToApply,
    recheck_seconds: float | None,
    result: ApplyResult,
) -> None:
    """Mark the reply as applied, in the caller's transaction."""
    now = timezone.now()
    recheck = recheck_seconds is not None and reply.status != Status.APPLIED
    # Unconditional, because the learner's state contains the reply whatever the row says.
    ReceivedReply.objects.filter(pk=reply.pk).update(
        status=Status.APPLIED,
        attempts=reply.attempts,
        next_attempt_at=now + timedelta(seconds=recheck_seconds or 0) if recheck else None,
        last_error="",
        score_applied=result.points,
        applied_at=now,
    )
    if _is_graded(reply):
        applied = learner_state.Outcome.APPLIED
        _record_in_ledger(reply, applied, result.points, result.max_points)
    if reply.applied_at is not None and reply.score_applied == result.points:
        return  # applied again after it was overwritten: the signal was sent before
    transaction.on_commit(
        partial(
            reply_applied.send_robust,
            sender=ReceivedReply,
            reply_id=reply.pk,
            user_id=to_apply.target.user_id,
            course_key=to_apply.target.course_key,
            usage_key=to_apply.target.usage_key,
            dispatch=str(to_apply.target.dispatch),
            points=result.points,
            max_points=result.max_points,
        )
    )


def defer_or_mark_stale(reply: ReceivedReply, to_apply: ReplyToApply) -> None:
    """Schedule a retry if the state may not be saved yet; after the grace period mark stale."""
    grace_ends = to_apply.sent_at + timedelta(seconds=options().STALE_AFTER_SECONDS)
    if reply.status == Status.APPLIED:
        mark_final(reply, Status.APPLIED, "")
    elif timezone.now() < grace_ends:
        error = "the learner's state does not wait for it yet"
        _schedule_retry(reply, error, not_after=grace_ends)
    else:
        mark_final(reply, Status.STALE, "the learner's state does not wait for it")


def schedule_retry_or_bury(reply: ReceivedReply, error: str, max_attempts: int) -> None:
    """Schedule a retry, or mark the reply dead after ``max_attempts``."""
    log.warning("Reply %s, attempt %s: %s", reply.pk, reply.attempts, error)
    if reply.attempts < max_attempts:
        _schedule_retry(reply, error)
    else:
        # A failed re-check does not undo a reply that was already applied.
        applied = reply.status == Status.APPLIED
        mark_final(reply, Status.APPLIED if applied else Status.DEAD, error)


def mark_final(reply: ReceivedReply, status: ReceivedReply.Status, error: str) -> None:
    """Set the final status of a reply and send ``reply_not_applied`` unless it is applied.

    Nothing is written or sent if another process has changed the reply.
    """
    with transaction.atomic():
        written = ReceivedReply.objects.mark_final(reply, error, status=status)
        outcome = _LEDGER_OUTCOMES.get(status)
        if written and outcome and _is_graded(reply):
            _record_in_ledger(reply, outcome)
    if not written:
        reply.refresh_from_db(fields=["status"])
    elif status != Status.APPLIED:
        log.warning("Reply %s is %s: %s", reply.pk, status, error)
        send_after_commit_not_applied(reply.pk, status, error)


def _record_in_ledger(
    reply: ReceivedReply,
    outcome: learner_state.Outcome,
    points: float | None = None,
    max_points: float | None = None,
) -> None:
    """Record the reply's outcome in the score ledger."""
    target = reply.submission.target
    entry = learner_state.LedgerEntry(
        ledger_key(reply.pk),
        target.user_id,
        target.course_key,
        target.usage_key,
        outcome,
        earned=points,
        possible=max_points,
        attempt=reply.submission_id,
        digest=reply.digest,
    )
    learner_state.record_outcomes([entry])


def _is_graded(reply: ReceivedReply) -> bool:
    """Return whether the reply has a score; the output of a trial run has none."""
    return reply.submission.target.dispatch is Dispatch.SCORE_UPDATE


def _schedule_retry(reply: ReceivedReply, error: str, *, not_after: datetime | None = None) -> None:
    conf = options()
    wait = backoff(reply.attempts, conf.RETRY_BACKOFF, conf.RETRY_BACKOFF_MAX)
    retry_at = timezone.now() + timedelta(seconds=wait)
    if not_after is not None:
        retry_at = min(retry_at, not_after)
    if not ReceivedReply.objects.schedule_retry(reply, error, retry_at):
        reply.refresh_from_db(fields=["status"])
