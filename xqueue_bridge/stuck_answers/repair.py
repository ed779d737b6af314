"""Repair stuck answers: offer them again, apply the stored reply, or tell the learner."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from functools import partial

from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.log_fields import LogFields
from xqueue_bridge.stuck_answers.find import reads_platform, stuck_among
from xqueue_bridge.stuck_answers.kinds import Kind, Outcome, Repaired, StuckAnswer
from xqueue_bridge.submission_queue import api as submission_queue

log = logging.getLogger(__name__)

#: Bound of one call, in which a reply backend may load many blocks.
MAX_SECONDS = 20.0

ORIGINAL_GONE = "the submission that was graded again is not stored"
CHANGED = "it has changed meanwhile"


def repair(
    row_ids: Collection[int],
    course_key: LearningContextKey | None = None,
    *,
    seconds: float = MAX_SECONDS,
) -> list[Repaired]:
    """Repair the stuck answers in these rows of learners' states, of one course or of all.

    After ``seconds`` no further repair begins; what is left is found again.

    What each answer needs is found out anew, so an answer that is no longer stuck is left alone.
    Of a reply that arrives meanwhile and the failure reply the state takes the first, and the
    other is stale. Call it outside any transaction, because a reply backend may load blocks.
    """
    waiting = learner_state.waiting_answers(row_ids, course_key, of_platform=reads_platform())
    end, done = time.monotonic() + seconds, []
    for answer in stuck_among(waiting):
        if time.monotonic() >= end:
            break
        done.append(_repair(answer))
    return done


def _repair(answer: StuckAnswer) -> Repaired:
    try:
        reason = _STEPS[answer.kind](answer)
    except Exception as exc:  # the host's code that loads the block; its message is not logged
        reason = type(exc).__name__
    repaired = _outcome(answer, reason)
    # Neither the learner's work nor the queue key.
    log.info(
        "The stuck answer in row %s (%s) of submission %s: %s",
        answer.row_id,
        answer.kind,
        answer.submission_id,
        repaired.outcome,
        extra=LogFields(submission_id=answer.submission_id),
    )
    return repaired


def _outcome(answer: StuckAnswer, reason: str) -> Repaired:
    still = learner_state.waiting_answers([answer.row_id], of_platform=reads_platform())
    # A state that waited for a regrade may wait for the original submission now.
    stuck = [
        each
        for each in stuck_among(still)
        if each.queue_key == answer.queue_key or answer.kind == Kind.REGRADE
    ]
    if stuck:
        if not reason and answer.submission_id is not None:
            reason = grader_replies.last_error_of(answer.submission_id)
        return Repaired(answer, Outcome.NOT_REPAIRED, reason)
    if any(each.queue_key == answer.queue_key for each in still):
        stored = submission_queue.find_waited_for([(answer.target, answer.queue_key)])
        # A result that came after the failure is applied instead of offering it again.
        is_pending = any(each.has_pending_reply for each in stored.values())
        return Repaired(answer, Outcome.PENDING if is_pending else Outcome.OFFERED)
    is_offered = answer.repair == Outcome.OFFERED
    return Repaired(answer, Outcome.APPLIED if is_offered else answer.repair)


def _lost(answer: StuckAnswer) -> str:
    """Store a row with a failure reply, under the lock of the state: one repair at a time."""

    def work() -> None:
        rows = learner_state.waiting_answers(
            [answer.row_id], of_platform=reads_platform(), lock=True
        )
        if any(each.queue_key == answer.queue_key for each in rows):
            submission_queue.end_lost(answer.target, answer.queue_key)

    in_transaction(work)
    return _apply(answer)


def _no_reply(answer: StuckAnswer) -> str:
    if answer.submission_id is None:
        raise AssertionError("only a lost submission has no id")
    if answer.can_offer:
        return "" if submission_queue.offer_unanswered(answer.submission_id) else CHANGED
    submission_queue.end_unanswered(answer.submission_id)
    return _apply(answer)


def _failed(answer: StuckAnswer) -> str:
    if answer.can_offer and answer.submission_id is not None:
        return "" if submission_queue.requeue([answer.submission_id]) else CHANGED
    return _no_reply(answer)


def _regrade(answer: StuckAnswer) -> str:
    """Let the state wait for the original submission, whose reply is stored, and apply it."""
    target = answer.target
    original = submission_queue.original_key(answer.queue_key, target)
    if not original:
        return ORIGINAL_GONE
    wait = partial(grader_replies.wait_for_other, target, answer.queue_key, original)
    if not in_transaction(wait):
        return CHANGED
    keys = frozenset({original})
    grader_replies.apply_waiting(target.user_id, target.usage_key, keys)
    return ""


def _apply(answer: StuckAnswer) -> str:
    target = answer.target
    keys = frozenset({answer.queue_key})
    grader_replies.apply_waiting(target.user_id, target.usage_key, keys)
    return ""


_STEPS: dict[Kind, Callable[[StuckAnswer], str]] = {
    Kind.LOST: _lost,
    Kind.NO_REPLY: _no_reply,
    Kind.NOT_APPLIED: _apply,
    Kind.FAILED: _failed,
    Kind.REGRADE: _regrade,
}
