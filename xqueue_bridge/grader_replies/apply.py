"""Apply stored replies to the learner's state, with retries and one process per block."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import timedelta

from django.db.models import Case, F, Value, When
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.data import ReplyToApply
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.work_item import WorkItemQuerySet
from xqueue_bridge.exceptions import PermanentApplyError, TransientApplyError
from xqueue_bridge.grader_replies import batch, queries, retry
from xqueue_bridge.grader_replies.backends.base import (
    BatchReplyBackend,
    ReplyBackend,
    get_reply_backend,
)
from xqueue_bridge.grader_replies.locks import LOCK_SECONDS, block_lock
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.queries import reply_to_apply
from xqueue_bridge.log_fields import LogFields
from xqueue_bridge.tracing import annotate, traced

Status = ReceivedReply.Status

#: Attempts for a missing learner or block, which may be created shortly after the reply.
PERMANENT_ATTEMPTS = 3
#: Replies to the same block applied under one lock; the sweeper applies the rest.
DRAIN_LIMIT = 20

log = logging.getLogger(__name__)


def apply_reply(reply_id: int) -> ReceivedReply.Status:
    """Apply one reply to the learner's state, if it is due; return the reply's status.

    Safe to call repeatedly and from several processes at once. Raise ReceivedReply.DoesNotExist,
    or ImportError if the setting REPLY_BACKEND names no class.
    """
    backend = get_reply_backend()
    reply = queries.with_submission().get(pk=reply_id)
    due_at = reply.next_attempt_at
    # The first attempt is due at once, whatever the error of ``database_now`` is.
    is_due = due_at is not None and (reply.attempts == 0 or due_at <= database_now())
    if is_due and _attempt(reply, backend):
        _attempt_skipped(reply, backend)
    return Status(reply.status)


def apply_replies(reply_ids: Sequence[int]) -> None:
    """Attempt replies in batches if the backend can, and alone those that are not applied so.

    Safe to call repeatedly and from several processes at once. Raise ImportError as
    ``apply_reply`` does.
    """
    backend = get_reply_backend()  # raises once for a wrong setting, not once for each reply
    applied: set[int] = set()
    if isinstance(backend, BatchReplyBackend) and len(reply_ids) > 1:
        applied = batch.apply_in_batches(reply_ids, backend)
    for reply_id in reply_ids:
        if reply_id in applied:
            continue
        try:
            apply_reply(reply_id)
        except ReceivedReply.DoesNotExist:
            extra = LogFields(reply_id=reply_id)
            log.info("Reply %s is gone: its learner was retired", reply_id, extra=extra)
        except Exception as exc:  # one failing reply must not block the batch
            name, extra = type(exc).__name__, LogFields(reply_id=reply_id)
            log.error("Reply %s could not be tried: %s", reply_id, name, extra=extra)
            _postpone(reply_id, name)


def apply_due(limit: int = 100) -> int:
    """Attempt to apply the replies that are due, longest overdue first; return their number."""
    due = list(ReceivedReply.objects.due(limit).values_list("pk", flat=True))
    apply_replies(due)
    return len(due)


def apply_waiting(user_id: int, usage_key: UsageKey, waiting_keys: frozenset[str]) -> None:
    """Apply now all replies that a learner's block waits for, even stale or dead ones.

    A reply can arrive before the state that waits for it is saved, and an applied reply can be
    overwritten by a page that the learner loaded before.
    """
    found = queries.replies_to(user_id, usage_key, waiting_keys)
    reply_ids = list(found.values_list("pk", flat=True))
    if not reply_ids:
        return
    backend = get_reply_backend()
    # An applied reply keeps its status unless the attempt finds the state waiting: the saved
    # state may have been updated since.
    reopened = Case(When(status=Status.APPLIED, then=F("status")), default=Value(Status.PENDING))
    # An attempt that is under way keeps its count: the save can be a part of that attempt.
    under_way = When(
        last_error=retry.INTERRUPTED, next_attempt_at__isnull=False, then=F("attempts")
    )
    ReceivedReply.objects.filter(pk__in=reply_ids).update(
        status=reopened,
        attempts=Case(under_way, default=Value(0)),
        next_attempt_at=database_now(),
    )
    for reply_id in reply_ids:
        reply = queries.with_submission().get(pk=reply_id)
        if _attempt(reply, backend):
            _attempt_skipped(reply, backend)


def dead_replies() -> WorkItemQuerySet[ReceivedReply]:
    """Return the replies that ``retry_dead`` takes."""
    return ReceivedReply.objects.filter(status=Status.DEAD)


def retry_dead(reply_ids: Collection[int]) -> int:
    """Reset dead replies to PENDING, for the admin action; return their number."""
    return dead_replies().retry(reply_ids, status=Status.PENDING)


def _postpone(reply_id: int, error: str) -> None:
    """Count an attempt that raised unexpectedly, so that the reply moves back in the queue."""
    reply = ReceivedReply.objects.due().filter(pk=reply_id).first()
    if reply is not None:
        reply.attempts += 1
        retry.schedule_retry_or_bury(reply, error, options().MAX_ATTEMPTS)


def _attempt_skipped(reply: ReceivedReply, backend: ReplyBackend) -> None:
    """Attempt the replies to the block of ``reply`` that were skipped while its lock was held."""
    tried = {reply.pk}
    had_lock = True
    while had_lock and len(tried) < DRAIN_LIMIT:
        following = queries.next_for_same_block(reply, tried)
        if following is None:
            break
        tried.add(following.pk)
        had_lock = _attempt(following, backend)


def _attempt(reply: ReceivedReply, backend: ReplyBackend) -> bool:
    """Attempt one reply; return whether the block lock was held, so that others were skipped."""
    if reply.submission.answers_by_callback:
        backend = get_reply_backend("callback")
    elif reply.submission.regrade_of is not None:
        backend = get_reply_backend("regrade")
    needs_lock = backend.needs_block_lock
    was_killed = needs_lock and reply.last_error == retry.INTERRUPTED
    if was_killed and reply.attempts >= options().MAX_ATTEMPTS:
        retry.schedule_retry_or_bury(reply, reply.last_error, options().MAX_ATTEMPTS)
        return False
    reply.attempts += 1
    if not reply.message:  # a valid reply has one; a retired learner's reply lost it
        retry.mark_final(reply, Status.REJECTED, "there is no valid reply to apply")
        return False
    to_apply = reply_to_apply(reply)
    if reply.is_replaced:
        retry.defer_or_mark_stale(reply, to_apply)
        return False
    if not needs_lock:
        _apply(reply, to_apply, backend)
        return False
    with block_lock(to_apply.target.user_id, to_apply.target.usage_key) as is_ours:
        if is_ours and _claim(reply):
            _apply(reply, to_apply, backend)
    return is_ours


def _claim(reply: ReceivedReply) -> bool:
    """Count the attempt before foreign code runs, so that an attempt that hangs is counted."""
    until = database_now() + timedelta(seconds=LOCK_SECONDS)
    claimed = ReceivedReply.objects.claim(reply, until, last_error=retry.INTERRUPTED)
    if not claimed:
        reply.refresh_from_db(fields=["status"])
    return claimed


@traced("apply_reply")
def _apply(reply: ReceivedReply, to_apply: ReplyToApply, backend: ReplyBackend) -> None:
    annotate(LogFields(submission_id=reply.submission_id, reply_id=reply.pk))
    try:
        result = backend.apply(
            to_apply,
            lambda applied: retry.mark_applied([(reply, applied)], backend.recheck_seconds),
        )
    except PermanentApplyError as exc:
        retry.schedule_retry_or_bury(reply, str(exc), PERMANENT_ATTEMPTS)
    except TransientApplyError as exc:
        retry.schedule_retry_or_bury(reply, str(exc), options().MAX_ATTEMPTS)
    except Exception as exc:  # the host's code; the message is not logged
        retry.schedule_retry_or_bury(reply, type(exc).__name__, options().MAX_ATTEMPTS)
    else:
        if result.applied:
            reply.status = Status.APPLIED
            retry.log_applied(reply)
        elif result.refusal and reply.status != Status.APPLIED:
            retry.mark_final(reply, Status.STALE, result.refusal)
        else:
            retry.defer_or_mark_stale(reply, to_apply)
