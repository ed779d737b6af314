"""Move history to the other table or to another database while the site is running.

A chunk of entries is locked in the source, copied, read back and compared, and only then deleted.
An entry keeps its identity (row and version), so a copy that a killed run has made is not made
twice, and a chunk that was not deleted is processed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import router, transaction
from django.db.models import F, Max, Q, QuerySet
from django.utils import timezone

from xqueue_bridge.db import bulk_insert
from xqueue_bridge.db.batches import id_batches
from xqueue_bridge.db.transactions import in_transaction, locks_by_writing
from xqueue_bridge.exceptions import XQueueBridgeError
from xqueue_bridge.learner_state.history.models import BaseStudentModuleHistory
from xqueue_bridge.learner_state.history.store import (
    COMMIT_GRACE,
    CONTENT,
    IDENTITY,
    Table,
    committed_versions,
    insert,
)
from xqueue_bridge.learner_state.models import StudentModule

CHUNK = 500

_FIELDS = (*IDENTITY, *CONTENT)


class CopyDiffers(XQueueBridgeError):
    """An entry was not read back as it was written. Nothing of its chunk was deleted."""


@dataclass(frozen=True)
class HistoryTable:
    """A history table in a database."""

    table: Table
    alias: str

    @property
    def entries(self) -> QuerySet[BaseStudentModuleHistory]:
        return self.table._default_manager.using(self.alias)

    def __str__(self) -> str:
        return f"{self.table._meta.db_table} in {self.alias!r}"


@dataclass
class MoveProgress:
    """Progress of a move: entries up to ``pk`` are deleted from the source."""

    pk: int = 0
    moved: int = 0


def last_entry(source: HistoryTable) -> int:
    """Return the largest primary key in a history table; 0 if it is empty."""
    return source.entries.aggregate(last=Max("pk"))["last"] or 0


def move(
    source: HistoryTable, target: HistoryTable, *, chunk: int = CHUNK
) -> Iterator[MoveProgress]:
    """Move the current entries of ``source`` to ``target``; yield after each chunk.

    May be killed and repeated at any time, and run twice at once. Raises ValueError if both
    tables are the same, ``CopyDiffers`` if the target returns another entry than was written, and
    the database's own error if retries fail.
    """
    if source == target:
        raise ValueError(f"source and target are the same: {source}")
    progress = MoveProgress()
    for ids in id_batches(source.entries.filter(pk__lte=last_entry(source)), chunk):
        progress.moved += _move_chunk(source, target, ids)
        progress.pk = ids[-1]
        yield progress
    yield progress


def _move_chunk(source: HistoryTable, target: HistoryTable, ids: Sequence[int]) -> int:
    def work() -> int:
        chunk = _committed(_lock(source, ids), source)
        if not chunk:  # a concurrent move has processed the chunk
            return 0
        _copy(chunk, target)
        _verify(chunk, target)
        return _delete(source, [entry.pk for entry in chunk])

    return in_transaction(work, source.alias)


def _lock(source: HistoryTable, ids: Sequence[int]) -> list[BaseStudentModuleHistory]:
    """Lock and return the entries, so that no other process changes them before the move."""
    entries = source.entries.filter(pk__in=ids)
    if locks_by_writing(source.alias):
        entries.update(version=F("version"))  # locks the rows before they are read
    return list(entries.order_by("pk").select_for_update())


def _committed(
    chunk: list[BaseStudentModuleHistory], source: HistoryTable
) -> list[BaseStudentModuleHistory]:
    """Return the entries whose writes were committed; delete those that never will be.

    A separate history database may contain uncommitted entries, which reads leave out. In the
    database of the StudentModules reads would not leave them out.
    """
    if source.alias == router.db_for_write(StudentModule):
        return chunk
    reached = committed_versions(entry.student_module_id for entry in chunk)
    committed_before = timezone.now() - COMMIT_GRACE
    true: list[BaseStudentModuleHistory] = []
    failed: list[int] = []
    for entry in chunk:
        if entry.version <= reached.get(entry.student_module_id, entry.version):
            true.append(entry)
        elif entry.created < committed_before:
            failed.append(entry.pk)
    if failed:
        _delete(source, failed)
    return true


def _copy(chunk: Sequence[BaseStudentModuleHistory], target: HistoryTable) -> None:
    with transaction.atomic(using=target.alias, savepoint=False):
        bulk_insert.insert(target.table, _copies(chunk, target), keep=True, using=target.alias)


def _verify(chunk: Sequence[BaseStudentModuleHistory], target: HistoryTable) -> None:
    """Compare the chunk with the target's entries; if they differ, the later entry is right.

    They can differ: a failed write may have left an entry whose version another write then used,
    after the written table was changed.
    """
    missed = _older(chunk, target)
    if missed:
        insert(target.table, _copies(missed, target), target.alias)
        if _older(missed, target):
            raise CopyDiffers(f"{target} keeps an older entry")


def _older(
    chunk: Sequence[BaseStudentModuleHistory], target: HistoryTable
) -> list[BaseStudentModuleHistory]:
    """Return the entries of which the target has an older version."""
    identities = [(entry.student_module_id, entry.version) for entry in chunk]
    there = {
        (copy.student_module_id, copy.version): copy
        for copy in target.entries.filter(_any_of(identities))
    }
    older = []
    for entry, identity in zip(chunk, identities, strict=True):
        copy = there.get(identity)
        if copy is None or (copy.created == entry.created and _content(copy) != _content(entry)):
            raise CopyDiffers(f"version {identity[1]} of row {identity[0]} in {target}")
        if copy.created < entry.created:
            older.append(entry)
    return older


def _delete(source: HistoryTable, ids: Sequence[int]) -> int:
    return source.entries.filter(pk__in=ids).delete()[0]


def _copies(
    chunk: Sequence[BaseStudentModuleHistory], target: HistoryTable
) -> list[BaseStudentModuleHistory]:
    return [target.table(**{name: getattr(entry, name) for name in _FIELDS}) for entry in chunk]


def _content(entry: BaseStudentModuleHistory) -> list[object]:
    return [getattr(entry, name) for name in CONTENT]


def _any_of(identities: Iterable[tuple[int, int]]) -> Q:
    """Return the condition that matches exactly these pairs, with as few terms as possible."""
    by_row, by_version = defaultdict(list), defaultdict(list)
    for row, version in identities:
        by_row[row].append(version)
        by_version[version].append(row)
    if len(by_row) < len(by_version):
        terms = [Q(student_module_id=row, version__in=found) for row, found in by_row.items()]
    else:
        terms = [Q(version=found, student_module_id__in=rows) for found, rows in by_version.items()]
    return Q(*terms, _connector=Q.OR)
