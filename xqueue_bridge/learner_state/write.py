"""Write a learner's StudentModule rows; every write uses this module.

For each 400 block keys, one transaction: lock the existing rows, change them, insert the missing
rows, update the others in one statement, write their history in one more. Block keys and rows are
locked in order, so concurrent writers wait for each other and do not deadlock. Rows are read only
after they are locked, so no update is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import Any, TypeAlias

from django.db import IntegrityError, connection, transaction
from django.db.models import CharField, ExpressionWrapper, F, QuerySet
from django.utils import timezone
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.db import bulk_insert
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.exceptions import XQueueBridgeError
from xqueue_bridge.learner_state.block_keys import BlockKey, chunks, make_block_key
from xqueue_bridge.learner_state.encoding import decode, encode, overlaid
from xqueue_bridge.learner_state.history.models import Reason
from xqueue_bridge.learner_state.history.store import record
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.raw_select import read_rows
from xqueue_bridge.learner_state.scores.signals import send_score_signals
from xqueue_bridge.lms.capa import waiting_keys
from xqueue_bridge.lms.keys import has_run
from xqueue_bridge.lms.users import user_exists
from xqueue_bridge.signals import state_saved

#: Block keys in one transaction.
CHUNK = 400
#: How often rows are read again that another process has inserted since the last read.
CLAIM_ROUNDS = 5


@dataclass(slots=True)
class StudentModuleRow:
    """The values of a StudentModule; creating a model instance takes ten times as long."""

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
    #: Grade and maximum as they are in the database.
    stored_score: tuple[float | None, float | None] = (None, None)

    @property
    def pk(self) -> int | None:
        return self.id

    @pk.setter
    def pk(self, value: int | None) -> None:
        self.id = value


#: Changes a row's state or score in place; returns whether there is anything to store.
Change: TypeAlias = Callable[[BlockKey, StudentModuleRow], bool]

_TAKE_LOCK = f"UPDATE {StudentModule._meta.db_table} SET version = 0 WHERE id = 0"  # noqa: S608
_WRITTEN = ("state", "grade", "max_grade", "version", "modified")
#: The fields of ``StudentModuleRow`` that are read, in its order.
_READ = ("id", "state", "grade", "max_grade", "version", "created", "modified")


class UnknownLearner(XQueueBridgeError):
    """There is no such learner."""


def update_rows(
    user_id: int,
    keys: Iterable[BlockKey],
    change: Change,
    reason: Reason,
    *,
    create: bool = False,
    learner_is_known: bool = False,
) -> int:
    """Change a learner's rows at ``keys`` and return how many were stored.

    ``create``: ``change`` also gets an empty row for each block key without one, and changed ones
    are inserted; an unknown learner then raises ``UnknownLearner``, unless ``learner_is_known``.
    ``change`` may be called more than once for a block key, with fresh rows, because a collision
    restarts the transaction. After several restarts the database's own error is raised.

    Three statements for each ``CHUNK`` of block keys, four if some rows are new and some exist,
    without BEGIN, COMMIT and savepoint; one more on SQLite, and one to check that a new row's
    learner exists. States too large for one statement take several.
    """
    written = 0
    for chunk in chunks(sorted(set(keys)), CHUNK):
        attempt = partial(_change, user_id, chunk, change, reason, create, learner_is_known)
        written += in_transaction(attempt)
    return written


def merge_fields(new: Iterable[tuple[BlockKey, Mapping[str, Any]]]) -> Change:
    """Return the change that merges new fields over a row's old ones, in the given order.

    Raises TypeError or ValueError, before anything is written, if JSON cannot represent them.
    """
    texts: dict[BlockKey, str] = {}
    for key, fields in new:
        texts[key] = overlaid(texts.get(key), encode(fields))

    def change(key: BlockKey, row: StudentModuleRow) -> bool:
        row.state = overlaid(row.state, texts[key])
        return True

    return change


def drop_fields(fields: Collection[str] | None) -> Change:
    """Return the change that deletes fields, or all of them; rows without them stay unchanged."""

    def change(key: BlockKey, row: StudentModuleRow) -> bool:
        old = decode(row.state)
        kept = {} if fields is None else {n: v for n, v in old.items() if n not in fields}
        row.state = encode(kept) if len(kept) < len(old) else row.state
        return len(kept) < len(old)

    return change


def lock_rows(user_id: int, keys: Sequence[BlockKey]) -> dict[BlockKey, StudentModuleRow]:
    """Lock and return the learner's rows at ``keys``. Call it in a transaction."""
    if not connection.features.has_select_for_update:
        # SQLite: a transaction that begins with a read cannot always write later. This UPDATE takes
        # the write lock and changes nothing.
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_LOCK)
    rows = read_rows(user_id, keys, _READ, lock=True)
    named = {(key.context, key.usage): key for key in keys}
    found = {}
    for context, usage, *values in rows:
        if key := named.get((context, usage)):
            found[key] = _row(user_id, key, *values)
    return found


def rows_at(key: BlockKey) -> QuerySet[Any]:
    """Return all learners' rows at a block key, with the texts of their keys."""
    rows = with_key_text().filter(usage=key.usage)
    # Deprecated keys are stored alike in all runs; other keys contain their context.
    is_unique = has_run(UsageKey.from_string(key.usage))
    return rows if is_unique else rows.filter(context=key.context)


@cache
def with_key_text() -> QuerySet[Any]:
    """Return all rows, with the texts of their keys as ``context`` and ``usage``.

    Parsing keys takes longer than the query.
    """
    return StudentModule.objects.annotate(
        context=ExpressionWrapper(F("course_id"), output_field=CharField()),
        usage=ExpressionWrapper(F("module_state_key"), output_field=CharField()),
    )


def save_rows(
    rows: Sequence[StudentModuleRow], reason: Reason, *, only_if_higher: bool = False
) -> None:
    """Write changed rows that the transaction has locked, and new ones, with their history.

    If a score differs, the score signals are sent, with ``only_if_higher`` as an argument. Raises
    IntegrityError, and inserts no row, if another process has inserted one of the new rows.
    """
    if not rows:
        return
    now = timezone.now()
    for row in rows:
        row.version += 1
        row.modified = max(now, row.modified or now)  # a row's time never decreases
        row.created = row.created or row.modified
    new = [row for row in rows if row.pk is None]
    old = [row for row in rows if row.pk is not None]
    if new:
        _insert(new)
    if old:
        _update(old)
    record(rows, reason)
    for row in rows:
        send_score_signals(row, reason, only_if_higher=only_if_higher)


def insert_missing(user_id: int, key: BlockKey) -> None:
    """Insert an empty row unless another process has inserted it meanwhile."""
    if not user_exists(user_id):
        raise UnknownLearner
    now = timezone.now()
    row = StudentModule(
        student_id=user_id,
        course_id=key.course_key,
        module_state_key=key.usage_key,
        module_type=stored_type(key.usage_key.block_type),
        created=now,
        modified=now,
    )
    StudentModule.objects.bulk_create([row], ignore_conflicts=True)


def stored_type(block_type: str) -> str:
    """Return the value of the column ``module_type`` for a block type."""
    return block_type[:32]


def _change(
    user_id: int,
    keys: Sequence[BlockKey],
    change: Change,
    reason: Reason,
    create: bool,
    learner_is_known: bool,
) -> int:
    for look in range(1, CLAIM_ROUNDS + 1):
        rows = lock_rows(user_id, keys)
        if create:
            rows = {key: rows.get(key) or _row(user_id, key) for key in keys}
        changed = {key: row for key, row in rows.items() if change(key, row)}
        has_new = any(row.pk is None for row in changed.values())
        if has_new and not learner_is_known and not user_exists(user_id):
            raise UnknownLearner
        try:
            with transaction.atomic() if has_new else nullcontext():
                save_rows(list(changed.values()), reason)
        except IntegrityError:
            if not has_new or look == CLAIM_ROUNDS:
                raise
            continue
        if reason is not Reason.SCORE:
            _announce(user_id, changed)
        return len(changed)
    raise AssertionError("unreachable: the last look returns or raises")


def _row(user_id: int, key: BlockKey, *values: Any) -> StudentModuleRow:
    block_type = stored_type(key.usage_key.block_type)
    row = StudentModuleRow(user_id, key.course_key, key.usage_key, block_type, *values)
    row.stored_score = (row.grade, row.max_grade)
    return row


def _insert(rows: Sequence[StudentModuleRow]) -> None:
    bulk_insert.insert(StudentModule, rows)
    if rows[0].pk is None:  # MySQL does not return the inserted ids
        keys = [make_block_key(row.course_id, row.module_state_key) for row in rows]
        found = lock_rows(rows[0].student_id, keys)
        for key, row in zip(keys, rows, strict=True):
            row.pk = found[key].pk


def _update(rows: Sequence[StudentModuleRow]) -> None:
    bulk_insert.insert(StudentModule, rows, overwrite=_WRITTEN)


def _announce(user_id: int, changed: Mapping[BlockKey, StudentModuleRow]) -> None:
    """Send ``state_saved`` after the commit for each state that waits for graders."""
    for key, row in changed.items():
        if "queuestate" not in (row.state or ""):
            continue  # most states wait for no grader; this check avoids parsing them
        if keys := waiting_keys(decode(row.state)):
            send_signal = partial(
                state_saved.send_robust,
                sender=StudentModule,
                user_id=user_id,
                usage_key=key.usage_key,
                waiting_keys=keys,
            )
            transaction.on_commit(send_signal)
