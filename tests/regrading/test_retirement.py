"""Retirement of a learner whose submissions are graded again."""

from __future__ import annotations

import pytest

from tests.regrading.factories import graded, start
from xqueue_bridge.data import RetirementMode
from xqueue_bridge.regrading import items, retirement
from xqueue_bridge.regrading.models import RegradeItem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _only_state(settings):
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}


def retired(user_id: int, mode: RetirementMode) -> tuple[int, int]:
    """Retire a learner; return the planned and the returned number of items."""
    planned = retirement.items_to_retire(user_id, mode)["regrade items"]
    [counts] = retirement.retire_items(user_id, mode)
    return planned, counts["regrade items"]


def item_of(user_id: int) -> RegradeItem:
    return RegradeItem.objects.get(user_id=user_id)


@pytest.mark.parametrize("status", ["planned", "open"])
def test_unfinished_item_is_ended_without_its_feedback(status):
    ada, _ = graded("ada")
    bob, _ = graded("bob")
    start()
    RegradeItem.objects.update(status=status, kept_entry={"msg": "good"})
    assert retired(ada, RetirementMode.SCRUB) == (1, 1)
    item = item_of(ada)
    assert (item.status, item.reason, item.kept_entry) == ("skipped", items.GONE, None)
    assert (item_of(bob).status, item_of(bob).kept_entry) == (status, {"msg": "good"})


def test_finished_item_is_deleted_by_a_purge_only():
    ada, _ = graded("ada")
    bob, _ = graded("bob")
    start()
    RegradeItem.objects.update(status="up")
    assert retired(ada, RetirementMode.SCRUB) == (0, 0)
    assert item_of(ada).status == "up"
    assert retired(ada, RetirementMode.PURGE) == (1, 1)
    assert set(RegradeItem.objects.values_list("user_id", flat=True)) == {bob}
