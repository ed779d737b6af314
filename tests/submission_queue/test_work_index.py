"""A pull reads the work index in its order, however many rows are pending or finished."""

from __future__ import annotations

import pytest
from django.db import connection

from benchmarks.explain import pull_plan
from benchmarks.side_by_side.stores.base import QUEUE
from benchmarks.side_by_side.stores.ours import OurStore
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)  # MariaDB commits before ANALYZE

#: How each database says that it sorts what it has read, or reads all rows.
NOT_IN_ORDER = {
    "postgresql": ("Sort", "Seq Scan on xqueue_bridge_submission"),
    "mysql": ("filesort", "type=ALL"),
    "sqlite": ("TEMP B-TREE", "SCAN xqueue_bridge_submission"),
}


@pytest.fixture
def store() -> OurStore:
    store = OurStore()
    store.make_grader()
    return store


@pytest.mark.parametrize(
    ("pending", "finished"), [(3_000, 0), (500, 6_000)], ids=["pending", "finished"]
)
def test_pull_reads_the_work_index_in_its_order(store, pending, finished):
    store.backlog(pending, finished, body_bytes=16)
    store.analyze()
    plan = pull_plan(QUEUE)
    assert "xqueue_bridge_work" in plan
    assert not any(words in plan for words in NOT_IN_ORDER[connection.vendor]), plan


def test_pull_of_another_queue_reads_none_of_these_rows(store):
    """Rows of other queues are not in the range of the index that is read."""
    store.backlog(3_000, 0, body_bytes=16)
    Submission.objects.update(queue_name="other")
    store.fill(20, body_bytes=16, waits=False)
    store.analyze()
    plan = pull_plan(QUEUE)
    assert "xqueue_bridge_work" in plan
    assert not any(words in plan for words in NOT_IN_ORDER[connection.vendor]), plan
