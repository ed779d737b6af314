"""Retirement of a learner in regrades: no submission is released any more, and no text is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.utils import timezone

from xqueue_bridge.data import RetirementMode
from xqueue_bridge.regrading.items import GONE
from xqueue_bridge.regrading.models import UNFINISHED, RegradeItem

Status = RegradeItem.Status


def items_to_retire(user_id: int, mode: RetirementMode) -> Counter[str]:
    """Return how many items a retirement would end or delete; one statement."""
    items = RegradeItem.objects.filter(user_id=user_id)
    if mode is not RetirementMode.PURGE:
        items = items.filter(status__in=UNFINISHED)
    return Counter({"regrade items": items.count()})


def retire_items(user_id: int, mode: RetirementMode) -> Iterator[Counter[str]]:
    """End a learner's items and empty the kept feedback, or delete them; one statement."""
    items = RegradeItem.objects.filter(user_id=user_id)
    if mode is RetirementMode.PURGE:
        changed = items.delete()[0]
    else:
        changed = items.filter(status__in=UNFINISHED).update(
            status=Status.SKIPPED, reason=GONE, kept_entry=None, changed_at=timezone.now()
        )
    yield Counter({"regrade items": changed})
