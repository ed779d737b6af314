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
        module = learner_state.locked_module(target.user_id, target.course_key, target.usage_key)
        if module is None:
            if not user_exists(target.user_id):
                raise PermanentApplyError("There is no such learner.")
            return NOT_WAITING
        if target.dispatch is Dispatch.UNGRADED_RESPONSE:
            return _show(module, delivery)
        return _grade(module, delivery)


def _grade(module: learner_state.LockedModule, delivery: ReplyToApply) -> ApplyResult:
    answer_id = learner_state.waiting_answers(module.state).get(delivery.queue_key)
    if answer_id is None:
        return NOT_WAITING
    is_fraction = delivery.score_is_fraction
    maximum = capa_state.maximum_of(
        module.state, answer_id, delivery.points, is_fraction=is_fraction
    )
    points = points_of(delivery.reply, maximum, is_fraction=is_fraction)
    possible = capa_state.possible_of(module.state, delivery.points)
    state = capa_state.graded(
        module.state, answer_id, delivery.reply, points=points, possible=possible
    )
    score = learner_state.RawScore(state["score"]["raw_earned"], possible)
    module.write(learner_state.Reason.REPLY, state=state, score=score)
    return ApplyResult(True, points, maximum)


def _show(module: learner_state.LockedModule, delivery: ReplyToApply) -> ApplyResult:
    input_id = learner_state.waiting_inputs(module.state).get(delivery.queue_key)
    if input_id is None:
        return NOT_WAITING
    state = capa_state.shown(module.state, input_id, delivery.reply.msg)
    module.write(learner_state.Reason.REPLY, state=state)
    return ApplyResult(applied=True)
