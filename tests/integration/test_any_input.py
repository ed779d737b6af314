"""Anything that comes from outside: no exception, and the learner still gets the grade."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from xblocks_contrib.problem.capa_block import ScoreField

from tests import odd_json
from tests.property_examples import few
from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    GraderClient,
    make_grader,
    new_submission,
)
from xqueue_bridge import api
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.learner_state.models import RetiredLearner, StudentModule
from xqueue_bridge.lms import capa
from xqueue_bridge.submission_queue import queue
from xqueue_bridge.submission_queue.grader_models import GraderPause
from xqueue_bridge.submission_queue.models import Submission

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_course_grades"),
]

ANSWER = "loops_2_1"
REPLY = {
    "correct": True,
    "score": 1,
    "msg": "<p>ok</p>",
    "tests": [{"name": "a", "score": 1, "max_score": 1, "status": "passed", "output": "x"}],
    "staff_note": "seed 7",
}
HEADER = {"lms_callback_url": "x", "lms_key": "key-1", "queue_name": "python"}
STATE = {
    "attempts": 1,
    "correct_map": {
        ANSWER: {
            "correctness": "incomplete",
            "npoints": None,
            "msg": "1",
            "hint": "",
            "hintmode": None,
            "queuestate": {"key": "key-1", "time": "20261120101010"},
            "answervariable": None,
        },
        "loops_3_1": {"correctness": "incorrect", "npoints": 0, "msg": "", "queuestate": None},
    },
    "done": True,
    "input_state": {ANSWER: {}},
    "score": {"raw_earned": 0, "raw_possible": 1},
    "seed": 1,
    "student_answers": {ANSWER: "print(1)"},
}

#: What a form can carry.
texts = st.text(st.characters(exclude_categories=["Cs"]))


def examples(number: int) -> Any:
    return settings(
        max_examples=few(number), suppress_health_check=[HealthCheck.function_scoped_fixture]
    )


@pytest.fixture
def learner(db: None) -> int:
    return get_user_model().objects.create_user("learner").pk


def wait(user_id: int, text: str = json.dumps(STATE)) -> None:
    """Empty the queue, and store a state that waits for "key-1", without a signal."""
    for table in (ReceivedReply, Submission, StudentModule, GraderPause, RetiredLearner):
        table.objects.all().delete()
    now = timezone.now()
    StudentModule.objects.create(
        student_id=user_id,
        course_id=COURSE,
        module_state_key=PROBLEM,
        module_type="problem",
        state=text,
        created=now,
        modified=now,
    )


def score(user_id: int) -> api.RawScore:
    found = api.read_score(user_id, PROBLEM, COURSE)
    assert found
    return found


def still_waits(user_id: int) -> bool:
    return "key-1" in capa.waiting_keys(api.read_state(user_id, PROBLEM, COURSE) or {})


@pytest.fixture
def watcher(learner: int) -> GraderClient:
    return make_grader()


@examples(60)
@given(odd_json.texts(REPLY) | texts)
def test_any_result_is_applied_or_another_one_can_be(learner, watcher, body):
    """C84, C92: after a result that is refused, graders are offered the submission again."""
    wait(learner)
    queue.enqueue(new_submission(user_id=learner))
    if watcher.put(watcher.pull().header, body)["return_code"]:
        assert still_waits(learner)
        Submission.objects.update(due_at=timezone.now(), available_at=timezone.now())
        assert watcher.put(watcher.pull().header)["return_code"] == 0
        assert score(learner) == (1, 1)
    assert not still_waits(learner)
    assert 0 <= score(learner).earned <= score(learner).possible == 1


@examples(60)
@given(odd_json.texts(HEADER) | texts, odd_json.texts(REPLY) | texts)
def test_right_reply_is_applied_after_any_other(client, learner, header, body):
    """C110, C115: whatever is posted to the callback URL, the awaited reply is still taken."""
    wait(learner)
    url = quote(f"/courses/{COURSE}/xqueue/{learner}/{PROBLEM}/score_update")
    response = client.post(url, {"xqueue_header": header, "xqueue_body": body})
    assert response.status_code in (200, 400)
    if still_waits(learner):
        right = {"xqueue_header": json.dumps(HEADER), "xqueue_body": GOOD_REPLY}
        assert client.post(url, right).status_code == 200
        assert score(learner) == (1, 1)
    assert not still_waits(learner)
    assert 0 <= score(learner).earned <= score(learner).possible == 1


@examples(60)
@given(
    odd_json.texts(STATE)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)
@example(json.dumps(STATE).replace('"npoints": 0', '"npoints": 1%s' % ("0" * 400)))
@example(json.dumps(STATE).replace('"raw_possible": 1', '"raw_possible": 1%s' % ("0" * 400)))
def test_reply_is_applied_to_any_state_that_waits_for_it(learner, watcher, text):
    """SG14, C113: whatever else a stored state has, which capa can load or not."""
    wait(learner, text)
    was_waiting = still_waits(learner)
    queue.enqueue(new_submission(user_id=learner))
    Submission.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert watcher.put(watcher.pull().header)["return_code"] == 0
    reply = ReceivedReply.objects.get()
    assert reply.status == ("applied" if was_waiting else "stale"), reply.last_error
    if was_waiting:
        assert not still_waits(learner)
        state = json.loads(StudentModule.objects.get().state, parse_constant=pytest.fail)
        assert ScoreField().from_json(state["score"])
        assert score(learner).possible >= score(learner).earned
    api.save_fields(learner, COURSE, PROBLEM, {"seed": 2})
    assert api.read_state(learner, PROBLEM, COURSE)["seed"] == 2
    api.reset_attempts(learner, COURSE, PROBLEM)
    api.retire_learner(learner)
