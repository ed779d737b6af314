"""What a run begins with: learners with graded answers, and the points that each must have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Count
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey

from benchmarks.regrades.settings import QUEUE
from xqueue_bridge.models import ReceivedReply, StudentModule, Submission, SubmissionContent
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue.states import Status, finished

COURSE = CourseKey.from_string("course-v1:DemoX+Regrades+2026")
#: One regrade for each problem, because the pace of a regrade has a maximum.
PROBLEMS = [COURSE.make_usage_key("problem", f"p{n}") for n in range(4)]
GRADER = "regrade-grader"
ANSWER = "a_2_1"
POINTS = 4.0
#: What the grader gave by mistake before it was corrected; no answer is worth it.
MISTAKE = 3
BATCH = 1_000


def worth(number: int) -> int:
    """Return the points that the corrected grader gives to a learner's first answer."""
    return number % 3


def make_world(submissions: int, learners: int) -> str:
    """Store the graded answers of as many learners, and of those who will submit; return a secret.

    The first ``learners`` of them submit again during the run.
    """
    users = get_user_model().objects
    number = max(submissions // len(PROBLEMS), learners)
    users.bulk_create(users.model(username=f"regrade-{n}") for n in range(number))
    ids = list(users.order_by("pk").values_list("pk", flat=True))
    wanted = [(user_id, problem) for problem in PROBLEMS for user_id in ids][:submissions]
    for begin in range(0, len(wanted), BATCH):
        _store(wanted[begin : begin + BATCH], begin)
    return submission_queue.create_grader(GRADER, [QUEUE])


def waiting_state(queue_key: str) -> dict[str, Any]:
    entry = {
        "correctness": "incomplete",
        "msg": "",
        "queuestate": {"key": queue_key, "time": "20260101000000"},
    }
    return _state(entry, 0)


def _state(entry: dict[str, Any], points: int) -> dict[str, Any]:
    return {
        "correct_map": {ANSWER: entry},
        "attempts": 1,
        "done": True,
        "score": {"raw_earned": points, "raw_possible": POINTS},
    }


def _store(rows: list[tuple[int, Any]], begin: int) -> None:
    now = timezone.now()
    entry = {"correctness": "correct", "msg": "<p>old</p>", "npoints": MISTAKE, "queuestate": None}
    contents = SubmissionContent.objects.bulk_create(
        SubmissionContent(
            header="{}",
            body=json.dumps({"student_response": str(worth(user_id))}),
            points={ANSWER: POINTS},
        )
        for user_id, _ in rows
    )
    sent = Submission.objects.bulk_create(
        Submission(
            content=content, queue_name=QUEUE, user_id=user_id, course_key=COURSE,
            usage_key=problem, dispatch="score_update", queue_key=f"old-{begin + n}",
            created_at=now, deliveries=1, **finished(Status.ANSWERED),
        )
        for n, (content, (user_id, problem)) in enumerate(zip(contents, rows, strict=True))
    )  # fmt: skip
    ReceivedReply.objects.bulk_create(
        ReceivedReply(
            submission=row, source="put_result", body="{}", digest=hashlib.sha256().hexdigest(),
            status="applied", received_at=now, applied_at=now, correct=True, message="<p>old</p>",
            score_given=MISTAKE, score_applied=MISTAKE, answer_id=ANSWER, next_attempt_at=None,
        )
        for row in sent
    )  # fmt: skip
    StudentModule.objects.bulk_create(
        StudentModule(
            student_id=user_id, course_id=COURSE, module_state_key=problem,
            module_type="problem", state=json.dumps(_state(entry, MISTAKE)), grade=MISTAKE,
            max_grade=POINTS, created=now, modified=now,
        )
        for user_id, problem in rows
    )  # fmt: skip


def wrong_grades(*, is_cancelled: bool) -> Iterator[str]:
    """Yield what is wrong with the learners' grades when no work is left.

    Each is that of the learner's newest answer; after a cancelled second regrade one point more,
    if that was finished.
    """
    newest: dict[tuple[int, str], int] = {}
    answers = Submission.objects.filter(regrade_of=None).order_by("pk")
    for user_id, problem, body in answers.values_list("user_id", "usage_key", "content__body"):
        newest[user_id, str(problem)] = int(json.loads(body)["student_response"])
    waiting = wrong = 0
    rows = StudentModule.objects.values_list("student_id", "module_state_key", "state", "grade")
    for user_id, problem, state, grade in rows.iterator():
        points = newest[user_id, str(problem)]
        entry = json.loads(state)["correct_map"][ANSWER]
        waiting += entry["queuestate"] is not None
        allowed = (points, points + 1) if is_cancelled else (points,)
        wrong += grade not in allowed or entry["msg"] != f"<p>{grade:g}</p>"
    if waiting:
        yield f"{waiting} blocks wait for a reply that does not come"
    if wrong:
        yield f"{wrong} of {len(newest)} grades are wrong, or have the feedback of another result"
    replies = ReceivedReply.objects.filter(status="applied").values("submission")
    twice = replies.annotate(n=Count("pk")).filter(n__gt=1).count()
    if twice:
        yield f"{twice} submissions have two applied replies"
