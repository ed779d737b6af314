"""Write and read history entries of StudentModules.

There are two tables. ``HISTORY_EXTENDED`` selects the one that is written. Reads use that one, and
with ``HISTORY_READ_BOTH`` the other one too. Code that iterates both begins with the one that is
not written (``tables``): entries move away from it, so each is read at least once.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TypeAlias

from django.db import router, transaction
from django.db.models import Q, QuerySet
from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.db import bulk_insert
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.learner_state.history.batch import current_batch
from xqueue_bridge.learner_state.history.models import (
    BaseStudentModuleHistory,
    Reason,
    StudentModuleHistory,
    StudentModuleHistoryExtended,
)
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.row import StudentModuleRow

__all__ = [
    "COMMIT_GRACE",
    "committed_versions",
    "delete_history",
    "delete_history_of",
    "is_elsewhere",
    "read",
    "record",
    "record_unreadable",
    "tables",
    "written_table",
]

Table: TypeAlias = type[BaseStudentModuleHistory]
Row: TypeAlias = StudentModuleRow | StudentModule


IDENTITY = ["student_module_id", "version"]
CONTENT = [
    field.name
    for field in StudentModuleHistory._meta.concrete_fields
    if field.name not in ("id", *IDENTITY)
]
#: If history is in a separate database, an entry is committed before its row.
COMMIT_GRACE = timedelta(hours=1)
_NEWEST_FIRST = ("-created", "-student_module_id", "-version")


def written_table() -> Table:
    """Return the table that new entries are written to."""
    return StudentModuleHistoryExtended if options().HISTORY_EXTENDED else StudentModuleHistory


def tables() -> tuple[Table, Table]:
    """Return both tables; the one that is written comes last."""
    if options().HISTORY_EXTENDED:
        return StudentModuleHistory, StudentModuleHistoryExtended
    return StudentModuleHistoryExtended, StudentModuleHistory


def record(rows: Sequence[Row], reason: Reason, *, keep: bool = False) -> None:
    """Store the current values of ``rows`` (StudentModules or similar), one entry each.

    Call it last, in the transaction of the write.

    One INSERT; in a history batch that has written any of the rows before, a DELETE too. If
    history is in a separate database the INSERT is committed first: if the write then fails, the
    entry stays until the row's next write uses its version, and ``read`` leaves it out. The
    DELETE follows the write's commit, because until then the earlier entry is the correct one.
    ``keep``: an entry of the same version stays as it is, and no history batch replaces it.
    """
    table, batch = written_table(), None if keep else current_batch()
    number = batch.number if batch else None
    # The columns that are not read from the row's attribute of the same name.
    sources: dict[str, bulk_insert.Source] = {
        "student_module_id": attrgetter("id"),
        "created": attrgetter("modified"),
        "reason": lambda row: str(reason),
        "batch": lambda row: number,
    }
    bulk_insert.insert(
        table,
        rows,
        overwrite=() if keep else CONTENT,
        unique=IDENTITY,
        keep=keep,
        omit_id=True,
        sources=sources,
        using=router.db_for_write(table),
    )
    again = batch.again(row.id for row in rows) if batch else set()
    if not again:
        return
    delete = _replaced(table, [row for row in rows if row.id in again], number).delete
    if is_elsewhere(table):
        transaction.on_commit(delete, using=router.db_for_write(StudentModule), robust=True)
    else:
        delete()


def record_unreadable(rows: Iterable[StudentModuleRow]) -> None:
    """Store the old text of rows whose state is no JSON object, before a write replaces it.

    One INSERT if there are any; an entry that the history has already stays as it is.
    """
    lost = [replace(row, state=row.unreadable) for row in rows if row.unreadable is not None]
    record(lost, Reason.REPAIR, keep=True)


def insert(table: Table, entries: Sequence[BaseStudentModuleHistory], alias: str) -> None:
    """Insert entries in one statement; on a conflict of (row, version) the new entry wins."""
    bulk_insert.insert(table, entries, overwrite=CONTENT, unique=IDENTITY, using=alias)


def read(
    user_id: int, usage_key: UsageKey, course_key: LearningContextKey
) -> Iterator[BaseStudentModuleHistory]:
    """Yield a learner's entries at a block, newest first.

    One statement for each table that is read; one more if a table is in another database than the
    StudentModules, to leave out uncommitted entries.
    """
    about = {"student_id": user_id, "module_state_key": usage_key, "course_id": course_key}
    selected = tables() if options().HISTORY_READ_BOTH else (written_table(),)
    is_committed = (
        _committed_check(about) if any(is_elsewhere(table) for table in selected) else None
    )
    found = (_newest_first(table, about) for table in selected)
    seen: set[tuple[int, int]] = set()
    for entry in heapq.merge(*found, key=_time, reverse=True):
        identity = (entry.student_module_id, entry.version)
        if identity in seen or (is_committed and not is_committed(entry)):
            continue
        seen.add(identity)
        yield entry


def delete_history(student_module_ids: Iterable[int]) -> int:
    """Delete the history of these rows, in both tables; return the number of entries."""
    ids = sorted(set(student_module_ids))
    return sum(_trails(table, chunk).delete()[0] for table in tables() for chunk in chunks(ids))


def delete_history_of(student_module_id: int, using: str) -> None:
    """Delete the history of a row that is being deleted, unless HISTORY_KEEP_AFTER_DELETE.

    In the row's database the history is deleted at once; in a separate one after the commit of
    the row's deletion.
    """
    if options().HISTORY_KEEP_AFTER_DELETE:
        return
    for table in tables():
        delete = _trails(table, [student_module_id]).delete
        if router.db_for_write(table) == using:
            delete()
        else:
            transaction.on_commit(delete, using=using, robust=True)


def _replaced(
    table: Table, rows: Iterable[Row], batch: int | None
) -> QuerySet[BaseStudentModuleHistory]:
    """Return the batch's entries that are older than the current values of ``rows``."""
    by_version = defaultdict(list)
    for row in rows:
        by_version[row.version].append(row.id)
    older = [
        Q(version__lt=version, student_module_id__in=pks) for version, pks in by_version.items()
    ]
    found = table._default_manager.using(router.db_for_write(table)).filter(batch=batch)
    return found.filter(Q(*older, _connector=Q.OR))


def _newest_first(table: Table, about: dict[str, object]) -> Iterator[BaseStudentModuleHistory]:
    found = table._default_manager.filter(**about).order_by(*_NEWEST_FIRST)
    return found.iterator(chunk_size=500)


def _time(entry: BaseStudentModuleHistory) -> tuple[datetime, int, int]:
    return entry.created, entry.student_module_id, entry.version


def _trails(table: Table, student_module_ids: Sequence[int]) -> QuerySet[BaseStudentModuleHistory]:
    alias = router.db_for_write(table)
    return table._default_manager.using(alias).filter(student_module_id__in=student_module_ids)


def is_elsewhere(table: Table) -> bool:
    """Return whether a table is in another database than the StudentModules."""
    return router.db_for_write(table) != router.db_for_write(StudentModule)


def committed_versions(student_module_ids: Iterable[int]) -> dict[int, int]:
    """Return the committed version of each row; entries above it belong to no write."""
    rows = StudentModule.objects.filter(pk__in=set(student_module_ids))
    return dict(rows.values_list("pk", "version"))


def _committed_check(about: dict[str, object]) -> Callable[[BaseStudentModuleHistory], bool]:
    """Return a predicate that is True for an entry whose write was committed."""
    versions = dict(StudentModule.objects.filter(**about).values_list("pk", "version"))
    may_be_gone = options().HISTORY_KEEP_AFTER_DELETE

    def is_committed(entry: BaseStudentModuleHistory) -> bool:
        version = versions.get(entry.student_module_id)
        return may_be_gone if version is None else entry.version <= version

    return is_committed
