"""Delete old history entries; keep the newest entry of each StudentModule."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import router
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from xqueue_bridge.db.batches import by_key
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.learner_state.history.models import BaseStudentModuleHistory
from xqueue_bridge.learner_state.history.store import (
    COMMIT_GRACE,
    Table,
    committed_versions,
    is_elsewhere,
    tables,
)
from xqueue_bridge.learner_state.models import StudentModule

PAGE = 5_000  # entries that one statement reads
CHUNK = 1_000  # entries that one statement deletes


@dataclass(frozen=True)
class Policy:
    """What to keep: the ``keep_last`` newest entries of each row, and those since ``since``.

    An entry that matches either rule is kept. None disables a rule.
    """

    keep_last: int | None = None
    since: datetime | None = None

    def keeps(self, rank: int, created: datetime) -> bool:
        """Return whether to keep the entry; ``rank`` 0 is the newest of its row, always kept."""
        return (
            rank == 0
            or (self.keep_last is not None and rank < self.keep_last)
            or (self.since is not None and created >= self.since)
        )


@dataclass
class PruneProgress:
    """Progress of an iteration: rows down to ``student_module_id`` are processed."""

    student_module_id: int
    seen: int = 0
    deleted: int = 0


class _Entry(NamedTuple):
    student_module_id: int
    version: int
    table: int
    pk: int
    created: datetime


@dataclass
class _Doomed:
    """Primary keys to delete, by table, collected until a chunk is full."""

    dry_run: bool
    pks: dict[int, list[int]] = field(default_factory=dict)

    def add(self, entry: _Entry) -> int:
        chunk = self.pks.setdefault(entry.table, [])
        chunk.append(entry.pk)
        return self.delete(entry.table) if len(chunk) == CHUNK else 0

    def delete(self, index: int) -> int:
        pks, table = self.pks.pop(index), tables()[index]
        if self.dry_run:
            return len(pks)
        return in_transaction(
            lambda: _entries(table).filter(pk__in=pks).delete()[0], router.db_for_write(table)
        )


def newest_row() -> int:
    """Return the largest StudentModule id that has history; 0 if there is none."""
    return max(
        _entries(t).aggregate(newest=Max("student_module_id"))["newest"] or 0 for t in tables()
    )


def prune(
    policy: Policy, *, dry_run: bool = False, start: int | None = None
) -> Iterator[PruneProgress]:
    """Delete what the policy does not keep, with both tables merged into one history.

    Iterates from the row with the largest id, or from ``start``, downwards. Yields about once for
    each page; the last value has the totals, and with ``dry_run`` counts what would be deleted.
    It may be stopped at any time and repeated.
    """
    progress = PruneProgress(start if start is not None else newest_row())
    doomed = _Doomed(dry_run)
    rank = 0
    previous: _Entry | None = None
    for entry in heapq.merge(
        *(_walk(index, progress.student_module_id) for index in range(2)), reverse=True
    ):
        if previous is None or entry.student_module_id != previous.student_module_id:
            rank = 0
        elif entry.version != previous.version:  # during a move an entry is in both tables
            rank += 1
        previous = entry
        progress.seen += 1
        progress.student_module_id = entry.student_module_id
        if not policy.keeps(rank, entry.created):
            progress.deleted += doomed.add(entry)
        if progress.seen % PAGE == 0:
            yield progress
    progress.deleted += sum(doomed.delete(index) for index in list(doomed.pks))
    yield progress


def prune_orphans(*, dry_run: bool = False) -> Iterator[PruneProgress]:
    """Delete the history of deleted rows; yield as ``prune`` does, with ascending ids.

    For history in a separate database, where a crash leaves entries after a row's deletion or
    after a failed write.
    """
    committed_before = timezone.now() - COMMIT_GRACE
    progress = PruneProgress(0)
    for table in tables():
        rows = _entries(table).values_list("student_module_id", flat=True).distinct()
        for ids in by_key(rows, "student_module_id", CHUNK):
            there = set(StudentModule.objects.filter(pk__in=ids).values_list("pk", flat=True))
            gone = _entries(table).filter(
                student_module_id__in=[pk for pk in ids if pk not in there],
                created__lt=committed_before,
            )
            progress.student_module_id = ids[-1]
            progress.seen += len(ids)
            progress.deleted += gone.count() if dry_run else gone.delete()[0]
            yield progress
    yield progress


def _walk(index: int, start: int) -> Iterator[_Entry]:
    """Yield a table's entries: rows with descending ids, the newest entry of each row first.

    Leaves out uncommitted entries: they are not a row's newest entry, and the next write replaces
    them.
    """
    narrow = (
        _entries(tables()[index])
        .order_by("-student_module_id", "-version")
        .values_list("student_module_id", "version", "pk", "created")
    )
    page = list(narrow.filter(student_module_id__lte=start)[:PAGE])
    while page:
        elsewhere = is_elsewhere(tables()[index])
        reached = committed_versions(row for row, *_ in page) if elsewhere else {}
        for row, version, pk, created in page:
            if version <= reached.get(row, version):
                yield _Entry(row, version, index, pk, created)
        row, version = page[-1][:2]
        # The first condition alone lets every database find the start in the index.
        after = Q(student_module_id__lte=row) & (
            Q(student_module_id__lt=row) | Q(version__lt=version)
        )
        page = list(narrow.filter(after)[:PAGE])


def _entries(table: Table) -> QuerySet[BaseStudentModuleHistory]:
    return table._default_manager.using(router.db_for_write(table))
