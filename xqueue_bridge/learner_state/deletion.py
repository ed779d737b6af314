"""Reset a learner's attempts, or delete a learner's state, at one block."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from django.db import transaction
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.learner_state.block_keys import BlockKey, make_block_key
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.row import READ, RowKey, StudentModuleRow, read_rows
from xqueue_bridge.learner_state.write import Change, update_rows
from xqueue_bridge.signals import state_deleted


def reset_attempts(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Set the learner's attempts at the block to 0; keep answers, feedback and score.

    Returns whether there were any attempts. The history entry's reason is "reset". Raises the
    database's own error if retries fail.
    """
    key = make_block_key(course_key, usage_key)
    return update_rows(user_id, [key], _reset, Reason.RESET) > 0


def clear_state(
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    *,
    is_cleared_in_client: bool = False,
) -> bool:
    """Delete all fields and the score of the learner at the block; keep the row.

    Returns whether there was anything to delete, here or in the host's own client. The history
    entry's reason is "delete"; ``state_deleted`` is sent after commit.
    """
    key = make_block_key(course_key, usage_key)
    if not update_rows(user_id, [key], _empty, Reason.DELETE) and not is_cleared_in_client:
        return False
    send_signal = partial(
        state_deleted.send_robust,
        sender=StudentModule,
        user_id=user_id,
        course_key=course_key,
        usage_key=usage_key,
    )
    transaction.on_commit(send_signal)
    return True


def has_attempts(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Return whether ``reset_attempts`` would change anything."""
    return _would(_reset, user_id, course_key, usage_key)


def has_state(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> bool:
    """Return whether ``clear_state`` would delete anything."""
    return _would(_empty, user_id, course_key, usage_key)


def learner_ids_at(course_key: LearningContextKey, usage_key: UsageKey) -> Iterator[int]:
    """Yield the id of every learner who has a row at the block."""
    rows = StudentModule.objects.filter(course_id=course_key, module_state_key=usage_key)
    return rows.order_by("pk").values_list("student_id", flat=True).iterator()


def _reset(key: BlockKey, row: StudentModuleRow) -> bool:
    fields = row.fields()
    if not fields.get("attempts"):
        return False
    row.set_fields(fields | {"attempts": 0})
    return True


def _empty(key: BlockKey, row: StudentModuleRow) -> bool:
    has_text = bool(row.fields()) or row.unreadable is not None
    if not has_text and row.grade is None and row.max_grade is None:
        return False
    if has_text:  # a row without stored state does not become "deleted"
        row.set_fields({})
    row.grade = row.max_grade = None
    return True


def _would(
    change: Change, user_id: int, course_key: LearningContextKey, usage_key: UsageKey
) -> bool:
    """Return the result of a change that is made to values which are not stored."""
    key = make_block_key(course_key, usage_key)
    for context, _, *values in read_rows(user_id, [key], READ):
        if context == key.context:
            return change(key, StudentModuleRow.of(RowKey(user_id, key), *values))
    return False
