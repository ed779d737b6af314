"""The tables of xqueue_bridge."""

from __future__ import annotations

import hashlib
import json
import time
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Count, Min, Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from benchmarks.data import block_key
from benchmarks.side_by_side.stores.base import COURSE, GRADER, QUEUE, Store, copy_rows
from tests.doubles.problem_block import ANSWER_ID, problem_block
from tests.grader_replies.factories import waiting_state
from xqueue_bridge.models import (
    GradeRecalculation,
    ReceivedReply,
    ScoreLedger,
    StudentModule,
    StudentModuleHistory,
    Submission,
    SubmissionContent,
)
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.states import Status, finished
from xqueue_bridge.xqueue_service.api import XQueueInterface, XQueueService, make_xheader

_COURSE = CourseKey.from_string(COURSE)
LEARNERS = 1_000
_MODELS = (
    ReceivedReply,
    Submission,
    SubmissionContent,
    StudentModule,
    StudentModuleHistory,
    ScoreLedger,
    GradeRecalculation,
)


class OurStore(Store):
    """Submissions of many learners, each at a block of its own."""

    tables = tuple(model._meta.db_table for model in _MODELS)

    def __init__(self) -> None:
        self.blocks = 0

    @cached_property
    def learners(self) -> list[int]:
        return list(get_user_model().objects.values_list("pk", flat=True))

    def make_grader(self) -> dict[str, str]:
        users = get_user_model().objects
        users.bulk_create(users.model(username=f"learner{number}") for number in range(LEARNERS))
        secret = submission_queue.create_grader(GRADER, [QUEUE])
        return {"username": GRADER, "password": secret}

    def fill(self, number: int, body_bytes: int, waits: bool = True) -> None:
        """Add submissions; with ``waits``, the learners' states wait for their replies."""
        now = timezone.now()
        contents = SubmissionContent.objects.bulk_create(
            SubmissionContent(
                header=json.dumps({"lms_callback_url": "http://lms/x", "lms_key": f"key-{n}"}),
                body=json.dumps({"student_response": "x" * body_bytes}),
                points={ANSWER_ID: 1},
            )
            for n in range(number)
        )
        if waits:
            self.prepare(number)
        rows = []
        for content in contents:
            self.blocks += 1
            key, usage_key = f"key-{self.blocks}", block_key(self.blocks)
            rows.append(_submission(content, self._learner(self.blocks), usage_key, key, now))
        Submission.objects.bulk_create(rows)

    def prepare(self, number: int, after: int | None = None) -> None:
        """Store the states that wait for the replies to the next ``number`` submissions.

        ``after``: the block that precedes the first one, because several processes send.
        """
        if after is not None:
            self.blocks = after
        now = timezone.now()
        StudentModule.objects.bulk_create(
            StudentModule(
                student_id=self._learner(block), course_id=_COURSE,
                module_state_key=block_key(block), module_type="problem",
                state=json.dumps(waiting_state(**{ANSWER_ID: f"key-{block}"})),
                created=now, modified=now,
            )
            for block in range(self.blocks + 1, self.blocks + number + 1)
        )  # fmt: skip

    def clear(self) -> None:
        """Delete all submissions, and the tasks that no worker has taken."""
        super().clear()
        # Only the settings of the comparison name a broker.
        if getattr(settings, "CELERY_BROKER_URL", "").startswith("redis"):
            from benchmarks.side_by_side.celery_app import app

            with app.connection_for_write() as broker:
                broker.default_channel.queue_purge(settings.CELERY_TASK_DEFAULT_QUEUE)

    def _learner(self, block: int) -> int:
        return self.learners[block % len(self.learners)]

    def backlog(self, pending: int, finished: int, body_bytes: int) -> None:
        """Add so many rows, without learners' states; the pending ones are the newest."""
        if finished:
            self._finish_some(min(finished, 1_000), body_bytes)
            self._copy(finished - min(finished, 1_000), is_finished=True)
        if pending:
            self.fill(min(pending, 1_000), body_bytes, waits=False)
            self._copy(pending - min(pending, 1_000), is_finished=False)

    def _finish_some(self, number: int, body_bytes: int) -> None:
        self.fill(number, body_bytes, waits=False)
        now = timezone.now() - timedelta(days=40)
        open_rows = Submission.objects.filter(status=Status.WAITING)
        replies = [
            ReceivedReply(
                submission=row, source="put_result", body="{}", digest=hashlib.sha256().hexdigest(),
                status="applied", received_at=now, correct=True, score_given=1, score_applied=1,
                message="<p>All tests passed.</p>", applied_at=now,
            )
            for row in open_rows
        ]  # fmt: skip
        ReceivedReply.objects.bulk_create(replies)
        open_rows.update(**{**finished(Status.ANSWERED), "finished_at": now}, created_at=now)

    def _copy(self, copies: int, *, is_finished: bool) -> None:
        status = Status.ANSWERED if is_finished else Status.WAITING
        rows = Submission.objects.filter(status=status).order_by("pk")
        first, last = rows.first(), rows.last()
        if first is None or last is None:
            raise ValueError(f"there is no submission with the status {status}")
        copy_rows(SubmissionContent._meta.db_table, first.content_id, last.content_id, copies, {})
        # Each copy belongs to a learner who has no other submission.
        differ = {"content_id": "content_id + {by}", "user_id": "user_id + 1000000 + {by}"}
        copy_rows(Submission._meta.db_table, first.pk, last.pk, copies, differ)
        if is_finished:
            replies = ReceivedReply.objects.filter(submission__in=[first, last]).order_by("pk")
            ids = list(replies.values_list("pk", flat=True))
            same = {"submission_id": "submission_id + {by}"}
            copy_rows(ReceivedReply._meta.db_table, ids[0], ids[-1], copies, same)

    def counts(self) -> dict[str, Any]:
        """Return how many submissions are in which state, and what would be an error."""
        rows = Submission.objects.aggregate(
            pending=Count("pk", filter=Q(status__in=[Status.WAITING, Status.LEASED])),
            answered=Count("pk", filter=Q(status=Status.ANSWERED)),
            oldest=Min("created_at", filter=Q(status=Status.WAITING)),
        )
        oldest = rows.pop("oldest")
        applied = ReceivedReply.objects.filter(status="applied")
        twice = applied.values("submission").annotate(n=Count("pk")).filter(n__gt=1).count()
        age = 0.0 if oldest is None else (timezone.now() - oldest).total_seconds()
        return {**rows, "applied": applied.count(), "twice": twice, "oldest_seconds": age}

    def unfinished(self) -> int:
        """Return how many stored replies are not applied."""
        return int(ReceivedReply.objects.filter(status="pending").count())

    def send(self, number: int, body_bytes: int, per_second: float = 0) -> list[tuple[int, float]]:
        """Send answers as a problem block does; return the ids and the times of storage."""
        body = json.dumps({"student_response": "x" * body_bytes})
        sent, began = [], time.monotonic()
        for nth in range(number):
            if per_second:
                time.sleep(max(0.0, began + nth / per_second - time.monotonic()))
            self._send_one(body)
            sent.append((self.blocks, time.time()))
        numbers = {f"key-{number}" for number, _ in sent}
        ids = dict(
            Submission.objects.filter(queue_key__in=numbers).values_list("queue_key", "pk")
        ) if number <= 1_000 else {}  # fmt: skip
        return [(ids.get(f"key-{number}", 0), at) for number, at in sent]

    def _send_one(self, body: str) -> None:
        self.blocks += 1
        block = problem_block(block_key(self.blocks), self._learner(self.blocks), 1.0)
        callback = XQueueService(block).construct_callback()
        header = make_xheader(callback, f"key-{self.blocks}", QUEUE)
        error, message = XQueueInterface(block=block, use_submission_service=True).send_to_queue(
            header, body
        )
        if error:
            raise ValueError(f"an answer was not sent: {message}")

    def send_statements(self) -> int:
        self._send_one("{}")
        with CaptureQueriesContext(connection) as queries:
            self._send_one("{}")
        return len(queries)


def _submission(content: Any, user_id: int, usage_key: Any, key: str, now: Any) -> Submission:
    return Submission(
        content=content,
        queue_name=QUEUE,
        status=Status.WAITING,
        available_at=now,
        due_at=now,
        created_at=now,
        retry_until=now + timedelta(days=365),
        user_id=user_id,
        course_key=_COURSE,
        usage_key=usage_key,
        dispatch="score_update",
        queue_key=key,
    )
