"""Reply backend "state", which updates the StudentModule row and loads no block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from xqueue_bridge.data import ApplyResult, Dispatch, ReplyToApply
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import PermanentApplyError
from xqueue_bridge.grader_replies.backends.base import OnApplied, points_of, with_mark
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms import capa
from xqueue_bridge.lms.users import user_exists

NOT_WAITING = ApplyResult(applied=False)


class StudentModuleBackend:
    """Write the state that a capa block would write, under the lock of the learner's row."""

    needs_block_lock = False
    recheck_seconds = None

    def apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        """Apply a reply with three statements, and one more on SQLite."""
        return in_transaction(partial(self._apply, to_apply, on_applied))

    def _apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        target = to_apply.target
        row = learner_state.lock_row(target.user_id, target.course_key, target.usage_key)
        if row is None:
            if not user_exists(target.user_id):
                raise PermanentApplyError("There is no such learner.")
            return NOT_WAITING
        result = _change(row, to_apply)
        if result.applied:
            learner_state.save_rows([row], learner_state.Reason.REPLY)
            on_applied(result)
        return result

    def apply_batch(
        self,
        batch: Sequence[ReplyToApply],
        on_applied: Callable[[Sequence[ApplyResult]], None],
    ) -> list[ApplyResult]:
        """Apply a batch with three statements, and one more on SQLite."""
        return in_transaction(partial(self._apply_batch, batch, on_applied))

    def _apply_batch(
        self,
        batch: Sequence[ReplyToApply],
        on_applied: Callable[[Sequence[ApplyResult]], None],
    ) -> list[ApplyResult]:
        targets = [each.target for each in batch]
        keys = [learner_state.row_key(t.user_id, t.course_key, t.usage_key) for t in targets]
        rows = learner_state.lock_rows(keys)
        results, changed = [], []
        for key, to_apply in zip(keys, batch, strict=True):
            row = rows.get(key)
            result = _change(row, to_apply) if row else NOT_WAITING
            results.append(result)
            if row and result.applied:
                changed.append(row)
        learner_state.save_rows(changed, learner_state.Reason.REPLY)
        on_applied(results)
        return results


def _change(row: learner_state.StudentModuleRow, to_apply: ReplyToApply) -> ApplyResult:
    """Change the row's state and score, unless its state does not wait for the queue key."""
    change = _show if to_apply.target.dispatch is Dispatch.UNGRADED_RESPONSE else _grade
    return change(row, to_apply)


def _grade(row: learner_state.StudentModuleRow, to_apply: ReplyToApply) -> ApplyResult:
    fields = row.fields()
    answer_id = capa.waiting_answers(fields).get(to_apply.queue_key)
    if answer_id is None:
        return NOT_WAITING
    is_fraction = to_apply.score_is_fraction
    maximum = capa.maximum_of(fields, answer_id, to_apply.points, is_fraction=is_fraction)
    points = points_of(to_apply.reply, maximum, is_fraction=is_fraction)
    possible = capa.possible_of(fields, to_apply.points)
    if to_apply.is_failure:
        state = capa.failed(fields, answer_id, to_apply.reply.msg, possible=possible)
    else:
        reply = with_mark(to_apply.reply, points, maximum)
        state = capa.graded(fields, answer_id, reply, points=points, possible=possible)
    row.set_fields(state)
    row.set_score(learner_state.RawScore(state["score"]["raw_earned"], possible))
    return ApplyResult(True, points, maximum)


def _show(row: learner_state.StudentModuleRow, to_apply: ReplyToApply) -> ApplyResult:
    fields = row.fields()
    input_id = capa.waiting_inputs(fields).get(to_apply.queue_key)
    if input_id is None:
        return NOT_WAITING
    row.set_fields(capa.shown(fields, input_id, to_apply.reply.msg))
    return ApplyResult(applied=True)
