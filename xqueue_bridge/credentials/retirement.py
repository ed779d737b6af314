"""Delete a retired learner's rows from the outbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from xqueue_bridge.credentials.models import GradeOutbox
from xqueue_bridge.data import RetirementMode


def outbox_to_retire(user_id: int, mode: RetirementMode) -> Counter[str]:
    """Return how many rows ``retire_outbox`` would delete; scrubbing deletes none (no texts)."""
    if mode is RetirementMode.SCRUB:
        return Counter()
    return Counter(outbox=GradeOutbox.objects.filter(user_id=user_id).count())


def retire_outbox(user_id: int, mode: RetirementMode) -> Iterator[Counter[str]]:
    """Delete the learner's rows, one for each course, unless the mode is scrubbing."""
    if mode is RetirementMode.PURGE:
        yield Counter(outbox=GradeOutbox.objects.filter(user_id=user_id).delete()[0])
