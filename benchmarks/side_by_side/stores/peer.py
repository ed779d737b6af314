"""The tables of edx-submissions."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import connection
from django.db.models import Count, Min, Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from submissions.api import create_external_grader_detail
from submissions.models import ExternalGraderDetail, Score, ScoreSummary, StudentItem, Submission

from benchmarks.side_by_side.stores.base import COURSE, QUEUE, Store, copy_rows

_UUID = {
    "postgresql": "gen_random_uuid()",
    "mysql": "UUID()",
    "sqlite": "lower(hex(randomblob(16)))",
}


class PeerStore(Store):
    """Submissions of many learners, each at a block of its own."""

    tables = tuple(
        model._meta.db_table
        for model in (ScoreSummary, Score, ExternalGraderDetail, Submission, StudentItem)
    )

    def __init__(self) -> None:
        self.blocks = 0

    def fill(self, number: int, body_bytes: int, waits: bool = True) -> None:
        now = timezone.now()
        items, answer = [], json.dumps({"student_response": "x" * body_bytes})
        for _ in range(number):
            self.blocks += 1
            items.append(StudentItem(**_student_item(self.blocks)))
        items = StudentItem.objects.bulk_create(items)
        rows = Submission.objects.bulk_create(
            Submission(
                uuid=uuid4(), student_item=item, attempt_number=1, answer=answer,
                submitted_at=now, created_at=now,
            )
            for item in items
        )  # fmt: skip
        ExternalGraderDetail.objects.bulk_create(
            ExternalGraderDetail(
                submission=row, queue_name=QUEUE, queue_key=f"key-{row.pk}", status_time=now,
                created_at=now,
            )
            for row in rows
        )  # fmt: skip

    def prepare(self, number: int) -> None:
        """Do nothing: a result needs no state that waits for it."""

    def backlog(self, pending: int, finished: int, body_bytes: int) -> None:
        for wanted, status in ((finished, "retired"), (pending, "pending")):
            if wanted:
                some = min(wanted, 1_000)
                self.fill(some, body_bytes)
                new = ExternalGraderDetail.objects.filter(status="pending")
                then = timezone.now() - timedelta(days=40)
                new.update(status=status, **({"status_time": then} if status == "retired" else {}))
                self._copy(wanted - some, status)

    def _copy(self, copies: int, status: str) -> None:
        rows = ExternalGraderDetail.objects.filter(status=status).order_by("pk")
        first, last = rows.first(), rows.last()
        if first is None or last is None:
            raise ValueError(f"there is no row with the status {status}")
        one, other = first.submission, last.submission
        name = "student_id || '-{by}'"
        if connection.vendor == "mysql":
            name = "CONCAT(student_id, '-{by}')"
        items = (one.student_item_id, other.student_item_id)
        copy_rows(StudentItem._meta.db_table, *items, copies, {"student_id": name})
        differ = {"student_item_id": "student_item_id + {by}", "uuid": _UUID[connection.vendor]}
        copy_rows(Submission._meta.db_table, one.pk, other.pk, copies, differ)
        same = {"submission_id": "submission_id + {by}"}
        copy_rows(ExternalGraderDetail._meta.db_table, first.pk, last.pk, copies, same)

    def counts(self) -> dict[str, Any]:
        rows = ExternalGraderDetail.objects.aggregate(
            pending=Count("pk", filter=Q(status__in=["pending", "pulled", "retry"])),
            answered=Count("pk", filter=Q(status="retired")),
            oldest=Min("created_at", filter=Q(status="pending")),
        )
        oldest = rows.pop("oldest")
        scores = Score.objects.values("submission").annotate(n=Count("pk")).filter(n__gt=1).count()
        age = 0.0 if oldest is None else (timezone.now() - oldest).total_seconds()
        return {**rows, "applied": Score.objects.count(), "twice": scores, "oldest_seconds": age}

    def unfinished(self) -> int:
        return 0  # its score row is written before the response

    def send(self, number: int, body_bytes: int, per_second: float = 0) -> list[tuple[int, float]]:
        answer = json.dumps({"student_response": "x" * body_bytes})
        sent, began = [], time.monotonic()
        for nth in range(number):
            if per_second:
                time.sleep(max(0.0, began + nth / per_second - time.monotonic()))
            sent.append((self._send_one(answer), time.time()))
        return sent

    def _send_one(self, answer: str) -> int:
        self.blocks += 1
        made = create_external_grader_detail(
            _student_item(self.blocks), answer, QUEUE, f"key-{self.blocks}"
        )
        return int(made.submission_id)

    def send_statements(self) -> int:
        self._send_one("{}")
        with CaptureQueriesContext(connection) as queries:
            self._send_one("{}")
        return len(queries)


def _student_item(number: int) -> dict[str, str]:
    return {
        "student_id": f"learner-{number:032x}",
        "course_id": COURSE,
        "item_id": f"block-v1:DemoX+CS101+2026+type@problem+block@{number:032x}",
        "item_type": "problem",
    }
