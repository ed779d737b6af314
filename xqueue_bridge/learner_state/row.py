"""The values of one StudentModule row, as every write path of the package passes them on."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.learner_state.block_keys import BlockKey, make_block_key
from xqueue_bridge.learner_state.encoding import (
    Fields,
    encode,
    has_non_finite,
    merge_texts,
    read_object,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RawScore:
    """Points at one block, before its weight; both None before the first score."""

    earned: float | None
    possible: float | None

    @property
    def is_finite(self) -> bool:
        """Whether both values are finite; databases store other values differently."""
        return all(math.isfinite(points or 0) for points in (self.earned, self.possible))


class RowKey(NamedTuple):
    """Identifies one learner's row at one block."""

    user_id: int
    block: BlockKey


def row_key(user_id: int, course_key: LearningContextKey, usage_key: UsageKey) -> RowKey:
    """Return the key of the learner's row at a block, for ``lock_rows``."""
    return RowKey(user_id, make_block_key(course_key, usage_key))


@dataclass(slots=True)
class StudentModuleRow:
    """The values of a StudentModule; creating a model instance takes ten times as long.

    ``state`` is the stored text; use ``fields`` and ``set_fields``. ``id`` is None before the row
    is inserted.
    """

    student_id: int
    course_id: LearningContextKey
    module_state_key: UsageKey
    module_type: str
    id: int | None = None
    state: str | None = None
    grade: float | None = None
    max_grade: float | None = None
    version: int = 0
    created: datetime | None = None
    modified: datetime | None = None
    #: The score as it is in the database.
    stored_score: tuple[float | None, float | None] = (None, None)
    #: The stored text that is no JSON object; the history keeps it if the row is written.
    unreadable: str | None = None

    @classmethod
    def of(cls, key: RowKey, *values: Any) -> StudentModuleRow:
        """Return a row with the values of the columns ``READ``, or an empty row."""
        block = key.block
        module_type = stored_type(block.usage_key.block_type)
        row = cls(key.user_id, block.course_key, block.usage_key, module_type, *values)
        if row.grade is not None or row.max_grade is not None:
            row.grade, row.max_grade = finite(row.grade), finite(row.max_grade)
            if (row.grade, row.max_grade) != values[2:4]:
                row._warn("its score is not finite, and is read as none")
        row.stored_score = (row.grade, row.max_grade)
        return row

    @property
    def key(self) -> RowKey:
        return RowKey(self.student_id, make_block_key(self.course_id, self.module_state_key))

    @property
    def score(self) -> RawScore:
        return RawScore(self.grade, self.max_grade)

    def set_score(self, score: RawScore) -> None:
        """Change the score; ``save_rows`` stores it."""
        self.grade, self.max_grade = score.earned, score.possible

    def fields(self) -> Fields:
        """Return the stored fields; {} for a state that is no JSON object.

        Numbers that are not finite are None. What could not be read is logged, without the text.
        """
        if not self.state:
            return {}
        found = read_object(self.state)
        if found is None:
            self.unreadable = self.state
            self._warn("its state is no JSON object, and is read as empty")
            return {}
        if has_non_finite(self.state):
            self._warn("its state has numbers that are not finite, and are read as null")
        return found

    def set_fields(self, fields: Mapping[str, object]) -> None:
        """Replace all fields. Raises TypeError or ValueError if JSON cannot represent one."""
        self.state = encode(fields)

    def merge(self, text: str) -> None:
        """Merge the fields of an encoded state over the stored ones."""
        old = self.fields()
        self.state = merge_texts(old, text) if old else text

    def _warn(self, what: str) -> None:
        log.warning("StudentModule %s at %s: %s", self.id, self.module_state_key, what)


#: The columns that ``StudentModuleRow.of`` takes, in its order.
READ = ("id", "state", "grade", "max_grade", "version", "created", "modified")


def decode_or_warn(text: str | None, usage_key: object) -> Fields:
    """Return the fields of a stored state; log that they are unreadable if they are."""
    if not text:
        return {}
    found = read_object(text)
    if found is None:
        log.warning("A state at %s is no JSON object, and is read as empty", usage_key)
    return found or {}


def finite(points: float | None) -> float | None:
    """Return stored points; None if they are not finite, which migrated rows may hold."""
    return points if points is None or math.isfinite(points) else None


def stored_type(block_type: str) -> str:
    """Return the value of the column ``module_type`` for a block type."""
    return block_type[:32]
