"""The result of an attempt to apply a reply, and the time of the next attempt.

    PENDING ──applied──> APPLIED ──the key waits again──> PENDING
       │ └──does not wait, and the grace period is over──> STALE
       └──attempts exhausted──> DEAD

``next_attempt_at`` is NULL when no attempt is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Case, Value, When
from django.utils import timezone

from xqueue_bridge.conf import options
from xqueue_bridge.data import ApplyResult, Dispatch, ReplyToApply
from xqueue_bridge.grader_replies.inbox import ledger_key, send_after_commit_not_applied
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.result_warnings import store_result_warnings
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.log_fields import LogFields, Step, about
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


@dataclass(frozen=True, slots=True)
class Applied:
    """A reply that was applied, and with which points."""

    reply: ReceivedReply
    result: ApplyResult


def mark_applied(applied: Sequence[Applied], recheck_seconds: float | None = None) -> None:
    """Mark replies as applied, in the caller's transaction; two statements for any number.

    A reply that gets a warning takes one statement more.
    """
    now = timezone.now()
    recheck_at = None if recheck_seconds is None else now + timedelta(seconds=recheck_seconds)
    # Unconditional, because the learner's state contains the reply whatever the row says.
    ReceivedReply.objects.filter(pk__in=[each.reply.pk for each in applied]).update(
        status=Status.APPLIED,
        attempts=_per_reply("attempts", applied, lambda each: each.reply.attempts),
        next_attempt_at=_per_reply(
            "next_attempt_at",
            applied,
            lambda each: None if each.reply.status == Status.APPLIED else recheck_at,
        ),
        last_error="",
        score_applied=_per_reply("score_applied", applied, lambda each: each.result.points),
        answer_id=_per_reply("answer_id", applied, lambda each: each.result.answer_id[:255]),
        applied_at=now,
    )
    # The output of a trial run has no score.
    learner_state.record_outcomes(
        [
            _ledger_entry(each.reply, learner_state.Outcome.APPLIED, each.result)
            for each in applied
            if each.reply.submission.dispatch == Dispatch.SCORE_UPDATE
        ]
    )
    for each in applied:
        store_result_warnings(each.reply, each.result)
        _send_applied_on_commit(each.reply, each.result)


def _per_reply(name: str, applied: Sequence[Applied], value_of: Callable[[Applied], object]) -> Any:
    """Return what an UPDATE of several rows sets a field to: one value, or one for each id."""
    values = [value_of(each) for each in applied]
    if len(set(values)) == 1:
        return values[0]
    pairs = zip(applied, values, strict=True)
    field: Any = ReceivedReply._meta.get_field(name)
    cases = [When(pk=each.reply.pk, then=Value(value)) for each, value in pairs]
    return Case(*cases, output_field=field)


def _send_applied_on_commit(reply: ReceivedReply, result: ApplyResult) -> None:
    if reply.applied_at is not None and reply.score_applied == result.points:
        return  # applied again after it was overwritten: the signal was sent before
    target = reply.submission.target
    transaction.on_commit(
        partial(
            reply_applied.send_robust,
            sender=ReceivedReply,
            reply_id=reply.pk,
            submission_id=reply.submission_id,
            user_id=target.user_id,
            course_key=target.course_key,
            usage_key=target.usage_key,
            dispatch=str(target.dispatch),
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
    extra = fields_of(reply, Step.RETRY)
    log.warning("Reply %s, attempt %s: %s", reply.pk, reply.attempts, error, extra=extra)
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
        if written and outcome and reply.submission.dispatch == Dispatch.SCORE_UPDATE:
            learner_state.record_outcomes([_ledger_entry(reply, outcome)])
    if not written:
        reply.refresh_from_db(fields=["status"])
    elif status != Status.APPLIED:
        extra = fields_of(reply, Step(status))
        log.warning("Reply %s is %s: %s", reply.pk, status, error, extra=extra)
        send_after_commit_not_applied(reply.pk, status, error)


def log_applied(reply: ReceivedReply) -> None:
    """Log that a reply was applied; call it after the transaction."""
    log.info("Reply %s applied", reply.pk, extra=fields_of(reply, Step.APPLIED))


def fields_of(reply: ReceivedReply, step: Step) -> LogFields:
    """Return the fields of a log record about an attempt to apply a reply."""
    submission = reply.submission
    known = LogFields(step=step, submission_id=submission.pk, reply_id=reply.pk)
    return about(submission, submission.queue_name) | known


def _ledger_entry(
    reply: ReceivedReply, outcome: learner_state.Outcome, result: ApplyResult | None = None
) -> learner_state.LedgerEntry:
    target = reply.submission.target
    return learner_state.LedgerEntry(
        ledger_key(reply.pk),
        target.user_id,
        target.course_key,
        target.usage_key,
        outcome,
        earned=None if result is None else result.points,
        possible=None if result is None else result.max_points,
        attempt=reply.submission_id,
        digest=reply.digest,
    )


def _schedule_retry(reply: ReceivedReply, error: str, *, not_after: datetime | None = None) -> None:
    conf = options()
    wait = backoff(reply.attempts, conf.RETRY_BACKOFF, conf.RETRY_BACKOFF_MAX)
    retry_at = timezone.now() + timedelta(seconds=wait)
    if not_after is not None:
        retry_at = min(retry_at, not_after)
    if not ReceivedReply.objects.schedule_retry(reply, error, retry_at):
        reply.refresh_from_db(fields=["status"])
