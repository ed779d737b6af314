"""Reply backend "block", which passes the reply to the learner's block loaded by the host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.http import Http404
from django.utils.module_loading import import_string

from xqueue_bridge.conf import options
from xqueue_bridge.data import ApplyResult, Dispatch, ReplyToApply
from xqueue_bridge.exceptions import PermanentApplyError, TransientApplyError
from xqueue_bridge.grader_replies.parsing import write_reply
from xqueue_bridge.grader_replies.scoring import points_of
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms.block import ProblemBlock, answer_points, waiting_answer


class BlockBackend:
    """Call ``handle_ajax`` of a block, in this process and without HTTP, and save the block.

    The backend first checks that the block waits for the queue key, and passes only sanitised
    replies with clamped points, because the block does not validate the reply it receives.
    """

    in_transaction = False
    #: A page that the learner loaded before the reply may be saved after it.
    recheck_seconds = 30.0

    def record(self, delivery: ReplyToApply) -> ApplyResult:
        """Apply ``delivery`` to the block that ``XQUEUE_BRIDGE["BLOCK_LOADER"]`` returns.

        A saved block no longer waits for its queue key. Save and status update share a transaction,
        because a process killed between the two would leave a reply that looks stale.
        """
        block = _load(delivery)
        waits_in = _waiting_id(block, delivery)
        if waits_in is None:
            return ApplyResult(applied=False)
        is_graded = delivery.target.dispatch is Dispatch.SCORE_UPDATE
        maximum = answer_points(block).get(waits_in) if is_graded else None
        points = points_of(delivery.reply, maximum, is_fraction=delivery.score_is_fraction)
        _hand_over(block, delivery, points)
        save = partial(_save, block)
        return ApplyResult(True, points if is_graded else None, maximum, save)


def _hand_over(block: ProblemBlock, delivery: ReplyToApply, points: float) -> None:
    with _of_known_learner():
        block.handle_ajax(
            delivery.target.dispatch,
            {
                "xqueue_header": delivery.header,
                "xqueue_body": write_reply(delivery.reply, score=points),
                "queuekey": delivery.queue_key,
            },
        )
    if _waiting_id(block, delivery) is not None:
        raise TransientApplyError("The block has not taken the reply.")


def _save(block: ProblemBlock) -> None:
    with _of_known_learner():
        block.save()


@contextmanager
def _of_known_learner() -> Iterator[None]:
    try:
        yield
    except learner_state.UnknownLearner as exc:
        raise PermanentApplyError("There is no such learner.") from exc


def _load(delivery: ReplyToApply) -> ProblemBlock:
    path = options().BLOCK_LOADER
    if not path:
        raise ImproperlyConfigured('Set XQUEUE_BRIDGE["BLOCK_LOADER"] for REPLY_BACKEND "block".')
    target = delivery.target
    try:
        block = import_string(path)(target.user_id, target.course_key, target.usage_key)
    except (Http404, ObjectDoesNotExist) as exc:
        raise PermanentApplyError("There is no such learner or block.") from exc
    if block is None:
        raise PermanentApplyError("There is no such block.")
    return block


def _waiting_id(block: ProblemBlock, delivery: ReplyToApply) -> str | None:
    if delivery.target.dispatch is Dispatch.SCORE_UPDATE:
        return waiting_answer(block, delivery.queue_key)
    input_state = getattr(getattr(block, "lcp", None), "input_state", None)
    return learner_state.waiting_inputs({"input_state": input_state}).get(delivery.queue_key)
