"""Factories of graded answers in the learners' state, and a grader that grades again."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import F
from opaque_keys.edx.keys import UsageKey

from tests.grader_replies.factories import make_learner, waiting_state
from tests.submission_queue.factories import COURSE, PROBLEM, new_submission
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.learner_state import student_module
from xqueue_bridge.regrading import api as regrading
from xqueue_bridge.regrading.models import Regrade, RegradeItem
from xqueue_bridge.submission_queue import api as submission_queue
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

ANSWER = "loops_2_1"


def result(score: float, msg: str = "") -> str:
    return json.dumps({"correct": score > 0, "score": score, "msg": f"<p>{msg or score}</p>"})


def submit(user_id: int, queue_key: str = "", usage_key: UsageKey = PROBLEM, **more: Any) -> int:
    """Submit an answer and save the state that waits for it; return the submission's id."""
    queue_key = queue_key or f"key-{Submission.objects.count()}"
    submission_queue.enqueue(
        new_submission(user_id=user_id, queue_key=queue_key, usage_key=usage_key, **more)
    )
    state = waiting_state(**{ANSWER: queue_key})
    student_module.save_fields(user_id, COURSE, usage_key, state)
    return Submission.objects.latest("pk").pk


def grade(submission_id: int, score: float, msg: str = "") -> None:
    """Answer a submission as a grader and apply the reply."""
    Submission.objects.filter(pk=submission_id).update(
        status=Status.ANSWERED, available_at=None, due_at=None, finished_at=F("created_at")
    )
    body = result(score, msg)
    reply = grader_replies.parse_reply(body)
    grader_replies.store_reply(submission_id, "put_result", body, reply=reply)
    grader_replies.apply_due()


def graded(name: str, score: float = 1, usage_key: UsageKey = PROBLEM) -> tuple[int, int]:
    """Create a learner with a graded answer; return user id and submission id."""
    user_id = make_learner(name)
    submission_id = submit(user_id, usage_key=usage_key)
    grade(submission_id, score, "old")
    return user_id, submission_id


def grade_all_again(score: float = 0, msg: str = "new", sweeps: int = 20) -> int:
    """Release, pull and grade regrades until nothing is offered; return their number."""
    done = 0
    for _ in range(sweeps):
        Regrade.objects.update(released_until=F("created_at"))
        regrading.release_due()
        while pulled := queue.pull("python", None):
            grade(pulled.submission_id, score, msg)
            done += 1
        regrading.end_finished()
    return done


def state_of(user_id: int, usage_key: UsageKey = PROBLEM) -> dict[str, Any]:
    """Return the answer's entry in the learner's state."""
    return student_module.read_state(user_id, usage_key, COURSE)["correct_map"][ANSWER]


def points_of(user_id: int, usage_key: UsageKey = PROBLEM) -> float | None:
    score = student_module.read_score(user_id, usage_key, COURSE)
    return score and score.earned


def start(*, author_id: int | None = None, **changes: Any) -> Regrade:
    """Start a regrade of the whole course's queue, or of what ``changes`` select."""
    names = {"only_if_higher", "keep_feedback", "per_minute"}
    options = {name: changes.pop(name) for name in names & changes.keys()}
    selection = regrading.Selection(COURSE, **changes)
    options.setdefault("per_minute", 600)
    return regrading.start(selection, regrading.RegradeOptions(**options), author_id=author_id)


def outcomes(regrade: Regrade) -> dict[int, str]:
    """Return the status of each item, by user id."""
    return dict(RegradeItem.objects.filter(regrade=regrade).values_list("user_id", "status"))
