"""Factories of learners, submissions, waiting states and replies, and a scripted backend."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.auth import get_user_model
from django.dispatch import Signal
from django.utils import timezone
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.data import ApplyResult, Dispatch, GraderReply, ReplyToApply, Target
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.grader_replies.backends.base import OnApplied
from xqueue_bridge.grader_replies.inbox import storable
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.parsing import parse_reply
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
BLOCK = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@loops")
CALLBACK_URL = f"https://lms.example.com/courses/{COURSE}/xqueue/7/{BLOCK}/score_update"

GOOD = json.dumps({"correct": True, "score": 1, "msg": "<p>All tests passed.</p>"})
OLD = timedelta(hours=1)  # longer than STALE_AFTER_SECONDS


def make_learner(name: str = "ada") -> int:
    return get_user_model().objects.create_user(name).pk


def make_due_reply(due_at: datetime) -> ReceivedReply:
    """Store a reply to the only submission that has not been applied since ``due_at``."""
    return ReceivedReply.objects.create(
        submission=Submission.objects.get(),
        source="put_result",
        body="{}",
        received_at=due_at,
        next_attempt_at=due_at,
    )


def make_submission(
    user_id: int,
    queue_key: str = "key-1",
    *,
    dispatch: Dispatch = Dispatch.SCORE_UPDATE,
    points: Mapping[str, float] | None = None,
    age: timedelta = timedelta(0),
    usage_key: UsageKey = BLOCK,
    header: str | None = None,
) -> Submission:
    """Return an answered submission, without sending a signal."""
    if header is None:
        header = json.dumps({"lms_callback_url": CALLBACK_URL, "lms_key": queue_key})
    content = SubmissionContent.objects.create(
        header=header, body="{}", points={"a_2_1": 1} if points is None else points
    )
    return Submission.objects.create(
        content=content,
        queue_name="python",
        status=Status.ANSWERED,
        user_id=user_id,
        course_key=COURSE,
        usage_key=usage_key,
        dispatch=dispatch,
        queue_key=queue_key,
        created_at=timezone.now() - age,
    )


def make_reply(submission: Submission, body: str = GOOD, **fields: Any) -> ReceivedReply:
    """Return a pending reply, for which no signal was sent."""
    now = timezone.now()
    reply = parse_reply(body, graded=submission.dispatch == Dispatch.SCORE_UPDATE)
    parsed = {"correct": reply.correct, "score_given": reply.score, "message": reply.msg}
    return ReceivedReply.objects.create(
        submission=submission,
        source="put_result",
        body=body,
        digest=storable(body)[1],
        **{"received_at": now, "next_attempt_at": now, **parsed, **fields},
    )


def waiting_state(**keys: str | None) -> dict[str, Any]:
    """Return a capa state: answer id -> the queue key that it waits for, or None."""
    entries = {
        answer_id: {
            "answervariable": None,
            "correctness": "incomplete" if key else None,
            "hint": "",
            "hintmode": None,
            "msg": "1",
            "npoints": None,
            "queuestate": {"key": key, "time": "20261120053556"} if key else None,
        }
        for answer_id, key in keys.items()
    }
    return {
        "attempts": 1,
        "correct_map": entries,
        "done": True,
        "input_state": {key: {} for key in keys},
        "score": {"raw_earned": 0, "raw_possible": len(keys)},
        "seed": 1,
        "student_answers": dict.fromkeys(keys, "print(1)"),
    }


def make_state(
    user_id: int, state: Mapping[str, Any] | None = None, usage_key: UsageKey = BLOCK
) -> StudentModule:
    """Write a state into the learner's row, without sending a signal."""
    now = timezone.now()
    fields = {
        "state": json.dumps(waiting_state(a_2_1="key-1") if state is None else state),
        "grade": 0,
        "max_grade": 1,
        "module_type": "problem",
        "created": now,
        "modified": now,
    }
    key = {"student_id": user_id, "course_id": COURSE, "module_state_key": usage_key}
    return StudentModule.objects.update_or_create(defaults=fields, **key)[0]


def make_reply_to_apply(user_id: int = 7, **changes: Any) -> ReplyToApply:
    """Return the argument of a backend's ``apply``, without a row."""
    header = json.dumps({"lms_callback_url": CALLBACK_URL, "lms_key": "key-1"})
    dispatch = changes.pop("dispatch", Dispatch.SCORE_UPDATE)
    fields: dict[str, Any] = {
        "reply_id": 1,
        "target": Target(user_id, COURSE, BLOCK, dispatch),
        "queue_key": "key-1",
        "header": header,
        "reply": GraderReply(True, 1, "<p>ok</p>"),
        "points": {"a_2_1": 1},
        "score_is_fraction": False,
        "sent_at": timezone.now() - timedelta(seconds=10),
        "age": timedelta(seconds=10),
    }
    return ReplyToApply(**{**fields, **changes})


class ScriptedBackend:
    """Reply backend that runs one function of the script for each call."""

    needs_block_lock = True
    recheck_seconds: float | None = None
    state_is_ours = False

    def __init__(self, *script: Any) -> None:
        self.script = list(script) or [ApplyResult(True, 1, 1)]
        self.calls: list[ReplyToApply] = []

    def apply(self, to_apply: ReplyToApply, on_applied: OnApplied) -> ApplyResult:
        self.calls.append(to_apply)
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(step, Exception):
            raise step
        result = step(to_apply) if callable(step) else step
        if result.applied:
            in_transaction(partial(on_applied, result))
        return result


@contextmanager
def received_signals(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """Collect the arguments of each signal that is sent in the ``with`` block."""
    received: list[dict[str, Any]] = []

    def listen(sender: object, signal: Signal, **arguments: Any) -> None:
        received.append(arguments)

    signal.connect(listen)
    try:
        yield received
    finally:
        signal.disconnect(listen)
