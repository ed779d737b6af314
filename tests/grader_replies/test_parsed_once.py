"""A result is parsed and sanitised once, however many attempts apply it."""

from __future__ import annotations

import json

import pytest
from celery import current_app
from django.test import Client

from tests.grader_replies.factories import make_learner, make_state, waiting_state
from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    make_grader,
    new_submission,
)
from xqueue_bridge import tasks
from xqueue_bridge.grader_replies import api as replies
from xqueue_bridge.grader_replies import parsing
from xqueue_bridge.grader_replies.backends.student_module import StudentModuleBackend
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api as queue

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _without_course_grades(settings):
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "RETRY_BACKOFF": 0.01}


@pytest.fixture
def sanitised(monkeypatch) -> list[str]:
    texts = []
    make_feedback = parsing.make_feedback

    def record(text: str) -> str:
        texts.append(text)
        return make_feedback(text)

    monkeypatch.setattr(parsing, "make_feedback", record)
    return texts


@pytest.fixture
def learner_id() -> int:
    user_id = make_learner()
    make_state(user_id, waiting_state(a_2_1="key-1"), usage_key=PROBLEM)
    return user_id


def post_callback(user_id: int) -> int:
    header = json.dumps({"lms_key": "key-1", "queue_name": "python"})
    path = f"/courses/{COURSE}/xqueue/{user_id}/{PROBLEM}/score_update"
    form = {"xqueue_header": header, "xqueue_body": GOOD_REPLY}
    return Client().post(path, form).status_code


def test_result_is_sanitised_once_from_the_request_to_the_state(learner_id, sanitised):
    """C93: put_result parses the result; the attempt reads the columns of the row."""
    grader = make_grader()
    queue.enqueue(new_submission(user_id=learner_id))
    assert grader.put(grader.pull().header)["return_code"] == 0
    assert ReceivedReply.objects.get().status == "applied"
    assert len(sanitised) == 1


def test_failed_attempts_do_not_sanitise_again(learner_id, sanitised, monkeypatch):
    """C93, C106: a retry reads the columns of the row."""
    grader = make_grader()
    queue.enqueue(new_submission(user_id=learner_id))

    def fail(*args: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(StudentModuleBackend, "apply", fail)
        grader.put(grader.pull().header)
        replies.apply_due()
    assert ReceivedReply.objects.get().status == "pending"
    ReceivedReply.objects.update(attempts=0)
    assert replies.apply_reply(ReceivedReply.objects.get().pk) == "applied"
    assert len(sanitised) == 1


def test_callback_is_sanitised_and_applied_once(learner_id, sanitised, monkeypatch):
    """C93, C116: a callback is processed like put_result."""
    calls = []
    apply = StudentModuleBackend.apply

    def record(self, to_apply, on_applied):
        calls.append(to_apply)
        return apply(self, to_apply, on_applied)

    monkeypatch.setattr(StudentModuleBackend, "apply", record)
    assert post_callback(learner_id) == 200
    assert ReceivedReply.objects.get().status == "applied"
    assert (len(sanitised), len(calls)) == (1, 1)


def test_callback_only_enqueues_with_a_broker(learner_id, monkeypatch):
    """C90: the request does not apply the reply; a worker does."""
    sent = []
    monkeypatch.setattr(
        tasks.apply_replies, "apply_async", lambda args, **kwargs: sent.append(args)
    )
    monkeypatch.setattr(current_app.conf, "broker_url", "redis://127.0.0.1")
    assert post_callback(learner_id) == 200
    reply = ReceivedReply.objects.get()
    assert (reply.status, reply.attempts) == ("pending", 0)
    assert sent == [([reply.pk],)]
