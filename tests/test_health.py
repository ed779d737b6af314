"""The check of the platform's extended heartbeat."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import OperationalError
from django.utils import timezone

from tests.submission_queue.factories import new_submission
from xqueue_bridge import health
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.models import Submission


def test_healthy(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        assert health.health_check() == ("xqueue_bridge", True, "OK")


@pytest.mark.parametrize(("minutes", "ok"), [(14, True), (16, False)])
def test_replies_that_no_sweeper_applies(db, minutes, ok):
    """C126: a reply that is due for a quarter of an hour says that no sweeper runs."""
    submission_queue.enqueue(new_submission())
    due_at = timezone.now() - timedelta(minutes=minutes)
    ReceivedReply.objects.create(
        submission=Submission.objects.get(),
        source="put_result",
        body="{}",
        received_at=due_at,
        next_attempt_at=due_at,
    )
    assert health.health_check()[1] is ok


def test_unreadable_tables(monkeypatch):
    def fail(**conditions: object) -> None:
        raise OperationalError("no such table: the-secret")

    monkeypatch.setattr(ReceivedReply.objects, "filter", fail)
    name, ok, message = health.health_check()
    assert (name, ok) == ("xqueue_bridge", False)
    assert message == "The tables cannot be read: OperationalError"
