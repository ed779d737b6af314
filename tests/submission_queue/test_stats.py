"""Positions of a learner's submissions in their queues."""

from __future__ import annotations

import pytest
from django.utils import timezone

from tests.submission_queue.factories import PROBLEM, new_submission
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.api import QueuePosition, queue_positions
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db


def test_position_counts_submissions_that_are_available_earlier():
    for user_id in (1, 2, 3):
        queue.enqueue(new_submission(user_id=user_id, queue_key=f"key {user_id}"))
    assert queue_positions(3, PROBLEM) == [QueuePosition("key 3", 3)]
    queue.pull("python", None)
    # The first one's lease ends after the others' arrival, so it is not ahead of them.
    assert queue_positions(1, PROBLEM) == [QueuePosition("key 1", None)]
    assert queue_positions(3, PROBLEM) == [QueuePosition("key 3", 2)]


def test_submission_with_an_ended_lease_has_a_position():
    queue.enqueue(new_submission(queue_key="slow"))
    queue.pull("python", None)
    queue.enqueue(new_submission(user_id=8, queue_key="quick"))
    Submission.objects.filter(queue_key="slow").update(available_at=timezone.now())
    assert queue_positions(7, PROBLEM) == [QueuePosition("slow", 2)]


def test_finished_submission_has_no_position():
    queue.enqueue(new_submission())
    Submission.objects.update(status="answered", available_at=None)
    assert queue_positions(7, PROBLEM) == []
