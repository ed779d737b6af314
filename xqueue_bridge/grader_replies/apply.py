"""A stored reply on its way to the learner's state: when it is tried, and by whom."""

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
from xqueue_bridge.data import Delivery, Dispatch, Recorded
from xqueue_bridge.exceptions import InvalidReply, PermanentDeliveryError, TransientDeliveryError
from xqueue_bridge.grader_replies import retry as outcomes
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.grader_replies.backends.base import Recorder, get_recorder
from xqueue_bridge.grader_replies.locks import TURN_SECONDS, turn
from xqueue_bridge.learner_state import api as learner_state

Status = ReceivedReply.Status

#: A learner or block that does not exist may be on its way; it gets this many attempts.
PERMANENT_ATTEMPTS = 3
#: Replies to the same block that one deliverer takes along; the sweeper has the rest.
DRAIN_LIMIT = 20

log = logging.getLogger(__name__)


def deliver(reply_id: int) -> ReceivedReply.Status:
    """Try to bring one reply to the learner's state, if it is due; return how far it has got.

    Safe to call again and from several processes at once. Raises ReceivedReply.DoesNotExist,
    and ImportError where the setting RECORDER names none.
    """
    recorder = get_recorder()
    reply = _load(reply_id)
    if _is_due(reply):
        _attempt(reply, recorder)
    return Status(reply.status)


def deliver_due(limit: int = 100) -> int:
    """Try the replies that are due, longest overdue first; return how many were tried."""
    get_recorder()  # a wrong setting is one error, and not one for each reply
    due = ReceivedReply.objects.filter(next_attempt_at__lte=timezone.now())
    tried = list(due.order_by("next_attempt_at").values_list("pk", flat=True)[:limit])
    for reply_id in tried:
        try:
            deliver(reply_id)
        except Exception as problem:  # one reply must not keep the others waiting
            log.error("Reply %s could not be tried: %s", reply_id, type(problem).__name__)
            _postpone(reply_id, type(problem).__name__)
    return len(tried)


def deliver_for(user_id: int, usage_key: UsageKey, waiting_keys: frozenset[str]) -> None:
    """Deliver now what a learner's block waits for, whatever was thought of it before.

    A reply can be earlier than the state that waits for it, and a reply that was applied can
    be overwritten by a page of the learner's that was loaded before.
    """
    wanted = list(_answers_to(user_id, usage_key, waiting_keys).values_list("pk", flat=True))
    if not wanted:
        return
    recorder = get_recorder()
    now = timezone.now()
    # An applied one stays so unless the state proves to wait for it again: what was saved may
    # have been answered since.
    reopened = Case(When(status=Status.APPLIED, then=F("status")), default=Value(Status.PENDING))
    # One that is being tried counts on: the save can be a part of the attempt.
    under_way = When(problem=outcomes.NO_END, next_attempt_at__isnull=False, then=F("attempts"))
    ReceivedReply.objects.filter(pk__in=wanted).update(
        status=reopened, attempts=Case(under_way, default=Value(0)), next_attempt_at=now
    )
    for reply_id in wanted:
        _attempt(_load(reply_id), recorder)


def try_again(reply_ids: Collection[int]) -> int:
    """Have replies delivered after all that were given up; return how many. For operators."""
    dead = ReceivedReply.objects.filter(pk__in=reply_ids, status=Status.DEAD)
    return dead.update(status=Status.PENDING, attempts=0, next_attempt_at=timezone.now())


def _answers_to(
    user_id: int, usage_key: UsageKey, waiting_keys: frozenset[str]
) -> QuerySet[ReceivedReply]:
    """Replies for these keys, each key's newest submission only."""
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
    """Whether a newer answer has the same key: capa gives one key to answers of one second."""
    place = ("user_id", "usage_key", "dispatch", "queue_key")
    newer = {field: OuterRef(f"submission__{field}") for field in place}
    submissions = apps.get_model("xqueue_bridge", "Submission").objects
    return Exists(submissions.filter(**newer, id__gt=OuterRef("submission_id")))


def _load(reply_id: int) -> ReceivedReply:
    return _with_submission().get(pk=reply_id)


def _with_submission() -> QuerySet[ReceivedReply]:
    # What the learner sent is not needed to deliver what came back.
    wide = ("submission__content__body", "submission__content__files")
    replies = ReceivedReply.objects.annotate(is_replaced=_is_replaced())
    return replies.select_related("submission__content").defer(*wide)


def _is_due(reply: ReceivedReply) -> bool:
    if reply.next_attempt_at is None:
        return False
    # Never tried: due whatever this machine's clock says.
    return reply.attempts == 0 or reply.next_attempt_at <= timezone.now()


def _postpone(reply_id: int, problem: str) -> None:
    """Count an attempt that did not come to an outcome. Else it would be the first due for ever."""
    reply = ReceivedReply.objects.filter(pk=reply_id, next_attempt_at__lte=timezone.now()).first()
    if reply is not None:
        outcomes.failed(reply, problem, options().DELIVERY_ATTEMPTS)


def _attempt(reply: ReceivedReply, recorder: Recorder) -> None:
    """Try one reply, and those to the same place whose deliverers found the turn taken."""
    tried = {reply.pk}
    had_turn = _attempt_one(reply, recorder)
    while had_turn and len(tried) < DRAIN_LIMIT and (other := _left_by_others(reply, tried)):
        tried.add(other.pk)
        had_turn = _attempt_one(other, recorder)


def _attempt_one(reply: ReceivedReply, recorder: Recorder) -> bool:
    """Try one reply; return whether we had a turn, and others may have been kept from theirs."""
    try:
        delivery = _delivery_of(reply)
    except InvalidReply as problem:
        outcomes.finish(reply, Status.REJECTED, str(problem))
        return False
    if cast(Any, reply).is_replaced:
        outcomes.not_waiting(reply, delivery)
        return False
    if recorder.in_transaction:
        _record(reply, delivery, recorder)
        return False
    if reply.problem == outcomes.NO_END and reply.attempts >= options().DELIVERY_ATTEMPTS:
        outcomes.failed(reply, reply.problem, options().DELIVERY_ATTEMPTS)
        return False
    with turn(delivery.target.user_id, delivery.target.usage_key) as is_ours:
        if is_ours and _claim(reply):
            _record(reply, delivery, recorder)
    return is_ours


def _left_by_others(reply: ReceivedReply, tried: set[int]) -> ReceivedReply | None:
    """Return a reply to the same place whose deliverer found the turn taken."""
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


def _delivery_of(reply: ReceivedReply) -> Delivery:
    submission = reply.submission
    target = submission.target
    return Delivery(
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
    """Count the attempt before foreign code runs, so that one that never returns counts too."""
    again_at = timezone.now() + timedelta(seconds=TURN_SECONDS)
    claimed = ReceivedReply.objects.filter(
        pk=reply.pk, status=reply.status, next_attempt_at=reply.next_attempt_at
    ).update(attempts=reply.attempts + 1, next_attempt_at=again_at, problem=outcomes.NO_END)
    if claimed:
        reply.next_attempt_at = again_at
    else:
        reply.refresh_from_db(fields=["status"])
    return bool(claimed)


def _record(reply: ReceivedReply, delivery: Delivery, recorder: Recorder) -> None:
    def mark(recorded: Recorded) -> Recorded:
        if recorded.applied:
            outcomes.mark_applied(reply, delivery, recorded, recorder.recheck_seconds)
        return recorded

    try:
        if recorder.in_transaction:
            recorded = learner_state.in_transaction(lambda: mark(recorder.record(delivery)))
        else:
            recorded = recorder.record(delivery)
            if recorded.save:
                # Once: after a collision a block has nothing left to save. A new attempt loads it.
                with transaction.atomic():
                    recorded.save()
                    mark(recorded)
            elif recorded.applied:
                # What foreign code has done cannot be done again. The note of it can be.
                learner_state.in_transaction(lambda: mark(recorded))
    except PermanentDeliveryError as problem:
        outcomes.failed(reply, str(problem), PERMANENT_ATTEMPTS)
    except TransientDeliveryError as problem:
        outcomes.failed(reply, str(problem), options().DELIVERY_ATTEMPTS)
    except Exception as problem:  # the host's code; its message may hold anything
        outcomes.failed(reply, type(problem).__name__, options().DELIVERY_ATTEMPTS)
    else:
        if recorded.applied:
            reply.status = Status.APPLIED
            log.info("Reply %s applied", reply.pk)
        else:
            outcomes.not_waiting(reply, delivery)
