"""StudentModule rows as small values, and the raw SQL that reads and locks them.

The ORM takes longer than the database: it would compile a query for each call, and create a model
instance and a parsed key for each row.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from django.db import DEFAULT_DB_ALIAS, connections, transaction
from django.db.models import DateTimeField, Model, QuerySet
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.db.transactions import locks_by_writing
from xqueue_bridge.learner_state.block_keys import BlockKey, make_block_key
from xqueue_bridge.learner_state.encoding import (
    Fields,
    has_non_finite,
    merge_texts,
    read_object,
)
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.protocol.fields import is_finite

log = logging.getLogger(__name__)

#: Length of the column ``module_type``; longer block types are cut.
MAX_TYPE = 32

_TAKE_LOCK = f"UPDATE {StudentModule._meta.db_table} SET version = 0 WHERE id = 0"  # noqa: S608

#: Rows as a database driver returns them.
Values: TypeAlias = Sequence[Sequence[Any]]


class RawScore(NamedTuple):
    """Points at one block, before its weight; both None before the first score."""

    earned: float | None
    possible: float | None

    @property
    def is_finite(self) -> bool:
        """Whether both values are finite; databases store other values differently."""
        return all(is_finite(points or 0) for points in self)


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

    ``state`` is the stored text; use ``fields`` and ``set_fields``. Set ``grade`` and ``max_grade``
    to change the score. ``id`` is None before the row is inserted.
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
        module_type = block.usage_key.block_type[:MAX_TYPE]
        row = cls(key.user_id, block.course_key, block.usage_key, module_type, *values)
        score = RawScore(row.grade, row.max_grade)
        if not score.is_finite:
            row._warn("its score is not finite, and is read as none")
            row.grade, row.max_grade = map(finite, score)
        row.stored_score = (row.grade, row.max_grade)
        return row

    @property
    def key(self) -> RowKey:
        return RowKey(self.student_id, make_block_key(self.course_id, self.module_state_key))

    @property
    def score(self) -> RawScore:
        return RawScore(self.grade, self.max_grade)

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
        # Most states have neither word; a number too large for a float is not searched for.
        if ("NaN" in self.state or "Infinity" in self.state) and has_non_finite(self.state):
            self._warn("its state has numbers that are not finite, and are read as null")
        return found

    def set_fields(self, fields: Mapping[str, object]) -> None:
        """Replace all fields, whose values are as decoded from JSON: without capa's namedtuples."""
        self.state = json.dumps(fields, allow_nan=False)

    def merge(self, text: str) -> None:
        """Merge the fields of an encoded state over the stored ones."""
        old = self.fields()
        self.state = merge_texts(old, text) if old else text

    def _warn(self, what: str) -> None:
        log.warning("StudentModule %s at %s: %s", self.id, self.module_state_key, what)


#: The columns that ``StudentModuleRow.of`` takes, in its order.
READ = ("id", "state", "grade", "max_grade", "version", "created", "modified")


def read_rows(
    learner: int | QuerySet[Model, int], blocks: Collection[BlockKey], names: Sequence[str]
) -> Values:
    """Return one learner's rows: the texts of context and usage key, then the named fields.

    ``learner`` is an id or a query for it. One statement, in the order of ids. Deprecated keys are
    stored alike in all runs of a course, so rows of other contexts may be returned.
    """
    of_learner: str
    parameters: Sequence[int | str]
    if isinstance(learner, QuerySet):
        of_learner, parameters = learner.query.sql_with_params()
    else:
        of_learner, parameters = "%s", [learner]
    condition = f"student_id = ({of_learner}) AND module_id IN ({', '.join(['%s'] * len(blocks))})"
    usages = [block.usage for block in blocks]
    return _select(("course_id", "module_state_key", *names), condition, [*parameters, *usages])


def lock_rows(keys: Collection[RowKey]) -> dict[RowKey, StudentModuleRow]:
    """Lock and return the rows that exist, of any number of learners, in the order of ids.

    Call it in a transaction, whose end releases the locks. Databases without row locks only read.
    One statement; one more if ``locks_by_writing``.
    """
    if not keys:
        return {}
    if locks_by_writing():
        # A transaction that begins with a read cannot always write later. This UPDATE takes the
        # write lock and changes nothing.
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(_TAKE_LOCK)
    named = {(key.user_id, key.block.context, key.block.usage): key for key in sorted(keys)}
    usages: dict[int, list[str]] = defaultdict(list)
    for user_id, _context, usage in named:
        usages[user_id].append(usage)
    # For each learner a condition that the unique index serves on every database; a list of pairs
    # would not be one on MariaDB.
    conditions: list[str] = []
    parameters: list[int | str] = []
    for user_id, of_learner in usages.items():
        among = ", ".join(["%s"] * len(of_learner))
        conditions.append(f"(student_id = %s AND module_id IN ({among}))")
        parameters += [user_id, *of_learner]
    columns = ("student_id", "course_id", "module_state_key", *READ)
    found = {}
    rows = _select(columns, " OR ".join(conditions), parameters, lock=True)
    for user_id, context, usage, *values in rows:
        key = named.get((user_id, context, usage))
        if key is not None:  # else a row of another context, as in ``read_rows``
            found[key] = StudentModuleRow.of(key, *values)
    return found


def _select(
    names: Sequence[str], condition: str, parameters: Sequence[int | str], *, lock: bool = False
) -> Values:
    fields: list[Any] = [StudentModule._meta.get_field(name) for name in names]
    # The names of these columns need no quotes on any database.
    columns = ", ".join(field.column for field in fields)
    table = StudentModule._meta.db_table
    sql = f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY id"  # noqa: S608
    database = connections[DEFAULT_DB_ALIAS]
    if lock and database.features.has_select_for_update:
        if not database.in_atomic_block:
            raise transaction.TransactionManagementError("rows are locked in a transaction")
        sql = f"{sql} {database.ops.for_update_sql()}"
    with database.cursor() as cursor:
        cursor.execute(sql, parameters)
        found = [list(row) for row in cursor.fetchall()]
    # Only the driver's times can differ from Django's.
    for position, field in enumerate(fields):
        if isinstance(field, DateTimeField):
            for convert in database.ops.get_db_converters(field.cached_col):
                for row in found:
                    row[position] = convert(row[position], field.cached_col, database)
    return found


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
    return points if points is None or is_finite(points) else None
