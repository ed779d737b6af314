"""Counts of work items, each with a bound, so that they cost the same at any backlog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from xqueue_bridge.db.work_item import WorkItem

#: Work that is due for this long has no process that does it.
OVERDUE = timedelta(minutes=1)
#: Rows are counted up to this number.
MAX_COUNTED = 10_000


@dataclass(frozen=True, slots=True)
class WorkCount:
    """Work items of one kind: ``name`` is that of the model, ``label`` for people."""

    name: str
    label: str
    waiting: int
    overdue: int


def overdue_work() -> Iterator[tuple[str, int]]:
    """Yield each kind of work item and how many are overdue; one statement for each."""
    latest = timezone.now() - OVERDUE
    for model in WorkItem.__subclasses__():
        rows = model.objects.filter(next_attempt_at__lt=latest)[:MAX_COUNTED]
        yield str(model._meta.model_name), rows.count()


def work_counts() -> list[WorkCount]:
    """Return the counts of each kind of work item; two statements for each."""
    overdue, found = dict(overdue_work()), []
    for model in WorkItem.__subclasses__():
        name, label = str(model._meta.model_name), str(model._meta.verbose_name_plural)
        waiting = model.objects.filter(next_attempt_at__isnull=False)[:MAX_COUNTED].count()
        found.append(WorkCount(name, label, waiting, overdue[name]))
    return found
