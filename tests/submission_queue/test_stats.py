"""Positions of a learner's submissions in their queues."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.submission_queue.factories import (
    COURSE,
    OTHER_PROBLEM,
    PROBLEM,
    make_grader,
    new_submission,
)
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.api import (
    has_open_submissions,
    queue_positions,
    queue_positions_in_course,
    queue_stats,
)
from xqueue_bridge.submission_queue.grader_models import Grader, GraderPause
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status, finished
from xqueue_bridge.submission_queue.stats import RECENT

pytestmark = pytest.mark.django_db


def positions(user_id: int) -> list[tuple[str, int | None]]:
    return [(each.queue_key, each.position) for each in queue_positions(user_id, PROBLEM)]


def has_grader(user_id: int = 7) -> bool:
    [position] = queue_positions(user_id, PROBLEM)
    return position.has_grader


def seen(ago: timedelta) -> None:
    Grader.objects.update(last_seen_at=timezone.now() - ago)


def test_position_counts_submissions_that_are_available_earlier():
    for user_id in (1, 2, 3):
        queue.enqueue(new_submission(user_id=user_id, queue_key=f"key {user_id}"))
    assert positions(3) == [("key 3", 3)]
    queue.pull("python", None)
    # The first one's lease ends after the others' arrival, so it is not ahead of them.
    assert positions(1) == [("key 1", None)]
    assert positions(3) == [("key 3", 2)]


def test_submission_with_an_ended_lease_has_a_position():
    queue.enqueue(new_submission(queue_key="slow"))
    queue.pull("python", None)
    queue.enqueue(new_submission(user_id=8, queue_key="quick"))
    Submission.objects.filter(queue_key="slow").update(available_at=timezone.now())
    assert positions(7) == [("slow", 2)]


def test_finished_submission_has_no_position():
    queue.enqueue(new_submission())
    assert has_open_submissions(7, PROBLEM)
    assert not has_open_submissions(8, PROBLEM)
    assert not has_open_submissions(7, OTHER_PROBLEM)
    Submission.objects.update(status="answered", available_at=None, due_at=None)
    assert positions(7) == []
    assert not has_open_submissions(7, PROBLEM)


def test_positions_in_a_course_have_block_and_time():
    queue.enqueue(new_submission())
    queue.enqueue(new_submission(user_id=8))
    [found] = queue_positions_in_course(7, COURSE)
    assert (found.usage_key, found.position) == (PROBLEM, 1)
    assert found.sent_at == Submission.objects.get(user_id=7).created_at


def test_submissions_of_a_queue_are_counted_by_their_status():
    for key in ("waiting", "leased", "answered", "failed", "failed too", "superseded", "old"):
        queue.enqueue(new_submission(queue_key=key))
    ends = {"answered": "answered", "failed": "failed", "failed too": "failed", "old": "failed"}
    for key, status in {**ends, "superseded": "superseded"}.items():
        Submission.objects.filter(queue_key=key).update(**finished(Status(status)))
    Submission.objects.filter(queue_key="old").update(finished_at=timezone.now() - 2 * RECENT)
    queue.pull("python", None)
    [stats] = queue_stats()
    assert (stats.waiting, stats.leased, stats.answered, stats.failed) == (1, 1, 1, 2)


def test_queue_without_a_grader_is_told():
    """Kind 18: no account, none for this queue, one that never polled, one that is silent."""
    queue.enqueue(new_submission())
    assert not has_grader()
    make_grader("other")
    assert not has_grader()
    make_grader("python", name="second")
    Grader.objects.update(last_seen_at=None)
    assert not has_grader()
    seen(timedelta(minutes=6))
    assert not has_grader()
    seen(timedelta(minutes=4))
    assert has_grader()
    Grader.objects.update(is_active=False)
    assert not has_grader()


def test_grader_of_every_queue_counts():
    queue.enqueue(new_submission())
    make_grader("*")
    seen(timedelta(0))
    assert has_grader()


def test_paused_graders_do_not_count():
    """Kind 18: while all graders of the queue are paused, nothing is pulled."""
    queue.enqueue(new_submission())
    for name in ("first", "second"):
        make_grader("python", name=name)
    seen(timedelta(0))
    now = timezone.now()
    for grader in Grader.objects.all():
        assert has_grader()
        until = now + timedelta(minutes=1)
        GraderPause.objects.create(
            grader=grader, queue_name="python", since=now, paused_until=until
        )
    assert not has_grader()


def test_grader_that_works_for_long_counts():
    """Kind 18: a grader with one process does not poll while it grades another submission."""
    queue.enqueue(new_submission(user_id=8, queue_key="long"))
    make_grader("python")
    queue.pull("python", Grader.objects.get().pk)
    seen(timedelta(hours=1))
    queue.enqueue(new_submission())
    assert has_grader(7)
    assert has_grader(8)
    Submission.objects.filter(user_id=8).update(available_at=timezone.now())
    assert not has_grader(7)


def test_statements_of_positions(django_assert_num_queries):
    """One without an open submission, five for one that waits, one more if no grader was seen."""
    with django_assert_num_queries(1):
        queue_positions(7, PROBLEM)
    queue.enqueue(new_submission())
    with django_assert_num_queries(6):
        queue_positions(7, PROBLEM)
    make_grader("python")
    seen(timedelta(0))
    with django_assert_num_queries(5):
        queue_positions(7, PROBLEM)
    queue.pull("python", Grader.objects.get().pk)
    with django_assert_num_queries(1):
        queue_positions(7, PROBLEM)
