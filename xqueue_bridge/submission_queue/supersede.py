"""Submissions that the learner's state waits for no more: replaced, reset or deleted."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from django.db.models import Case, F, Q, Value, When
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.log_fields import LogFields, Step
from xqueue_bridge.submission_queue.finish import log_superseded, offer_again
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status, finished

log = logging.getLogger(__name__)


def supersede_replaced(
    user_id: int,
    usage_key: UsageKey,
    waiting_keys: Collection[str],
    released_keys: Collection[str] = (),
) -> None:
    """Supersede the submissions that a learner's newest answer at a block has replaced.

    ``waiting_keys`` are the queue keys that the saved state waits for, ``released_keys`` those
    that only the state before waited for. Of the other submissions only those older than one that
    is waited for are superseded, because the state of a newer one may not be saved yet. One
    that a grader holds is superseded when its lease ends. A superseded submission that the state
    still waits for (two requests crossed) is requeued. Of several submissions with the same key,
    which capa generates within one second, the state waits for the newest.
    """
    rows = list(
        Submission.objects.filter(user_id=user_id, usage_key=usage_key).values_list(
            "pk", "status", "dispatch", "queue_key", "is_replaced", "transport"
        )
    )
    newest_of_key: dict[tuple[str, ...], int] = {}
    newest_waited_for: dict[str, int] = {}
    for pk, _status, dispatch, queue_key, _is_replaced, transport in rows:
        if queue_key in waiting_keys:
            same = (dispatch, queue_key, transport)
            newest_of_key[same] = max(pk, newest_of_key.get(same, 0))
            newest_waited_for[dispatch] = max(pk, newest_waited_for.get(dispatch, 0))
    waited_for = set(newest_of_key.values())
    replaced, wanted, held = [], [], []
    for pk, status, dispatch, queue_key, is_replaced, _transport in rows:
        if pk in waited_for:
            if status == Status.SUPERSEDED:
                wanted.append(pk)
            elif status == Status.LEASED and is_replaced:
                held.append(pk)
        elif (queue_key in released_keys or pk < newest_waited_for.get(dispatch, 0)) and (
            status == Status.WAITING or (status == Status.LEASED and not is_replaced)
        ):
            replaced.append((pk, status))
    _replace(replaced)
    if wanted:
        offer_again(wanted, (Status.SUPERSEDED,))
    if held:
        Submission.objects.filter(pk__in=held, status=Status.LEASED).update(is_replaced=False)


def supersede_reset(user_id: int, usage_key: UsageKey) -> None:
    """Supersede a learner's submissions at a block whose state has no answer any more.

    Regrades are left. One that a grader holds is superseded when its lease ends, and one that a
    state waits for again is requeued, as in ``supersede_replaced``.
    """
    open_rows = Submission.objects.filter(
        user_id=user_id,
        usage_key=usage_key,
        status__in=(Status.WAITING, Status.LEASED),
        is_replaced=False,
        regrade_of=None,
    )
    _replace(list(open_rows.values_list("pk", "status")))


def supersede_open(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> int:
    """Supersede a learner's open submissions at a block; return their number.

    Used when the state is deleted. A grader that holds a lease may still post its result. A
    submission that a saved state waits for again (from a page loaded earlier) is requeued. Call it
    in a transaction. Two statements at most.
    """
    rows = Submission.objects.filter(
        user_id=user_id,
        usage_key=usage_key,
        course_key=course_key,
        status__in=(Status.WAITING, Status.LEASED),
    )
    ids = list(rows.select_for_update().values_list("pk", flat=True))
    if ids:
        rows.filter(pk__in=ids).update(**finished(Status.SUPERSEDED))
        log_superseded(ids)
    return len(ids)


def _replace(rows: Sequence[tuple[int, str]]) -> None:
    """Supersede submissions, with their statuses; one that a grader holds when its lease ends."""
    if not rows:
        return
    is_waiting = Q(status=Status.WAITING)
    # MySQL evaluates the assignments from left to right, so ``status`` is assigned last.
    Submission.objects.filter(
        pk__in=[pk for pk, _status in rows], status__in=(Status.WAITING, Status.LEASED)
    ).update(
        is_replaced=True,
        available_at=Case(When(is_waiting, then=Value(None)), default=F("available_at")),
        due_at=Case(When(is_waiting, then=Value(None)), default=F("due_at")),
        finished_at=Case(When(is_waiting, then=Value(database_now())), default=F("finished_at")),
        status=Case(When(is_waiting, then=Value(Status.SUPERSEDED)), default=F("status")),
    )
    for pk, status in rows:
        step = Step.REPLACED if status == Status.LEASED else Step.SUPERSEDED
        extra = LogFields(step=step, submission_id=pk)
        log.info("The learner's state waits for submission %s no more", pk, extra=extra)
