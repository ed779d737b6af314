"""The abstract model of the tables that are work queues, and their verbs.

    due ──claim──> due when the claim ends ──schedule_retry──> due later
     └──────────────────────┴──────────mark_final──> no work left ──retry──> due

``next_attempt_at`` is NULL when no work is left, so a worker selects by this column only. Each verb
is one UPDATE that compares the row with what its caller has read (compare-and-set). Thus of two
processes that work on a row, one writes the result, and the verb of the other returns False.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Self

from django.db import models
from django.utils.translation import gettext_lazy as _

from xqueue_bridge.db.clock import database_now

#: Length of ``last_error``; longer errors are cut.
MAX_ERROR = 255


class WorkItemQuerySet(models.QuerySet[Any]):
    """The verbs of a work queue. A row that is passed in gets the values that were stored."""

    def due(self, limit: int | None = None) -> Self:
        """Return the rows whose next attempt is due, longest overdue first."""
        rows = self.filter(next_attempt_at__lte=database_now()).order_by("next_attempt_at")
        return rows if limit is None else rows[:limit]

    def claim(self, row: WorkItem, until: datetime, **values: object) -> bool:
        """Claim ``row`` until a time at which the claim of a killed process ends.

        The caller adds the attempt to ``row.attempts`` before, so that a killed attempt counts.
        Return False if another process has changed the row.
        """
        return self._set(row, attempts=row.attempts, next_attempt_at=until, **values)

    def schedule_retry(self, row: WorkItem, error: str, at: datetime, **values: object) -> bool:
        """Store why the attempt failed and when the next one is due; False if the row changed."""
        return self._set(
            row, attempts=row.attempts, next_attempt_at=at, last_error=error[:MAX_ERROR], **values
        )

    def mark_final(self, row: WorkItem, error: str = "", **values: object) -> bool:
        """End the work on ``row``, with an ``error`` or without; False if the row changed."""
        return self._set(
            row, attempts=row.attempts, next_attempt_at=None, last_error=error[:MAX_ERROR], **values
        )

    def retry(self, ids: Iterable[int], **values: object) -> int:
        """Make those of the query's rows due now whose id is given; return how many."""
        rows = self.filter(pk__in=list(ids))
        return rows.update(attempts=0, next_attempt_at=database_now(), **values)

    def _set(self, row: WorkItem, **values: object) -> bool:
        # Unchanged since it was read, so that no process has worked on the row meanwhile.
        as_read = {name: getattr(row, name) for name in row.compared_fields}
        if not self.filter(pk=row.pk, **as_read).update(**values):
            return False
        for name, value in values.items():
            setattr(row, name, value)
        return True


# A class with a name, because the type checker finds no manager that as_manager() makes.
class WorkItemManager(models.Manager.from_queryset(WorkItemQuerySet)):  # type: ignore[misc]
    """The manager of a work queue, with the verbs of its query set."""


class WorkItem(models.Model):
    """A row with work to do. The subclass adds the index that begins with ``next_attempt_at``."""

    #: The fields whose values say that no other process has worked on the row.
    compared_fields: tuple[str, ...] = ("status", "next_attempt_at")
    #: Matches rows that have failed.
    failed: ClassVar[models.Q] = models.Q(next_attempt_at=None) & ~models.Q(last_error="")
    #: The lookup of the row's queue; "": it has none.
    queue_lookup: ClassVar[str] = ""

    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt at"), null=True)
    last_error = models.CharField(
        _("last error"),
        max_length=MAX_ERROR,
        blank=True,
        help_text=_("Why the last attempt failed; never content."),
    )

    objects = WorkItemManager()

    class Meta:
        abstract = True
