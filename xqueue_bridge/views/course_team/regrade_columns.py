"""The columns of the tables of regrades and of their items."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from xqueue_bridge.regrading.api import Regrade, RegradeItem, RegradeProgress
from xqueue_bridge.views.formatting import format_points
from xqueue_bridge.views.tables import Column


@dataclass(frozen=True, slots=True)
class RegradeRow:
    """One row of the table of regrades; ``author`` is "" for a command or a retired user."""

    regrade: Regrade
    progress: RegradeProgress
    author: str


def _points(value: float | None) -> str:
    return "" if value is None else format_points(value)


def _count(status: str) -> Column:
    return Column(status, "", lambda row: row.progress.counts.get(status, 0))


STATUS = Column("status", _("Status"), lambda row: row.regrade.status, "status")
COLUMNS = (
    Column("started", _("Started"), lambda row: row.regrade.created_at, "pk", is_descending=True),
    Column("who", _("Who"), lambda row: row.author, "author_id"),
    Column("what", _("What"), lambda row: row.regrade.scope, "scope"),
    STATUS,
    Column("done", _("Done"), lambda row: row.progress.done),
)
CSV_COLUMNS = (
    Column("regrade", "", lambda row: row.regrade.pk),
    Column("started", "", lambda row: row.regrade.created_at),
    Column("author_id", "", lambda row: row.regrade.author_id),
    Column("what", "", lambda row: row.regrade.scope),
    Column("problem", "", lambda row: row.regrade.usage_key),
    Column("queue", "", lambda row: row.regrade.queue_name),
    STATUS,
    Column("total", "", lambda row: row.progress.total),
    Column("done", "", lambda row: row.progress.done),
    *(_count(status) for status in RegradeItem.Status.values),
)
# Of the items themselves, in the order in which they are released.
ITEM_COLUMNS = (
    Column("learner", _("Learner"), lambda item: item.user_id, "user_id"),
    Column("submission", _("Submission"), lambda item: item.original_id, "pk"),
    Column("status", _("Outcome"), lambda item: item.status, "status"),
    Column("before", _("Before"), lambda item: _points(item.points_before), "points_before"),
    Column("after", _("After"), lambda item: _points(item.points_after), "points_after"),
)
ITEM_CSV_COLUMNS = (
    Column("submission", "", lambda item: item.original_id),
    Column("user_id", "", lambda item: item.user_id),
    Column("problem", "", lambda item: item.usage_key),
    *ITEM_COLUMNS[2:],
    Column("reason", "", lambda item: item.reason),
)
