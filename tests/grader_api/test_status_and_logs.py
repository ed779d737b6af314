"""The endpoint status, and the lines of the log about refused requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client

from tests.submission_queue.factories import (
    COURSE,
    GOOD_REPLY,
    PROBLEM,
    GraderClient,
    make_grader,
    new_submission,
)
from tests.test_cache import DOWN
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db

FEEDBACK = "private feedback"


class TestStatus:
    def test_status_is_ok_without_a_session(self, client):
        """C53: the envelope says OK, without a session."""
        response = client.get("/xqueue/status/")
        assert response.content == b'{"return_code": 0, "content": "OK"}'
        assert "X-XQueue-Problem" not in response

    def test_cache_that_is_down_is_named_in_the_header(self, client, settings):
        """C53: the queue works without the cache, so the status is OK."""
        settings.CACHES = DOWN
        response = client.get("/xqueue/status/")
        assert response.json() == {"return_code": 0, "content": "OK"}
        assert response["X-XQueue-Problem"] == "cache: is down"

    def test_database_that_is_down_is_named_in_the_envelope(self, client):
        """C53, C54: the HTTP status is 200."""

        def fail(*args: Any) -> None:
            raise OperationalError("the host db.example.com does not answer")

        with connection.execute_wrapper(fail):
            response = client.get("/xqueue/status/")
        assert response.status_code == 200
        assert response.json() == {"return_code": 1, "content": "Unavailable: database"}

    def test_status_takes_one_statement(self, client, django_assert_num_queries):
        with django_assert_num_queries(1):
            client.get("/xqueue/status/")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]


def account() -> str:
    return f"grader {Grader.objects.get().pk}"


class TestLog:
    @pytest.fixture
    def grader(self) -> GraderClient:
        return make_grader()

    @pytest.fixture
    def header(self, grader) -> str:
        api.enqueue(new_submission(user_id=4711))
        submission = grader.pull()
        assert submission
        return submission.header

    def test_invalid_reply_is_logged_without_feedback(self, grader, header, caplog):
        """C129: the line names grader, submission, queue, learner and block, and no feedback."""
        caplog.clear()
        grader.put(header, json.dumps({"correct": "perhaps", "score": 1, "msg": FEEDBACK}))
        number = Submission.objects.get().pk
        assert warnings(caplog)[-1] == (
            f"Refused a grader's request (put_result, {account()}, submission {number}, queue "
            f"'python', learner 4711, block {PROBLEM}): 'Incorrect reply format' "
            "(correct: must be true or false)"
        )
        assert FEEDBACK not in caplog.text

    def test_wrong_pull_key_is_not_in_the_log(self, grader, header, caplog):
        """C129: the key that was sent is not in the line."""
        number = json.loads(header)["submission_id"]
        grader.put(json.dumps({"submission_id": number, "submission_key": "private key"}))
        assert f"submission {number}, queue 'python', learner 4711" in warnings(caplog)[-1]
        assert warnings(caplog)[-1].endswith("'Incorrect key for submission' (None)")
        assert "private key" not in caplog.text

    def test_unknown_submission_is_logged_with_its_id(self, grader, caplog):
        grader.put(json.dumps({"submission_id": 99, "submission_key": "a"}))
        assert f"(put_result, {account()}, submission 99)" in warnings(caplog)[-1]

    def test_unreadable_header_is_not_in_the_log(self, grader, caplog):
        grader.put("private text", GOOD_REPLY)
        assert f"(put_result, {account()}, no submission named)" in warnings(caplog)[-1]
        assert "private text" not in caplog.text

    def test_queue_without_a_grant_is_logged(self, grader, caplog):
        grader.ask("get_submission", queue_name="java")
        assert warnings(caplog) == [
            f"Refused a grader's request (get_submission, {account()}): "
            "\"Queue 'java' not found\" (None)"
        ]

    def test_unreadable_body_is_logged_by_its_exception(self, grader, caplog):
        grader.http.post("/xqueue/put_result/", "{private", content_type="application/json")
        assert warnings(caplog) == [
            f"A grader's request cannot be read (put_result, {account()}): ParseError"
        ]

    def test_refused_callback_is_logged_with_its_path(self, caplog):
        """C129: the path names course, learner and block."""
        path = f"/courses/{COURSE}/xqueue/4711/{PROBLEM}/score_update"
        assert Client().post(path, {"xqueue_header": "private text"}).status_code == 404
        assert warnings(caplog) == [
            f"XQueue callback refused (404): xqueue_body: is missing ({path!r})"
        ]
