"""A pull reads the work index in its order, however many rows are pending or finished."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from benchmarks.explain import entries_read, plan, pull_plan
from benchmarks.side_by_side.stores.base import QUEUE
from benchmarks.side_by_side.stores.ours import OurStore
from tests.submission_queue.factories import new_submission
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status
from xqueue_bridge.submission_queue.stats import MAX_AHEAD, position_of

pytestmark = pytest.mark.django_db(transaction=True)  # MariaDB commits before ANALYZE

#: How each database says that it sorts what it has read, or reads all rows.
NOT_IN_ORDER = {
    "postgresql": ("Sort", "Seq Scan on xqueue_bridge_submission"),
    "mysql": ("filesort", "table=xqueue_bridge_submission, type=ALL"),
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


def is_in_order(text: str) -> bool:
    return "xqueue_bridge_work" in text and not any(
        words in text for words in NOT_IN_ORDER[connection.vendor]
    )


@pytest.fixture
def mixed(store) -> OurStore:
    """Store finished rows, rows under lease, regrades, and waiting rows with priorities."""
    store.backlog(3_000, 12_000, body_bytes=16)
    waiting = Submission.objects.filter(status=Status.WAITING).order_by("pk")
    ids = list(waiting.values_list("pk", flat=True))
    lease_end = timezone.now() + timedelta(minutes=5)
    Submission.objects.filter(pk__in=ids[:300]).update(
        status=Status.LEASED, deliveries=1, available_at=lease_end, due_at=lease_end
    )
    for rows, hours in ((ids[300:324], 4), (ids[324:600], -1), (ids[600:900], 1)):
        Submission.objects.filter(pk__in=rows).update(due_at=F("due_at") + timedelta(hours=hours))
    store.analyze()
    return store


def test_pull_reads_the_work_index_in_its_order_and_no_entry_of_a_finished_submission(mixed):
    """MariaDB would choose to, because many wait beside even more that are finished."""
    text = pull_plan(QUEUE)
    assert is_in_order(text), text
    if connection.vendor == "mysql":
        assert entries_read(lambda: queue.pull(QUEUE, None)) < 10, text
    elif connection.vendor == "postgresql":
        assert re.search(r"Scan using xqueue_bridge_work .*\(actual rows=1 loops=1\)", text), text
    else:
        assert "xqueue_bridge_work (queue_name=? AND due_at>?)" in text


def test_position_is_counted_in_the_first_rows_of_the_work_index(mixed):
    """All these rows are due at the same time, as if they had been requeued together."""
    newest = Submission.objects.latest("pk")
    text = plan(lambda: position_of(newest))
    assert is_in_order(text), text
    if connection.vendor == "postgresql":  # the others print no numbers of rows that were read
        assert f"actual rows={MAX_AHEAD} loops=1" in text
        assert "actual rows=1001" not in text
    elif connection.vendor == "mysql":
        assert entries_read(lambda: position_of(newest)) < MAX_AHEAD + 10, text
    assert position_of(newest) == MAX_AHEAD + 1


def test_pending_answers_are_counted_in_the_rows_of_one_learner(mixed):
    text = plan(lambda: queue.enqueue(new_submission(QUEUE, user_id=1_000_500)))
    assert "xqueue_bridge_learner_block" in text, text
