"""The tests of a course's replies as CSV: the view and the command."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from tests.grader_replies import factories
from tests.grader_replies.factories import COURSE
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.parsing import parse_reply

URL = f"/xqueue/grades/{COURSE}/tests.csv"
TESTS = [
    {"name": "=1+1", "score": 0.5, "max_score": 1, "message": "a\nb", "visible": True},
    {"name": "secret", "score": 0, "max_score": 2, "message": "@x", "visible": False},
]


def applied(name: str, **members: object) -> ReceivedReply:
    body = json.dumps({"correct": False, "score": 0.5, "msg": "", **members})
    parsed = parse_reply(body)
    return factories.make_reply(
        factories.make_submission(factories.make_learner(name)),
        body,
        status="applied",
        score_applied=0.5,
        tests=[asdict(test) for test in parsed.tests],
        staff_note=parsed.staff_note,
    )


@pytest.fixture
def three(db) -> list[ReceivedReply]:
    """Replies with tests, with a note only, and with neither."""
    return [applied("ada", tests=TESTS), applied("bob", staff_note="+note"), applied("cyd")]


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def exported(*arguments: str) -> list[dict[str, str]]:
    out = io.StringIO()
    call_command("xqueue_bridge_export_tests", *arguments, stdout=out)
    return rows(out.getvalue())


def test_each_test_is_a_line_for_staff(client, three):
    client.force_login(User.objects.create_user("teacher", is_staff=True))
    response = client.get(URL)
    assert response["Content-Disposition"].startswith('attachment; filename="tests_course-v1')
    found = rows(b"".join(response.streaming_content).decode())
    assert [(row["username"], row["test"], row["visible"]) for row in found] == [
        ("ada", "'=1+1", "yes"),
        ("ada", "secret", "no"),
        ("bob", "", ""),
    ]
    assert (found[0]["test_score"], found[0]["test_max_score"]) == ("0.5", "1")
    assert (found[0]["message"], found[1]["message"]) == ("a\nb", "'@x")
    assert found[2]["staff_note"] == "'+note"
    assert found[0]["reply"] == str(three[0].pk)


def test_learners_and_anonymous_users_get_nothing(client, three):
    assert client.get(URL).status_code == 302
    client.force_login(User.objects.get(username="ada"))
    assert client.get(URL).status_code == 403
    assert client.post(URL).status_code == 403


def test_unknown_course_is_empty_and_a_wrong_key_is_not_found(client, three):
    client.force_login(User.objects.create_user("teacher", is_staff=True))
    empty = client.get("/xqueue/grades/course-v1:Other+X+1/tests.csv")
    assert len(rows(b"".join(empty.streaming_content).decode())) == 0
    assert client.get("/xqueue/grades/nonsense+x+y/tests.csv").status_code == 404


def test_command_writes_the_same(three):
    assert [row["test"] for row in exported(str(COURSE))] == ["'=1+1", "secret", ""]
    assert exported(str(COURSE), "--since", "2999-01-01T00:00Z") == []
    with pytest.raises(CommandError, match="is not a course key"):
        exported("nonsense")
    with pytest.raises(CommandError, match="neither a day nor a time"):
        exported(str(COURSE), "--since", "then")


def test_export_takes_two_statements_for_each_batch(three, django_assert_num_queries):
    with django_assert_num_queries(2):
        exported(str(COURSE))
