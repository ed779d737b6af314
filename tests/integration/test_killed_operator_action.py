"""A process that carries out an action of operators is killed; the sweeper goes on.

After each kill, each row is either changed or as it was, and the record counts what has changed.
"""

from __future__ import annotations

import signal

import pytest
from django.utils import timezone

from tests.grader_replies.factories import make_learner, make_reply
from tests.integration.killable_processes import fork_server
from tests.moments import STEP
from tests.regrading.factories import submit
from tests.submission_queue.factories import COURSE, PROBLEM
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.operations import api as operations
from xqueue_bridge.operations.api import OperatorAction, Order
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status

JOB = "tests.integration.subprocess_jobs.act_until_killed"
KILLED = -signal.SIGKILL
#: Rows of one action, and of one batch.
ROWS, SIZE = 3, 2


@pytest.fixture(autouse=True)
def _committed(transactional_db, settings):
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None}


def waiting(queue_name: str, number: int) -> list[Submission]:
    """Store submissions that wait, with few statements."""
    contents = [SubmissionContent(header="{}", body="{}") for _ in range(number)]
    SubmissionContent.objects.bulk_create(contents, batch_size=1000)
    now = timezone.now()
    free = SubmissionContent.objects.filter(submission=None).values_list("pk", flat=True)
    rows = [
        Submission(
            content_id=pk,
            queue_name=queue_name,
            user_id=user_id,
            course_key=COURSE,
            usage_key=PROBLEM,
            dispatch="score_update",
            queue_key=f"{queue_name} {user_id}",
            available_at=now,
            due_at=now,
            created_at=now,
        )
        for user_id, pk in enumerate(free, 1)
    ]
    Submission.objects.bulk_create(rows, batch_size=500)
    return list(Submission.objects.filter(queue_name=queue_name))


def prepared(action: str, queue_name: str, number: int) -> list[int]:
    """Store rows that the action concerns; return the ids of their submissions."""
    if action != "requeue":
        rows = waiting(queue_name, number)
        if action == "retry":
            for row in rows:
                make_reply(row, status="dead", next_attempt_at=None)
        return [row.pk for row in rows]
    ids = [submit(make_learner(f"{queue_name} {n}")) for n in range(number)]
    Submission.objects.filter(pk__in=ids).update(queue_name=queue_name)
    assert operations.begin(Order("end", queue_name)).changed == number
    return ids


def changed(action: str, ids: list[int]) -> int:
    """Return how many of the rows the action has changed; none is missing."""
    if action == "retry":
        replies = ReceivedReply.objects.filter(submission__in=ids)
        assert replies.count() == len(ids)
        return replies.filter(status="pending", next_attempt_at__isnull=False).count()
    rows = Submission.objects.filter(pk__in=ids)
    assert rows.count() == len(ids)
    if action == "move":
        assert set(rows.values_list("status", flat=True)) == {Status.WAITING}
        return rows.filter(queue_name="other").count()
    failed = rows.filter(status=Status.FAILED)
    open_ = rows.filter(status=Status.WAITING, due_at__isnull=False)
    assert failed.count() + open_.count() == len(ids)
    if action == "end":
        failures = ReceivedReply.objects.filter(submission__in=ids, source="operator")
        assert failures.count() == failed.count(), "a learner is told once, and only of the end"
        return failed.count()
    return open_.count()


@pytest.mark.parametrize(
    ("action", "step"), [("move", 1), ("retry", 1), ("end", 2), ("requeue", 5)]
)
def test_action_that_is_killed_at_any_moment_is_resumed(action: str, step: int) -> None:
    ends, moment = [KILLED], 1
    with fork_server() as processes:
        while ends[-1] == KILLED:
            queue_name = f"queue {moment}"
            ids = prepared(action, queue_name, ROWS)
            ends.append(
                processes.run(JOB, moment=moment, action=action, queue_name=queue_name, size=SIZE)
            )
            check_and_resume(action, queue_name, ids)
            moment += step * STEP
    assert ends[-1] == 0
    assert moment > 8 * step


@pytest.mark.parametrize(
    ("action", "number", "moments"),
    [("move", 2_300, (30, 50)), ("retry", 1_200, (30,)), ("end", 600, (401, 1_001))],
)
def test_long_action_that_is_killed_is_resumed(
    action: str, number: int, moments: tuple[int, ...]
) -> None:
    """Thousands of rows, in batches of the usual size."""
    with fork_server() as processes:
        for moment in moments[::STEP]:
            queue_name = f"queue {moment}"
            ids = prepared(action, queue_name, number)
            end = processes.run(JOB, moment=moment, action=action, queue_name=queue_name, size=None)
            assert end == KILLED
            assert 0 < changed(action, ids) < number, "it was killed half-way"
            check_and_resume(action, queue_name, ids)


def check_and_resume(action: str, queue_name: str, ids: list[int]) -> None:
    """The record says what was done when the process was killed, and after the sweeper's work."""
    records = OperatorAction.objects.filter(kind=action, queue_name=queue_name)
    record = records.first()
    assert changed(action, ids) == (0 if record is None else record.changed)
    if record is None:
        return
    batches = 0
    while operations.continue_actions():
        batches += 1
        assert batches <= len(ids) + 1, "it never ends"
    assert records.count() == 1
    record.refresh_from_db()
    assert record.finished_at is not None
    assert changed(action, ids) == record.changed == record.selected == len(ids)
