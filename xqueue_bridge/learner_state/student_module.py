"""Read, lock and update a learner's StudentModule at one block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.learner_state.block_keys import BlockKey, make_block_key
from xqueue_bridge.learner_state.encoding import decode, encode
from xqueue_bridge.learner_state.history import store as trail
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.write import (
    StudentModuleRow,
    insert_missing,
    lock_rows,
    merge_fields,
    save_rows,
    update_rows,
)


@dataclass(frozen=True, slots=True)
class RawScore:
    """Points at one block, before its weight; both None before the first score."""

    earned: float | None
    possible: float | None

    @property
    def is_finite(self) -> bool:
        """Whether both values are finite; databases store other values differently."""
        return all(math.isfinite(points or 0) for points in (self.earned, self.possible))


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """The state after one write; ``state`` is None if it was deleted."""

    version: int
    state: dict[str, Any] | None
    grade: float | None
    max_grade: float | None
    reason: str
    created: datetime


class LockedModule:
    """A StudentModule row that is locked until the transaction ends."""

    def __init__(self, row: StudentModuleRow) -> None:
        self._row = row
        self.state = decode(row.state)
        self.score = RawScore(row.grade, row.max_grade)

    def write(
        self,
        reason: Reason,
        *,
        state: Mapping[str, Any] | None = None,
        score: RawScore | None = None,
        only_if_higher: bool = False,
    ) -> None:
        """Store the new state, the new score, or both; keep what is not given.

        If the score differs, the score signals are sent, with ``only_if_higher`` as an argument.
        """
        if state is not None:
            self._row.state = encode(state)
        if score is not None:
            self._row.grade, self._row.max_grade = score.earned, score.possible
            self.score = score
        save_rows([self._row], reason, only_if_higher=only_if_higher)


def read_state(
    user_id: int, usage_key: UsageKey, course_key: LearningContextKey
) -> dict[str, Any] | None:
    """Return all fields that the block has stored for the learner; None if there are none."""
    text = _rows(user_id, course_key, usage_key).values_list("state", flat=True).first()
    return decode(text) or None


def read_score(
    user_id: int, usage_key: UsageKey, course_key: LearningContextKey
) -> RawScore | None:
    """Return the learner's points at the block; None if the learner has no row there."""
    found = _rows(user_id, course_key, usage_key).values_list("grade", "max_grade").first()
    return RawScore(*found) if found else None


def save_fields(
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    fields: Mapping[str, Any],
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
    if not RawScore(grade, max_grade).is_finite:
        raise ValueError(f"a score is of finite points, not {grade} of {max_grade}")

    def score(key: BlockKey, row: StudentModuleRow) -> bool:
        if (row.grade, row.max_grade) == (grade, max_grade):
            return False
        row.grade, row.max_grade = grade, max_grade
        return True

    key = make_block_key(course_key, usage_key)
    update_rows(user_id, [key], score, Reason.SCORE, create=True)


def locked_module(
    user_id: int, course_key: LearningContextKey, usage_key: UsageKey
) -> LockedModule | None:
    """Lock the learner's row at the block; return None if there is none.

    Call it in a transaction (``in_transaction``), whose end releases the lock.
    """
    key = make_block_key(course_key, usage_key)
    row = lock_rows(user_id, [key]).get(key)
    return LockedModule(row) if row else None


def lock_or_create(
    user_id: int, course_key: LearningContextKey, usage_key: UsageKey
) -> LockedModule:
    """Lock the learner's row at the block; insert it first if there is none.

    Call it in a transaction. Raises ``UnknownLearner``.
    """
    module = locked_module(user_id, course_key, usage_key)
    if module is None:
        insert_missing(user_id, make_block_key(course_key, usage_key))
        module = locked_module(user_id, course_key, usage_key)
    if module is None:
        raise AssertionError("the row that was just inserted is gone")
    return module


def history(
    user_id: int, usage_key: UsageKey, course_key: LearningContextKey
) -> Iterator[HistoryEntry]:
    """Yield the block's state after each write, newest first."""
    for entry in trail.read(user_id, usage_key, course_key):
        yield HistoryEntry(
            version=entry.version,
            state=decode(entry.state) or None,
            grade=entry.grade,
            max_grade=entry.max_grade,
            reason=entry.reason,
            created=entry.created,
        )


def _rows(
    user_id: int, course_key: LearningContextKey, usage_key: UsageKey
) -> QuerySet[StudentModule]:
    return StudentModule.objects.filter(
        student_id=user_id, module_state_key=usage_key, course_id=course_key
    )
