"""Apply stored replies to the learner's state, with retries and one process per block."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta
from typing import Any, cast

from django.apps import apps
from django.db import transaction
from django.db.models import Case, Exists, F, OuterRef, QuerySet, Value, When
from django.utils import timezone
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.conf import options, queue_options
from xqueue_bridge.data import ApplyResult, Dispatch, ReplyToApply
from xqueue_bridge.exceptions import InvalidReply, PermanentApplyError, TransientApplyError
from xqueue_bridge.grader_replies import retry
from xqueue_bridge.grader_replies.backends.base import ReplyBackend, get_reply_backend
from xqueue_bridge.grader_replies.locks import LOCK_SECONDS, block_lock
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.learner_state import api as learner_state

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
    reply = _load(reply_id)
    if _is_due(reply):
        _attempt(reply, backend)
    return Status(reply.status)


def apply_due(limit: int = 100) -> int:
    """Attempt to apply the replies that are due, longest overdue first; return their number."""
    get_reply_backend()  # raises once for a wrong setting, not once for each reply
    tried = list(ReceivedReply.objects.due(limit).values_list("pk", flat=True))
    for reply_id in tried:
        try:
            apply_reply(reply_id)
        except Exception as exc:  # one failing reply must not block the batch
            log.error("Reply %s could not be tried: %s", reply_id, type(exc).__name__)
            _postpone(reply_id, type(exc).__name__)
    return len(tried)


def apply_waiting(user_id: int, usage_key: UsageKey, waiting_keys: frozenset[str]) -> None:
    """Apply now all replies that a learner's block waits for, even stale or dead ones.

    A reply can arrive before the state that waits for it is saved, and an applied reply can be
    overwritten by a page that the learner loaded before.
    """
    wanted = list(_answers_to(user_id, usage_key, waiting_keys).values_list("pk", flat=True))
    if not wanted:
        return
    backend = get_reply_backend()
    now = timezone.now()
    # An applied reply keeps its status unless the attempt finds the state waiting: the saved
    # state may have been updated since.
    reopened = Case(When(status=Status.APPLIED, then=F("status")), default=Value(Status.PENDING))
    # An attempt that is under way keeps its count: the save can be a part of that attempt.
    under_way = When(
        last_error=retry.INTERRUPTED, next_attempt_at__isnull=False, then=F("attempts")
    )
    ReceivedReply.objects.filter(pk__in=wanted).update(
        status=reopened, attempts=Case(under_way, default=Value(0)), next_attempt_at=now
    )
    for reply_id in wanted:
        _attempt(_load(reply_id), backend)


def retry_dead(reply_ids: Collection[int]) -> int:
    """Reset dead replies to PENDING, for the admin action; return their number."""
    dead = ReceivedReply.objects.filter(status=Status.DEAD)
    return dead.retry(reply_ids, status=Status.PENDING)


def _answers_to(
    user_id: int, usage_key: UsageKey, waiting_keys: frozenset[str]
) -> QuerySet[ReceivedReply]:
    """Return the replies for these keys, each key's newest submission only."""
    return (
        ReceivedReply.objects.filter(
            ~_is_replaced(),
            submission__user_id=user_id,
            submission__usage_key=usage_key,
            submission__queue_key__in=waiting_keys,
        )
        .exclude(status=Status.REJECTED)
        .order_by("pk")
    )


def _is_replaced() -> Exists:
    """Match replies whose key a newer answer has: capa reuses a key within one second."""
    same = ("user_id", "usage_key", "dispatch", "queue_key")
    newer = {field: OuterRef(f"submission__{field}") for field in same}
    submissions = apps.get_model("xqueue_bridge", "Submission").objects
    return Exists(submissions.filter(**newer, id__gt=OuterRef("submission_id")))


def _load(reply_id: int) -> ReceivedReply:
    return _with_submission().get(pk=reply_id)


def _with_submission() -> QuerySet[ReceivedReply]:
    # The learner's answer is not needed to apply a reply.
    wide = ("submission__content__body", "submission__content__files")
    replies = ReceivedReply.objects.annotate(is_replaced=_is_replaced())
    return replies.select_related("submission__content").defer(*wide)


def _is_due(reply: ReceivedReply) -> bool:
    if reply.next_attempt_at is None:
        return False
    # The first attempt is due regardless of this machine's clock.
    return reply.attempts == 0 or reply.next_attempt_at <= timezone.now()


def _postpone(reply_id: int, error: str) -> None:
    """Count an attempt that raised unexpectedly, so that the reply moves back in the queue."""
    reply = ReceivedReply.objects.due().filter(pk=reply_id).first()
    if reply is not None:
        reply.attempts += 1
        retry.schedule_retry_or_bury(reply, error, options().MAX_ATTEMPTS)


def _attempt(reply: ReceivedReply, backend: ReplyBackend) -> None:
    """Attempt one reply, and replies to the same block that were skipped because of the lock."""
    tried = {reply.pk}
    was_locked = _attempt_one(reply, backend)
    while was_locked and len(tried) < DRAIN_LIMIT:
        following = _next_for_same_block(reply, tried)
        if following is None:
            break
        tried.add(following.pk)
        was_locked = _attempt_one(following, backend)


def _attempt_one(reply: ReceivedReply, backend: ReplyBackend) -> bool:
    """Attempt one reply; return whether the block lock was held, so that others were skipped."""
    was_interrupted = reply.last_error == retry.INTERRUPTED
    if was_interrupted and not backend.in_transaction and reply.attempts >= options().MAX_ATTEMPTS:
        retry.schedule_retry_or_bury(reply, reply.last_error, options().MAX_ATTEMPTS)
        return False
    reply.attempts += 1
    try:
        to_apply = _to_apply(reply)
    except InvalidReply as exc:
        retry.mark_final(reply, Status.REJECTED, str(exc))
        return False
    if cast(Any, reply).is_replaced:
        retry.defer_or_mark_stale(reply, to_apply)
        return False
    if backend.in_transaction:
        _record(reply, to_apply, backend)
        return False
    with block_lock(to_apply.target.user_id, to_apply.target.usage_key) as is_ours:
        if is_ours and _claim(reply):
            _record(reply, to_apply, backend)
    return is_ours


def _next_for_same_block(reply: ReceivedReply, tried: set[int]) -> ReceivedReply | None:
    """Return a due reply to the same block, which another process skipped because of the lock."""
    submission = reply.submission
    return (
        _with_submission()
        .filter(
            submission__user_id=submission.user_id,
            submission__usage_key=submission.usage_key,
            status=Status.PENDING,
            next_attempt_at__lte=timezone.now(),
        )
        .exclude(pk__in=tried)
        .order_by("pk")
        .first()
    )


def _to_apply(reply: ReceivedReply) -> ReplyToApply:
    submission = reply.submission
    target = submission.target
    return ReplyToApply(
        reply_id=reply.pk,
        target=target,
        queue_key=submission.queue_key,
        header=submission.content.header,
        reply=parse_reply(reply.body, graded=target.dispatch is Dispatch.SCORE_UPDATE),
        points=submission.content.points,
        score_is_fraction=queue_options(submission.queue_name).SCORE_SCALE == "fraction",
        sent_at=submission.created_at,
    )


def _claim(reply: ReceivedReply) -> bool:
    """Count the attempt before foreign code runs, so that an attempt that hangs is counted."""
    again_at = timezone.now() + timedelta(seconds=LOCK_SECONDS)
    claimed = ReceivedReply.objects.claim(reply, again_at, last_error=retry.INTERRUPTED)
    if not claimed:
        reply.refresh_from_db(fields=["status"])
    return claimed


def _record(reply: ReceivedReply, to_apply: ReplyToApply, backend: ReplyBackend) -> None:
    def mark(result: ApplyResult) -> ApplyResult:
        if result.applied:
            retry.mark_applied(reply, to_apply, result, backend.recheck_seconds)
        return result

    try:
        if backend.in_transaction:
            result = learner_state.in_transaction(lambda: mark(backend.record(to_apply)))
        else:
            result = backend.record(to_apply)
            if result.save:
                # Not retried: after a collision the block has nothing to save.
                with transaction.atomic():
                    result.save()
                    mark(result)
            elif result.applied:
                # The foreign code cannot be repeated, but the status update can.
                learner_state.in_transaction(lambda: mark(result))
    except PermanentApplyError as exc:
        retry.schedule_retry_or_bury(reply, str(exc), PERMANENT_ATTEMPTS)
    except TransientApplyError as exc:
        retry.schedule_retry_or_bury(reply, str(exc), options().MAX_ATTEMPTS)
    except Exception as exc:  # the host's code; the message is not logged
        retry.schedule_retry_or_bury(reply, type(exc).__name__, options().MAX_ATTEMPTS)
    else:
        if result.applied:
            reply.status = Status.APPLIED
            log.info("Reply %s applied", reply.pk)
        else:
            retry.defer_or_mark_stale(reply, to_apply)
