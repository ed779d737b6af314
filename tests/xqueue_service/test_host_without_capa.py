"""The example of docs/how-tos/grade_without_capa.rst, with a grader over HTTP."""

from __future__ import annotations

import json

import pytest

from tests.grader_replies.factories import BLOCK, COURSE, make_learner
from tests.submission_queue.factories import make_grader
from tests.xqueue_service import host_without_capa as host

pytestmark = pytest.mark.django_db(transaction=True)
REPLY = json.dumps({"correct": False, "score": 2.5, "msg": "<p>half</p>"})


def test_answer_is_sent_graded_and_read():
    """C12: the contract of the state that waits, without a problem block."""
    ada, grader = make_learner(), make_grader("python")
    assert host.read_grade(ada, COURSE, BLOCK) is None
    assert host.send_answer(ada, COURSE, BLOCK, "print(1)") == ""
    assert host.read_grade(ada, COURSE, BLOCK) is None
    pulled = grader.pull("python")
    body = json.loads(pulled.body)
    assert body["student_response"] == "print(1)"
    # An unchanged xqueue-watcher reads these two as JSON objects.
    assert json.loads(body["grader_payload"])["grader"]
    assert json.loads(body["student_info"])["anonymous_student_id"] == str(ada)
    grader.put(pulled.header, REPLY)
    assert host.read_grade(ada, COURSE, BLOCK) == (2.5, 4, "<p>half</p>")


def test_reply_to_an_earlier_answer_changes_nothing():
    """Only the reply whose queue key the state waits for counts."""
    ada, grader = make_learner(), make_grader("python")
    assert host.send_answer(ada, COURSE, BLOCK, "first") == ""
    first = grader.pull("python")
    assert host.send_answer(ada, COURSE, BLOCK, "second") == ""
    grader.put(first.header, json.dumps({"correct": True, "score": 4, "msg": ""}))
    assert host.read_grade(ada, COURSE, BLOCK) is None
    second = grader.pull("python")
    assert json.loads(second.body)["student_response"] == "second"
    grader.put(second.header, REPLY)
    assert host.read_grade(ada, COURSE, BLOCK) == (2.5, 4, "<p>half</p>")
