"""Read, lock and update a learner's StudentModule at one block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.learner_state.block_keys import BlockKey, make_block_key
from xqueue_bridge.learner_state.encoding import Fields, decode
from xqueue_bridge.learner_state.history import store as trail
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.row import (
    RawScore,
    StudentModuleRow,
    decode_or_warn,
    finite,
    lock_rows,
    row_key,
)
from xqueue_bridge.learner_state.write import (
    insert_missing,
    merge_fields,
    update_rows,
)


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """The state after one write; ``state`` is None if it was deleted."""

    version: int
    state: Fields | None
    grade: float | None
    max_grade: float | None
    reason: str
    created: datetime


def read_state(user_id: int, usage_key: UsageKey, course_key: LearningContextKey) -> Fields | None:
    """Return all fields that the block has stored for the learner; None if there are none."""
    text = _rows(user_id, course_key, usage_key).values_list("state", flat=True).first()
    return decode_or_warn(text, usage_key) or None


def read_score(
    user_id: int, usage_key: UsageKey, course_key: LearningContextKey
) -> RawScore | None:
    """Return the learner's points at the block; None if the learner has no row there."""
    found = _rows(user_id, course_key, usage_key).values_list("grade", "max_grade").first()
    return RawScore(*map(finite, found)) if found else None


def save_fields(
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    fields: Mapping[str, object],
) -> None:
    """Merge ``fields`` over the block's stored fields; keep fields that are not named.

    After commit ``state_saved`` is sent if the new state waits for graders. Raises TypeError or
    ValueError for fields that JSON cannot represent, ``UnknownLearner``, or the database's own
    error if retries fail; then nothing is stored.
    """
    key = make_block_key(course_key, usage_key)
    if fields:
        update_rows(user_id, [key], merge_fields([(key, fields)]), Reason.STATE, create=True)


def set_score(
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    grade: float | None,
    max_grade: float | None,
) -> None:
    """Set the learner's points at the block; write nothing if they are unchanged.

    Raises ValueError for points that are not finite, ``UnknownLearner``, or the database's own
    error if retries fail.
    """
    new = RawScore(grade, max_grade)
    if not new.is_finite:
        raise ValueError(f"a score is of finite points, not {grade} of {max_grade}")

    def score(key: BlockKey, row: StudentModuleRow) -> bool:
        is_changed = row.score != new
        row.grade, row.max_grade = new
        return is_changed

    key = make_block_key(course_key, usage_key)
    update_rows(user_id, [key], score, Reason.SCORE, create=True)


def lock_row(
    user_id: int, course_key: LearningContextKey, usage_key: UsageKey
) -> StudentModuleRow | None:
    """Lock the learner's row at the block; return None if there is none.

    Call it in a transaction (``in_transaction``), whose end releases the lock; ``save_rows``
    stores what the caller changes.
    """
    key = row_key(user_id, course_key, usage_key)
    return lock_rows([key]).get(key)


def lock_or_create(
    user_id: int, course_key: LearningContextKey, usage_key: UsageKey
) -> StudentModuleRow:
    """Lock the learner's row at the block; insert it first if there is none.

    Call it in a transaction. Raises ``UnknownLearner``.
    """
    row = lock_row(user_id, course_key, usage_key)
    if row is None:
        insert_missing(row_key(user_id, course_key, usage_key))
        row = lock_row(user_id, course_key, usage_key)
    if row is None:
        raise AssertionError("the row that was just inserted is gone")
    return row


def read_history(
    user_id: int, usage_key: UsageKey, course_key: LearningContextKey
) -> Iterator[HistoryEntry]:
    """Yield the block's state after each write, newest first."""
    for entry in trail.read(user_id, usage_key, course_key):
        yield HistoryEntry(
            version=entry.version,
            state=decode(entry.state) or None,
            grade=finite(entry.grade),
            max_grade=finite(entry.max_grade),
            reason=entry.reason,
            created=entry.created,
        )


def _rows(
    user_id: int, course_key: LearningContextKey, usage_key: UsageKey
) -> QuerySet[StudentModule]:
    return StudentModule.objects.filter(
        student_id=user_id, module_state_key=usage_key, course_id=course_key
    )
