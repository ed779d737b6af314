"""Work items and their counts, with bounds, so that they cost the same at any backlog."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.work_item import WorkItem

#: Work that is due for this long has no process that does it.
OVERDUE = timedelta(minutes=1)
#: Rows are counted up to this number.
MAX_COUNTED = 10_000
#: Rows that have failed are looked for among the newest so many of a kind.
NEWEST = 100_000
#: What may be asked of work items.
STATES = ("waiting", "overdue", "failed")


@dataclass(frozen=True, slots=True)
class WorkCount:
    """Work items of one kind: ``name`` is that of the model, ``label`` for people."""

    name: str
    label: str
    waiting: int
    overdue: int
    failed: int


def kinds_of_work() -> dict[str, type[WorkItem]]:
    """Return each kind of work item by the name of its model."""
    return {str(model._meta.model_name): model for model in WorkItem.__subclasses__()}


def work_items(kind: str, state: str, queue_name: str = "") -> QuerySet[Any]:
    """Return the work items of a kind that are in one of STATES.

    ``queue_name`` selects those of a queue; a kind without queues has none. Those that
    have failed take one statement more.
    """
    model = kinds_of_work()[kind]
    rows: QuerySet[Any] = model.objects.filter(_condition(model, state))
    if state == "failed":
        last = model.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        rows = rows.filter(pk__gt=last - NEWEST)
    if not queue_name:
        return rows
    return rows.filter(**{model.queue_lookup: queue_name}) if model.queue_lookup else rows.none()


def _condition(model: type[WorkItem], state: str) -> Q:
    if state == "failed":
        return model.failed
    if state == "overdue":
        return Q(next_attempt_at__lt=database_now() - OVERDUE)
    return Q(next_attempt_at__isnull=False)


def overdue_work() -> Iterator[tuple[str, int]]:
    """Yield each kind of work item and how many are overdue; one statement for each."""
    for kind in kinds_of_work():
        yield kind, work_items(kind, "overdue")[:MAX_COUNTED].count()


def work_counts() -> list[WorkCount]:
    """Return the counts of each kind of work item; four statements for each."""
    found = []
    for kind, model in kinds_of_work().items():
        counts = {state: work_items(kind, state)[:MAX_COUNTED].count() for state in STATES}
        found.append(WorkCount(kind, str(model._meta.verbose_name_plural), **counts))
    return found
