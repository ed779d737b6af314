"""The result of an attempt to apply a reply, and the time of the next attempt.

    PENDING ──applied──> APPLIED ──the key waits again──> PENDING
       │ └──does not wait, and the grace period is over──> STALE
       └──attempts exhausted──> DEAD

``next_attempt_at`` is NULL when no attempt is left.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from django.db import transaction
from django.db.models import Case, Value, When

from xqueue_bridge.conf import options, queue_options
from xqueue_bridge.data import ApplyResult, Dispatch, ReplyToApply
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.exceptions import TransientApplyError
from xqueue_bridge.grader_replies.code_counts import count_after_commit
from xqueue_bridge.grader_replies.inbox import ledger_key, send_after_commit_not_applied
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.queries import is_replaced
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.log_fields import LogFields, Step, about, named
from xqueue_bridge.protocol.codes import Code
from xqueue_bridge.protocol.reply_warnings import ReplyWarning
from xqueue_bridge.signals import reply_applied
from xqueue_bridge.tracing import add_event
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


#: A reply that was applied, and with which points.
Applied: TypeAlias = tuple[ReceivedReply, ApplyResult]


def mark_applied(applied: Sequence[Applied], recheck_seconds: float | None = None) -> None:
    """Mark replies as applied, in the caller's transaction; two statements for any number.

    A reply that gets a warning takes one statement more. Raise TransientApplyError if a newer
    answer with the same queue key was stored during the attempt, because the state may be that
    answer's by now.
    """
    now = database_now()
    recheck_at = None if recheck_seconds is None else now + timedelta(seconds=recheck_seconds)
    # Whatever status the rows have, because the learner's states contain the replies.
    rows = ReceivedReply.objects.filter(~is_replaced(), pk__in=[reply.pk for reply, _ in applied])
    marked = rows.update(
        status=Status.APPLIED,
        attempts=_per_reply("attempts", applied, lambda reply, _: reply.attempts),
        next_attempt_at=_per_reply(
            "next_attempt_at",
            applied,
            lambda reply, _: None if reply.status == Status.APPLIED else recheck_at,
        ),
        last_error="",
        score_applied=_per_reply("score_applied", applied, lambda _, result: result.points),
        answer_id=_per_reply("answer_id", applied, lambda _, result: result.answer_id[:255]),
        applied_at=now,
    )
    if marked < len(applied):
        raise TransientApplyError("A newer answer has the same queue key.")
    # The output of a trial run has no score.
    learner_state.record_outcomes(
        [
            _ledger_entry(reply, learner_state.Outcome.APPLIED, result)
            for reply, result in applied
            if reply.submission.dispatch == Dispatch.SCORE_UPDATE
        ]
    )
    for reply, result in applied:
        _store_warnings(reply, result)
        _send_applied_on_commit(reply, result)


def _per_reply(
    name: str,
    applied: Sequence[Applied],
    value_of: Callable[[ReceivedReply, ApplyResult], object],
) -> Any:
    """Return what an UPDATE of several rows sets a field to: one value, or one for each id."""
    values = [value_of(*each) for each in applied]
    if len(set(values)) == 1:
        return values[0]
    pairs = zip(applied, values, strict=True)
    field: Any = ReceivedReply._meta.get_field(name)
    cases = [When(pk=reply.pk, then=Value(value)) for (reply, _), value in pairs]
    return Case(*cases, output_field=field)


def _store_warnings(reply: ReceivedReply, result: ApplyResult) -> None:
    """Store the warnings that only the answer's points show; one statement if there are new ones.

    In the caller's transaction.
    """
    points, most, score = result.points, result.max_points, reply.score_given
    if points is None or most is None or score is None:
        return
    found = []
    is_fraction = queue_options(reply.submission.queue_name).SCORE_SCALE == "fraction"
    highest = 1 if is_fraction else most
    if score > highest:
        data = {"score": score, "maximum": highest}
        found.append(ReplyWarning(Code.SCORE_ABOVE_MAXIMUM, "score", data))
    if not reply.correct and 0 < most <= points:
        found.append(ReplyWarning(Code.INCORRECT_WITH_ALL_POINTS, "correct"))
    known = {each["code"] for each in reply.codes}
    new = [each for each in found if each.code not in known]
    if new:
        reply.codes = [*reply.codes, *(each.as_json() for each in new)]
        ReceivedReply.objects.filter(pk=reply.pk).update(codes=reply.codes)
        count_after_commit(reply.submission.grader_id, [each.code for each in new])


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
    grace = timedelta(seconds=options().STALE_AFTER_SECONDS) - to_apply.age
    if reply.status == Status.APPLIED:
        mark_final(reply, Status.APPLIED, "")
    elif grace > timedelta(0):
        error = "the learner's state does not wait for it yet"
        _schedule_retry(reply, error, not_after=database_now() + grace)
    else:
        mark_final(reply, Status.STALE, "the learner's state does not wait for it")


def schedule_retry_or_bury(reply: ReceivedReply, error: str, max_attempts: int) -> None:
    """Schedule a retry, or mark the reply dead after ``max_attempts``."""
    extra = fields_of(reply, Step.RETRY)
    text = "Reply %s (%s), attempt %s: %s"
    log.warning(text, reply.pk, named(extra), reply.attempts, error, extra=extra)
    add_event(Step.RETRY, extra)
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
        log.warning("Reply %s (%s) is %s: %s", reply.pk, named(extra), status, error, extra=extra)
        send_after_commit_not_applied(reply.pk, status, error)


def log_applied(reply: ReceivedReply) -> None:
    """Log that a reply was applied; call it after the transaction."""
    extra = fields_of(reply, Step.APPLIED)
    log.info("Reply %s applied", reply.pk, extra=extra)
    add_event(Step.APPLIED, extra)


def fields_of(reply: ReceivedReply, step: Step) -> LogFields:
    """Return the fields of a log record about an attempt to apply a reply."""
    submission = reply.submission
    known = LogFields(step=step, submission_id=submission.pk, reply_id=reply.pk)
    # Without the queue's name, which a client has made up if the reply came by a callback.
    return about(submission) | known


def _ledger_entry(
    reply: ReceivedReply, outcome: learner_state.Outcome, result: ApplyResult | None = None
) -> learner_state.ScoreLedger:
    target = reply.submission.target
    return learner_state.ScoreLedger(
        idempotency_key=ledger_key(reply.pk),
        user_id=target.user_id,
        course_key=target.course_key,
        usage_key=target.usage_key,
        outcome=outcome,
        earned=None if result is None else result.points,
        possible=None if result is None else result.max_points,
        attempt=reply.submission_id,
        digest=reply.digest,
    )


def _schedule_retry(reply: ReceivedReply, error: str, *, not_after: datetime | None = None) -> None:
    conf = options()
    wait = backoff(reply.attempts, conf.RETRY_BACKOFF, conf.RETRY_BACKOFF_MAX)
    retry_at = database_now() + timedelta(seconds=wait)
    if not_after is not None:
        retry_at = min(retry_at, not_after)
    if not ReceivedReply.objects.schedule_retry(reply, error, retry_at):
        reply.refresh_from_db(fields=["status"])
