"""A clock that the tests of samples set, and submissions of one queue."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from xqueue_bridge.metrics import sampling
from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent

START = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)


def submission(created_at: datetime, **values: object) -> Submission:
    """Insert a submission as it is after its last change."""
    available_at = created_at if values.get("status", "waiting") == "waiting" else None
    row = {
        "queue_name": "python",
        "user_id": 1,
        "course_key": "course-v1:o+c+r",
        "usage_key": "block-v1:o+c+r+type@problem+block@p",
        "dispatch": "score_update",
        "available_at": available_at,
        "due_at": available_at,
        **values,
    }
    content = SubmissionContent.objects.create(header="{}", body="")
    return Submission.objects.create(content=content, created_at=created_at, **row)


def answered(created_at: datetime, *, waits: float, grades: float, **values: object) -> Submission:
    """Insert a submission that waited and was graded for these seconds."""
    leased_at = created_at + timedelta(seconds=waits)
    finished_at = leased_at + timedelta(seconds=grades)
    kwargs = {"status": "answered", "leased_at": leased_at, "finished_at": finished_at}
    return submission(created_at, **{**kwargs, **values})


@pytest.fixture(autouse=True)
def _new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "_done", None)


@pytest.fixture
def sample_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], int]:
    """Return a function that takes the samples as a new process does at a time."""

    def sample(now: datetime) -> int:
        monkeypatch.setattr(sampling, "_done", None)
        monkeypatch.setattr(timezone, "now", lambda: now)
        return sampling.take_samples()

    return sample


def newest_sample(queue_name: str = "python") -> QueueSample:
    return QueueSample.objects.filter(queue_name=queue_name).order_by("-minute")[0]
