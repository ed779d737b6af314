"""Reply backend "state", which updates the StudentModule row and loads no block."""

from __future__ import annotations

from xqueue_bridge.data import ApplyResult, Dispatch, ReplyToApply
from xqueue_bridge.exceptions import PermanentApplyError
from xqueue_bridge.grader_replies.backends import capa_state
from xqueue_bridge.grader_replies.scoring import points_of
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms.users import user_exists

NOT_WAITING = ApplyResult(applied=False)


class StudentModuleBackend:
    """Write the state that a capa block would write, under the lock of the learner's row."""

    in_transaction = True
    recheck_seconds = None

    def record(self, delivery: ReplyToApply) -> ApplyResult:
        """Apply ``delivery`` with three statements, and one more on SQLite."""
        target = delivery.target
        row = learner_state.lock_row(target.user_id, target.course_key, target.usage_key)
        if row is None:
            if not user_exists(target.user_id):
                raise PermanentApplyError("There is no such learner.")
            return NOT_WAITING
        if target.dispatch is Dispatch.UNGRADED_RESPONSE:
            return _show(row, delivery)
        return _grade(row, delivery)


def _grade(row: learner_state.StudentModuleRow, delivery: ReplyToApply) -> ApplyResult:
    fields = row.fields()
    answer_id = learner_state.waiting_answers(fields).get(delivery.queue_key)
    if answer_id is None:
        return NOT_WAITING
    is_fraction = delivery.score_is_fraction
    maximum = capa_state.maximum_of(fields, answer_id, delivery.points, is_fraction=is_fraction)
    points = points_of(delivery.reply, maximum, is_fraction=is_fraction)
    possible = capa_state.possible_of(fields, delivery.points)
    state = capa_state.graded(fields, answer_id, delivery.reply, points=points, possible=possible)
    row.set_fields(state)
    row.set_score(learner_state.RawScore(state["score"]["raw_earned"], possible))
    learner_state.save_rows([row], learner_state.Reason.REPLY)
    return ApplyResult(True, points, maximum)


def _show(row: learner_state.StudentModuleRow, delivery: ReplyToApply) -> ApplyResult:
    fields = row.fields()
    input_id = learner_state.waiting_inputs(fields).get(delivery.queue_key)
    if input_id is None:
        return NOT_WAITING
    row.set_fields(capa_state.shown(fields, input_id, delivery.reply.msg))
    learner_state.save_rows([row], learner_state.Reason.REPLY)
    return ApplyResult(applied=True)
