"""The reply backend of regrades; ``grader_replies`` chooses it for a submission with regrade_of."""

from __future__ import annotations

from functools import partial

from xqueue_bridge.data import ApplyResult, ReplyToApply
from xqueue_bridge.exceptions import PermanentApplyError
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.regrading import items
from xqueue_bridge.regrading.models import RegradeItem
from xqueue_bridge.submission_queue import api as submission_queue

Status = RegradeItem.Status
OnApplied = grader_replies.OnApplied

NOT_OPEN = "the regrade has ended"
NOT_HIGHER = "it has no more points than the learner has"
NO_RESULT = "no grader returned a valid result"


class RegradeReplyBackend:
    """Apply replies to regrades with the backend of ``REPLY_BACKEND``.

    A reply counts only while its item is open, and while the learner has not answered again.
    A failure reply changes nothing: the learner keeps the grade.
    """

    #: A page that the learner loaded before is not saved over it again: the item is finished.
    recheck_seconds = None

    @property
    def needs_block_lock(self) -> bool:
        return grader_replies.get_reply_backend().needs_block_lock

    @property
    def state_is_ours(self) -> bool:
        return grader_replies.get_reply_backend().state_is_ours

    def apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        """Apply a reply if it counts; finish its item in the same transaction.

        Two statements in addition to those of the backend.
        """
        backend = grader_replies.get_reply_backend()
        if not isinstance(backend, grader_replies.RegradeBackend):
            raise PermanentApplyError("REPLY_BACKEND cannot replace a grade.")
        item = _item_of(to_apply)
        if item is None or item.status != Status.OPEN:
            return ApplyResult(applied=False, refusal=NOT_OPEN)
        if to_apply.is_failure:
            items.end(item, Status.FAILED, NO_RESULT)
            return ApplyResult(applied=False, refusal=NO_RESULT)
        decision = _Decision(item, to_apply)

        def finish_and_mark(result: ApplyResult) -> None:
            if not items.finish(item.pk, decision.outcome, after=result.points):
                raise _Cancelled
            on_applied(result)

        try:
            result = backend.apply_regrade(
                to_apply, item.answer_id, decision.refusal, finish_and_mark
            )
        except _Cancelled:
            return ApplyResult(applied=False, refusal=NOT_OPEN)
        if not result.applied:
            items.end(item, decision.refused, result.refusal)
        return result


class _Cancelled(Exception):
    """The item was cancelled while its reply was applied; rolls the reply back."""


class _Decision:
    """Whether the reply counts, and the item's status then; asked under the learner's lock."""

    def __init__(self, item: RegradeItem, to_apply: ReplyToApply) -> None:
        self._item = item
        self._has_newer = partial(
            submission_queue.has_newer_answer, item.original_id, to_apply.target, item.answer_id
        )
        self.outcome: str = Status.SAME
        self.refused: str = Status.SKIPPED

    def refusal(self, before: float, after: float) -> str:
        # A state that waits for this reply has no points of the answer.
        if self._item.kept_entry is not None:
            before = self._item.points_before or 0
        if self._has_newer():
            return items.NEWER_ANSWER
        if self._item.regrade.only_if_higher and after <= before:
            self.refused = Status.KEPT
            return NOT_HIGHER
        if after != before:
            self.outcome = Status.UP if after > before else Status.DOWN
        return ""


def _item_of(to_apply: ReplyToApply) -> RegradeItem | None:
    rows = RegradeItem.objects.select_related("regrade")
    return rows.filter(submission_id=to_apply.submission_id).first()
