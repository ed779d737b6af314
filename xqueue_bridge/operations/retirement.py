"""Retirement of a user in the record of what operators did: the actions stay, without the id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from xqueue_bridge.data import RetirementMode
from xqueue_bridge.operations.models import OperatorAction


def actions_to_retire(user_id: int, mode: RetirementMode) -> Counter[str]:
    """Return how many actions a retirement would change; one statement."""
    return Counter({"operator actions": OperatorAction.objects.filter(author_id=user_id).count()})


def retire_actions(user_id: int, mode: RetirementMode) -> Iterator[Counter[str]]:
    """Remove the user's id from the actions; one statement."""
    actions = OperatorAction.objects.filter(author_id=user_id)
    yield Counter({"operator actions": actions.update(author_id=None)})
