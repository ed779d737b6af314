"""The grade of an applied reply, as the event for other software describes it."""

from __future__ import annotations

import json

import pytest

from tests.grader_replies.factories import make_learner, make_reply, make_submission
from xqueue_bridge.data import ExternalGrade
from xqueue_bridge.grader_replies import api
from xqueue_bridge.grader_replies.models import ReceivedReply

pytestmark = pytest.mark.django_db


def grade_of(score: float, points: dict[str, float], **fields: object) -> ExternalGrade:
    submission = make_submission(make_learner(), points=points)
    body = json.dumps({"correct": False, "score": score, "msg": "-"})
    grade = api.external_grade(make_reply(submission, body, **fields).pk)
    assert grade is not None
    return grade


@pytest.mark.parametrize(
    ("score", "points", "earned", "possible"),
    [
        (3, {}, 3, 3),
        (0.5, {}, 0.5, 1),
        (-2, {}, 0, 1),
        (0.5, {"a": 2, "b": 5}, 0.5, 5),
        (7, {"a": 2, "b": 5}, 7, 7),
        (0.25, {"a": 0.5}, 0.25, 0.5),
    ],
)
def test_points_that_no_backend_has_stored_are_the_graders(score, points, earned, possible):
    """The possible points are those of the problem's answers, and never less than the earned."""
    grade = grade_of(score, points)
    assert (grade.earned, grade.possible) == (earned, possible)


def test_applied_points_count_before_the_graders():
    assert grade_of(3, {"a": 5}, score_applied=0.0).earned == 0


@pytest.mark.parametrize(
    ("score", "correct", "written"), [(1.0, True, 1), (0.5, False, 0.5), (0, False, 0)]
)
def test_text_of_the_grade_is_a_result_with_its_points(score, correct, written):
    """An answer with all of its points is correct; an integer stays one."""
    text = grade_of(score, {"a": 1}).score_msg
    assert text == json.dumps({"correct": correct, "score": written, "msg": "-"})


@pytest.mark.parametrize(
    "info",
    [json.dumps({"anonymous_student_id": id_}) for id_ in (5, "", None, ["a"])] + ["[" * 9999],
)
def test_body_without_an_anonymous_id_gives_the_user_id(info):
    user_id = make_learner()
    reply = make_reply(make_submission(user_id))
    content = reply.submission.content
    content.body = json.dumps({"student_info": info})
    content.save()
    grade = api.external_grade(reply.pk)
    assert grade is not None
    assert grade.anonymous_user_id == str(user_id)


@pytest.mark.parametrize("source", ["system", "operator"])
def test_failure_reply_is_no_grade(source):
    reply = make_reply(make_submission(make_learner()))
    ReceivedReply.objects.update(source=source)
    assert api.external_grade(reply.pk) is None
