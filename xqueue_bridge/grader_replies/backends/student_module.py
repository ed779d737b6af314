"""Reply backend "state", which updates the StudentModule row and loads no block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from django.utils import timezone

from xqueue_bridge.data import ApplyResult, Dispatch, ReopenRequest, ReplyToApply, Target
from xqueue_bridge.db.transactions import in_transaction
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
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.lms import capa
from xqueue_bridge.lms.users import user_exists

NOT_WAITING = ApplyResult(applied=False)
#: History entries in which the state that waited is looked for, newest first.
MAX_ENTRIES = 200


class StudentModuleBackend:
    """Write the state that a capa block would write, under the lock of the learner's row."""

    needs_block_lock = False
    recheck_seconds = None
    state_is_ours = True

    def apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        """Apply a reply with three statements; one more if ``locks_by_writing``."""

        def work() -> ApplyResult:
            [result] = _write([to_apply])
            if result is not None and result.applied:
                on_applied(result)
            elif result is None and not user_exists(to_apply.target.user_id):
                raise PermanentApplyError("There is no such learner.")
            return result or NOT_WAITING

        return in_transaction(work)

    def reopen(self, request: ReopenRequest, on_reopened: Callable[[], object]) -> bool:
        """Let the state wait again; the write has a history entry of its own.

        The state that waited is found in the history. A learner without a row has a state that is
        stored elsewhere, or was deleted: True, and nothing is written.
        """

        def work() -> bool:
            if not _reopen(request.target, request.queue_key):
                return False
            on_reopened()
            return True

        return in_transaction(work)

    def apply_regrade(
        self, to_apply: ReplyToApply, answer_id: str, refusal: Refusal, on_applied: OnApplied
    ) -> ApplyResult:
        """Replace the grade of an answer with three statements, and one more on SQLite."""

        def work() -> ApplyResult:
            target = to_apply.target
            row = learner_state.lock_row(target.user_id, target.course_key, target.usage_key)
            if row is None:
                return NO_ANSWER
            result = _grade_again(row, to_apply, answer_id, refusal)
            if result.applied:
                learner_state.save_rows([row], learner_state.Reason.REPLY)
                on_applied(result)
            return result

        return in_transaction(work)

    def apply_batch(
        self,
        batch: Sequence[ReplyToApply],
        on_applied: Callable[[Sequence[ApplyResult]], None],
    ) -> list[ApplyResult]:
        """Apply a batch with three statements; one more if ``locks_by_writing``."""

        def work() -> list[ApplyResult]:
            results = [result or NOT_WAITING for result in _write(batch)]
            on_applied(results)
            return results

        return in_transaction(work)


def _write(batch: Sequence[ReplyToApply]) -> list[ApplyResult | None]:
    """Lock, change and save the rows of a batch; the result is None where there is no row."""
    targets = [each.target for each in batch]
    keys = [learner_state.row_key(t.user_id, t.course_key, t.usage_key) for t in targets]
    rows = learner_state.lock_rows(keys)
    results: list[ApplyResult | None] = []
    changed = []
    for key, to_apply in zip(keys, batch, strict=True):
        row = rows.get(key)
        is_trial = to_apply.target.dispatch is Dispatch.UNGRADED_RESPONSE
        result = (_show if is_trial else _grade)(row, to_apply) if row else None
        results.append(result)
        if row and result and result.applied:
            changed.append(row)
    if changed:
        learner_state.save_rows(changed, learner_state.Reason.REPLY)
    return results


def _grade(row: learner_state.StudentModuleRow, to_apply: ReplyToApply) -> ApplyResult:
    fields = row.fields()
    answer_id = capa.waiting_answers(fields).get(to_apply.queue_key)
    return NOT_WAITING if answer_id is None else _set(row, fields, to_apply, answer_id)


def _grade_again(
    row: learner_state.StudentModuleRow,
    to_apply: ReplyToApply,
    answer_id: str,
    refusal: Refusal,
) -> ApplyResult:
    fields = row.fields()
    answer = capa.graded_answer(fields, answer_id)
    if answer is None:
        return NO_ANSWER
    if answer.queue_key not in (None, to_apply.queue_key):
        return ANSWERED_AGAIN
    attempts = fields.get("attempts")
    if type(attempts) is int and capa.not_graded_answers(fields) == {answer_id}:
        # The attempt was not counted, because no grader could grade it.
        fields = {**fields, "attempts": attempts + 1}
    return _set(row, fields, to_apply, answer_id, partial(refusal, answer.points))


def _set(
    row: learner_state.StudentModuleRow,
    fields: capa.State,
    to_apply: ReplyToApply,
    answer_id: str,
    refusal: Callable[[float], str] | None = None,
) -> ApplyResult:
    """Change the row, unless ``refusal`` says of the new points why they do not count."""
    is_fraction = to_apply.score_is_fraction
    maximum = capa.maximum_of(fields, answer_id, to_apply.points, is_fraction=is_fraction)
    points = points_of(to_apply.reply, maximum, is_fraction=is_fraction)
    if refusal and (reason := refusal(points)):
        return refused(reason)
    possible = capa.possible_of(fields, to_apply.points)
    if to_apply.is_failure:
        state = capa.failed(fields, answer_id, to_apply.reply.msg, possible=possible)
    else:
        reply = with_mark(to_apply.reply, points, maximum)
        state = capa.graded(fields, answer_id, reply, points=points, possible=possible)
    row.set_fields(state)
    row.grade, row.max_grade = state["score"]["raw_earned"], possible
    return ApplyResult(True, points, maximum, answer_id)


def _show(row: learner_state.StudentModuleRow, to_apply: ReplyToApply) -> ApplyResult:
    fields = row.fields()
    input_id = capa.waiting_inputs(fields).get(to_apply.queue_key)
    if input_id is None:
        return NOT_WAITING
    row.set_fields(capa.shown(fields, input_id, to_apply.reply.msg))
    return ApplyResult(applied=True)


def _reopen(target: Target, queue_key: str) -> bool:
    row = learner_state.lock_row(target.user_id, target.course_key, target.usage_key)
    if row is None:
        return True
    fields = row.fields()
    if queue_key in capa.waiting_keys(fields):
        return True
    before = _state_that_waited(target, queue_key)
    if before is None:
        return False
    state = capa.reopened(fields, before, queue_key, f"{timezone.now():%Y%m%d%H%M%S}")
    if state is None:
        return False
    row.set_fields(state)
    learner_state.save_rows([row], learner_state.Reason.REQUEUE)
    return True


def _state_that_waited(target: Target, queue_key: str) -> dict[str, object] | None:
    """Return the newest state that waited for the key; None if its answer waited again."""
    entries = learner_state.read_history(target.user_id, target.usage_key, target.course_key)
    answered_since: set[str] = set()
    for entry in islice(entries, MAX_ENTRIES):
        waiting = capa.waiting_answers(entry.state or {})
        if queue_key in waiting:
            return None if waiting[queue_key] in answered_since else entry.state
        answered_since.update(waiting.values())
    return None
