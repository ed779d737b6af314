"""The work index alone gives the order of answers and regrades."""

from __future__ import annotations

import pytest
from django.db import connection
from django.utils import timezone

from benchmarks.explain import plan
from xqueue_bridge.submission_queue import portable_pull
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status

ROWS = 3_000


@pytest.fixture
def many(transactional_db) -> None:
    """Store waiting and finished rows, a few of them regrades, and update the statistics.

    MariaDB commits before ANALYZE.
    """
    now = timezone.now()
    contents = [SubmissionContent(header="{}", body="{}") for _ in range(ROWS)]
    SubmissionContent.objects.bulk_create(contents, batch_size=500)
    ids = list(SubmissionContent.objects.order_by("pk").values_list("pk", flat=True))
    rows = [
        Submission(
            content_id=content_id,
            queue_name=f"queue {n % 3}",
            status=Status.WAITING if n % 2 else Status.ANSWERED,
            available_at=now if n % 2 else None,
            due_at=now if n % 2 else None,
            user_id=n,
            course_key="course-v1:DemoX+CS101+2026",
            usage_key="block-v1:DemoX+CS101+2026+type@problem+block@loops",
            dispatch="score_update",
            queue_key=f"key {n}",
            regrade_of=n if n % 101 == 0 else None,
            created_at=now,
        )
        for n, content_id in enumerate(ids)
    ]
    Submission.objects.bulk_create(rows, batch_size=500)
    table = Submission._meta.db_table
    verb = {"mysql": "ANALYZE TABLE", "postgresql": "ANALYZE"}.get(connection.vendor, "ANALYZE")
    with connection.cursor() as cursor:
        cursor.execute(f"{verb} {table}")
        cursor.fetchall() if connection.vendor == "mysql" else None


@pytest.mark.parametrize("size", [1, portable_pull.CLAIM_WINDOW])
def test_pull_reads_a_range_of_the_work_index(many, size) -> None:
    found = plan(lambda: portable_pull._window("queue 1", 1, size))
    assert "xqueue_bridge_work" in found, found
    assert "xqueue_bridge_of_course" not in found, found
    assert "USE TEMP B-TREE" not in found, found
    assert "Using filesort" not in found, found
    assert "Sort" not in found, found
