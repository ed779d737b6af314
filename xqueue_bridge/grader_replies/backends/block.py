"""Reply backend "block", which passes the reply to the learner's block loaded by the host."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.db import transaction
from django.http import Http404
from django.utils import timezone
from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.data import (
    ApplyResult,
    Dispatch,
    GraderReply,
    ReopenRequest,
    ReplyToApply,
    Target,
)
from xqueue_bridge.exceptions import PermanentApplyError
from xqueue_bridge.grader_replies.backends.base import (
    ANSWERED_AGAIN,
    NO_ANSWER,
    OnApplied,
    Refusal,
    points_of,
    refused,
    with_mark,
)
from xqueue_bridge.grader_replies.parsing import write_reply
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms import block as blocks
from xqueue_bridge.lms import capa
from xqueue_bridge.lms.block import ProblemBlock
from xqueue_bridge.log_fields import LogFields

log = logging.getLogger(__name__)


class BlockBackend:
    """Call ``handle_ajax`` of a block, in this process and without HTTP, and save the block.

    The backend first checks that the block waits for the queue key, and passes only sanitised
    replies with clamped points, because the block does not validate the reply it receives.
    """

    needs_block_lock = True
    #: A page that the learner loaded before the reply may be saved after it.
    recheck_seconds = 30.0
    state_is_ours = False

    def apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        """Apply a reply to the block that ``XQUEUE_BRIDGE["BLOCK_LOADER"]`` returns.

        A saved block no longer waits for its queue key. Save and status update share a transaction,
        because a process killed between the two would leave a reply that looks stale.
        """
        block = _load(to_apply.target)
        waits_in = _waiting_id(block, to_apply)
        if waits_in is None:
            return ApplyResult(applied=False)
        change = _grade if to_apply.target.dispatch is Dispatch.SCORE_UPDATE else _show
        result = change(block, to_apply, waits_in)
        # Not retried after a deadlock, because the block has nothing to save then.
        with transaction.atomic():
            _save(block)
            on_applied(result)
        return result

    def reopen(self, request: ReopenRequest, on_reopened: Callable[[], object]) -> bool:
        """Let the answer wait again that no grader could grade, and save the block."""
        block = _load(request.target)
        is_waiting = blocks.waiting_answer(block, request.queue_key) is not None
        if not is_waiting:
            answer_id = _answer_to_reopen(block, request)
            if answer_id is None:
                return False
            time = f"{timezone.now():%Y%m%d%H%M%S}"
            blocks.wait_again(block, answer_id, request.queue_key, time)
        with transaction.atomic():
            if not is_waiting:
                _save(block)
            on_reopened()
        return True

    def apply_regrade(
        self, to_apply: ReplyToApply, answer_id: str, refusal: Refusal, on_applied: OnApplied
    ) -> ApplyResult:
        """Replace the grade of an answer of the block; nothing is saved if it does not count."""
        block = _load(to_apply.target)
        result = _grade_again(block, to_apply, answer_id, refusal)
        if result.applied:
            with transaction.atomic():
                _save(block)
                on_applied(result)
        return result


def _grade_again(
    block: ProblemBlock, to_apply: ReplyToApply, answer_id: str, refusal: Refusal
) -> ApplyResult:
    """Let the block's answer wait for the reply, and grade it, unless the reply does not count."""
    answer = blocks.graded_answer(block, answer_id)
    maximum = blocks.answer_points(block).get(answer_id)
    if answer is None or maximum is None:
        return NO_ANSWER
    if answer.queue_key not in (None, to_apply.queue_key):
        return ANSWERED_AGAIN
    points = points_of(to_apply.reply, maximum, is_fraction=to_apply.score_is_fraction)
    if reason := refusal(answer.points, points):
        return refused(reason)
    blocks.wait_again(block, answer_id, to_apply.queue_key, f"{timezone.now():%Y%m%d%H%M%S}")
    return _grade(block, to_apply, answer_id)


def _grade(block: ProblemBlock, to_apply: ReplyToApply, answer_id: str) -> ApplyResult:
    maximum = blocks.answer_points(block).get(answer_id)
    if blocks.is_removed(block, answer_id):
        extra = LogFields(submission_id=to_apply.submission_id, reply_id=to_apply.reply_id)
        log.warning(
            "Reply %s is to a part that the problem no longer has", to_apply.reply_id, extra=extra
        )
        blocks.stop_waiting(block, answer_id)
        maximum = 0
    points = points_of(to_apply.reply, maximum, is_fraction=to_apply.score_is_fraction)
    blocks.clamp_answers(block)
    _hand_over(block, to_apply, with_mark(to_apply.reply, points, maximum), points)
    if to_apply.is_failure and not blocks.is_removed(block, answer_id):
        blocks.mark_not_graded(block, answer_id)
    if not blocks.has_possible_score(block):
        raise PermanentApplyError("The block's score is not possible, so it was not saved.")
    return ApplyResult(True, points, maximum, answer_id)


def _show(block: ProblemBlock, to_apply: ReplyToApply, _input_id: str) -> ApplyResult:
    points = points_of(to_apply.reply, None, is_fraction=False)
    _hand_over(block, to_apply, to_apply.reply, points)
    return ApplyResult(applied=True)


def _hand_over(
    block: ProblemBlock, to_apply: ReplyToApply, reply: GraderReply, points: float
) -> None:
    with _of_known_learner():
        block.handle_ajax(
            to_apply.target.dispatch,
            {
                "xqueue_header": to_apply.header,
                "xqueue_body": write_reply(reply, score=points),
                "queuekey": to_apply.queue_key,
            },
        )
    if _waiting_id(block, to_apply) is not None:
        # It would publish a score at each attempt.
        raise PermanentApplyError("The block has not taken the reply.")


def _save(block: ProblemBlock) -> None:
    with _of_known_learner():
        block.save()


@contextmanager
def _of_known_learner() -> Iterator[None]:
    try:
        yield
    except learner_state.UnknownLearner as exc:
        raise PermanentApplyError("There is no such learner.") from exc


def _answer_to_reopen(block: ProblemBlock, request: ReopenRequest) -> str | None:
    """Return the id of the submission's answer; None if it is another one now."""
    user_id, possible = request.target.user_id, blocks.not_graded_answers(block)
    every = blocks.answer_points(block).keys() | possible
    found = capa.answer_of_submission(user_id, request.body, request.queue_key, every)
    if found not in possible:
        return None
    for key, body in request.newer:
        if capa.answer_of_submission(user_id, body, key, every) in (found, None):
            return None
    answer = blocks.learners_answer(block, found)
    is_same = not isinstance(answer, str) or answer == capa.text_of_submission(request.body)
    return found if is_same else None


def _load(target: Target) -> ProblemBlock:
    path = options().BLOCK_LOADER
    if not path:
        raise ImproperlyConfigured('Set XQUEUE_BRIDGE["BLOCK_LOADER"] for REPLY_BACKEND "block".')
    try:
        block = import_string(path)(target.user_id, target.course_key, target.usage_key)
    except (Http404, ObjectDoesNotExist) as exc:
        raise PermanentApplyError("There is no such learner or block.") from exc
    if block is None:
        raise PermanentApplyError("There is no such block.")
    return block


def _waiting_id(block: ProblemBlock, to_apply: ReplyToApply) -> str | None:
    if to_apply.target.dispatch is Dispatch.SCORE_UPDATE:
        return blocks.waiting_answer(block, to_apply.queue_key)
    input_state = getattr(getattr(block, "lcp", None), "input_state", None)
    return capa.waiting_inputs({"input_state": input_state}).get(to_apply.queue_key)
