"""Every status of an answer: how it comes to be, and what its learner must read.

Each is the status of the same learner's answer to a problem of its own. All but the conditions of
the queue come to be as in a live site, through the bridge's own functions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from demo import users
from tests.regrading.factories import grade, result, start, submit
from tests.submission_queue.factories import COURSE
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.models import Grader, ReceivedReply, Regrade, Submission, SubmissionContent
from xqueue_bridge.operations import api as operations
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.api import MAX_AHEAD
from xqueue_bridge.worker.enqueue import defer_jobs

AGAIN = "You can submit it again"
COUNTED, NOT_COUNTED = "This attempt counts.", "This attempt does not count."
NEW_ONE = "If you submit again, the new answer goes to the end of the queue."


@dataclass(frozen=True)
class State:
    """How an answer gets a status; ``make`` takes its submission's id. Texts of the status."""

    make: Callable[[int], object]
    texts: tuple[str, ...]
    is_final: bool = True


def key_of(name: str) -> Any:
    """Return the usage key of the problem whose answer has a status."""
    return COURSE.make_usage_key("problem", name)


def shows_results(user_id: int, course_key: Any, usage_key: Any) -> bool:
    """Return whether a result is shown: SHOW_RESULTS of this site."""
    return usage_key.block_id != "hidden"


def create() -> int:
    """Create the answers with their statuses, and return the id of their learner."""
    learner, *_ = users.create(1)
    names = [name for name in STATES if name not in ("none", "no-grader")]
    submission_queue.create_grader("statuses", names)
    submission_queue.create_grader("silent", ["no-grader"])
    for name, state in STATES.items():
        if name != "none":
            _finish(name, state, submit(learner.pk, usage_key=key_of(name), queue_name=name))
    # For as long as the pictures take.
    later = timezone.now() + timedelta(hours=1)
    Grader.objects.filter(name="statuses").update(last_seen_at=later)
    return learner.pk


def _finish(name: str, state: State, pk: int) -> None:
    # An answer belongs to the attempt of those that were sent in the five seconds before it.
    Submission.objects.filter(pk=pk).update(created_at=timezone.now() - timedelta(minutes=2))
    state.make(pk)


# -- what happens to an answer


def _wait(pk: int) -> None:
    """Leave it in its queue."""


def _with_others(waiting: int, graded: int = 6) -> Callable[[int], None]:
    """Return a function that lets others be ahead in the queue, and be graded a minute ago."""

    def make(pk: int) -> None:
        mine = Submission.objects.get(pk=pk)
        ahead = {"due_at": mine.due_at - timedelta(minutes=1)}
        _copies(mine, waiting, **ahead)
        now = timezone.now()
        done = {"status": "answered", "available_at": None, "due_at": None, "finished_at": now}
        for seconds in range(10, 10 + 10 * graded, 10):
            _copies(mine, 1, leased_at=now - timedelta(seconds=seconds), **done)

    return make


def _copies(mine: Submission, number: int, **changes: Any) -> None:
    contents = [SubmissionContent(header="{}", body="{}") for _ in range(number)]
    rows = []
    for content in SubmissionContent.objects.bulk_create(contents, 500):
        row = copy.copy(mine)
        row.pk, row.content, row.user_id = None, content, 0
        row.queue_key = f"other-{content.pk}"
        for name, value in changes.items():
            setattr(row, name, value)
        rows.append(row)
    Submission.objects.bulk_create(rows, 500)


def _pull(pk: int) -> None:
    queue.pull(Submission.objects.get(pk=pk).queue_name, Grader.objects.get(name="statuses").pk)


def _grade(pk: int) -> None:
    grade(pk, 0.5)


@contextmanager
def _no_worker(pk: int) -> Iterator[None]:
    """Apply no reply to the submission."""
    with defer_jobs():
        yield
    later = timezone.now() + timedelta(hours=1)
    ReceivedReply.objects.filter(submission=pk).update(next_attempt_at=later)


def _grade_without_points(pk: int) -> None:
    """Grade an answer of a block that sends no points, as blocks without capa."""
    SubmissionContent.objects.filter(submission=pk).update(points={})
    grade(pk, 0.5)


def _reply(pk: int) -> None:
    """Store a grader's reply, and do not apply it."""
    _answer(pk)
    body = result(1)
    parsed = grader_replies.parse_reply(body)
    with _no_worker(pk):
        grader_replies.store_reply(pk, "put_result", body, reply=parsed)


def _answer(pk: int) -> None:
    Submission.objects.filter(pk=pk).update(
        status="answered", available_at=None, due_at=None, finished_at=timezone.now()
    )


def _not_applied(pk: int) -> None:
    _reply(pk)
    ReceivedReply.objects.filter(submission=pk).update(status="dead", next_attempt_at=None)


def _regrade(pk: int) -> None:
    grade(pk, 0.5)
    job = start(usage_key=Submission.objects.get(pk=pk).usage_key)
    Regrade.objects.filter(pk=job.pk).update(released_until=timezone.now() - timedelta(hours=1))
    regrading.release_due()


def _exhaust(pk: int) -> None:
    """Let the last delivery end without a result."""
    past = timezone.now() - timedelta(seconds=1)
    Submission.objects.filter(pk=pk).update(
        status="leased", deliveries=1000, available_at=past, due_at=past, retry_until=past
    )
    submission_queue.fail_exhausted()


def _exhaust_now(pk: int) -> None:
    with _no_worker(pk):
        _exhaust(pk)


def _exhaust_by_callback(pk: int) -> None:
    """The LMS whose block waits is another process, and counts the attempt."""
    _exhaust(pk)
    Submission.objects.filter(pk=pk).update(transport=Submission.Transport.SUBMIT)


def _stop(pk: int) -> None:
    """A filter of the host stops the result, with a reason."""
    _answer(pk)
    grader_replies.store_failure_reply(pk, "The answer contains a name. Submit it without.")


def _end(pk: int) -> None:
    name = Submission.objects.get(pk=pk).queue_name
    operations.begin(operations.Order(operations.OperatorAction.Kind.END, name))


def _pause(pk: int) -> None:
    submission_queue.pause_queue(Submission.objects.get(pk=pk).queue_name)


def _reset(pk: int) -> None:
    row = Submission.objects.get(pk=pk)
    with transaction.atomic():
        submission_queue.supersede_open(row.user_id, row.course_key, row.usage_key)


def _replace(pk: int) -> None:
    _reset(pk)
    Submission.objects.filter(pk=pk).update(is_replaced=True)


def _second(pk: int) -> None:
    """The problem has two answers; the first is graded."""
    first = Submission.objects.get(pk=pk)
    submit(first.user_id, usage_key=first.usage_key, queue_name=first.queue_name)
    second = Submission.objects.latest("pk")
    Submission.objects.filter(pk=second.pk).update(created_at=first.created_at)
    points = {"loops_2_1": 1, "loops_3_1": 1}
    SubmissionContent.objects.filter(submission__in=[pk, second.pk]).update(points=points)
    _reply(pk)
    ReceivedReply.objects.filter(submission=pk).update(
        status="applied", score_applied=1, answer_id="loops_2_1", next_attempt_at=None
    )


STATES = {
    "none": State(_wait, ()),
    "next": State(_wait, ("Waiting for a grader", "Next in the queue.", NEW_ONE), is_final=False),
    "estimated": State(
        _with_others(11),
        ("Waiting for a grader", "Number 12 in the queue.", "The grade is expected in ", NEW_ONE),
        is_final=False,
    ),
    "far": State(
        _with_others(MAX_AHEAD + 1),
        ("More than 1,000 answers are ahead of it in the queue.", "at the earliest."),
        is_final=False,
    ),
    "no-grader": State(
        _wait, ("Next in the queue.", "No grader is running now. The answer keeps"), is_final=False
    ),
    "paused": State(_pause, ("Next in the queue.", "Grading is paused by staff."), is_final=False),
    "grading": State(_pull, ("Being graded", "A grader has worked on it for "), is_final=False),
    "applying": State(
        _reply, ("Graded, and being entered", "The points are shown in a moment."), is_final=False
    ),
    "graded": State(_grade, ("0.5 of 1 points",)),
    "graded-without-points": State(_grade_without_points, ("Points: 0.5",)),
    "hidden": State(_grade, ("Graded", "The course does not show the result, or not yet.")),
    "regraded": State(
        _regrade, ("0.5 of 1 points", "The course team lets it be graded again."), is_final=False
    ),
    "two-answers": State(
        _second,
        ("Answer 1", "1 of 1 points", "Answer 2", "Waiting for a grader"),
        is_final=False,
    ),
    "failed": State(_exhaust, ("Not graded", "a fault of the grading service", AGAIN, NOT_COUNTED)),
    "failed-now": State(_exhaust_now, ("Not graded", AGAIN)),
    "failed-and-counted": State(_exhaust_by_callback, ("Not graded", AGAIN, COUNTED)),
    "stopped-by-the-host": State(_stop, ("Not graded", "The answer contains a name.", NOT_COUNTED)),
    "ended-by-staff": State(_end, ("Grading was ended by staff", AGAIN, NOT_COUNTED)),
    "not-entered": State(
        _not_applied, ("Graded, but not entered", "Please notify the course staff.")
    ),
    "replaced": State(_replace, ("Not graded any more", "You have submitted a newer answer")),
    "reset": State(_reset, ("Not graded any more", "The problem was reset")),
}
