"""Result and Test: checks of their numbers, and the reply that is made of them."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.grader import Result, Test
from xqueue_bridge.grader_replies.parsing import parse_reply


def test_reply_has_points_feedback_tests_and_staff_note():
    result = Result.of_tests(
        [
            Test(name="adds", score=1, max_score=1),
            Test(name="<b>", score=0, max_score=2, message="got 3 & 4"),
            Test(name="secret", score=1, max_score=1, message="hidden input", visible=False),
        ],
        staff_note="seed 7",
    )
    reply = result.to_reply()
    assert (reply["correct"], reply["score"], reply["max_score"]) == (False, 2, 4)
    assert reply["staff_note"] == "seed 7"
    names = ("name", "score", "max_score", "message", "visible")
    assert reply["tests"] == [
        dict(zip(names, values, strict=True))
        for values in (
            ("adds", 1, 1, "", True),
            ("<b>", 0, 2, "got 3 & 4", True),
            ("secret", 1, 1, "hidden input", False),
        )
    ]
    assert reply["msg"] == "<div><p>2 of 3 tests passed</p></div>"
    plain = result.to_reply(as_data=False)
    assert set(plain) == {"correct", "score", "msg"}
    assert "2 of 3 tests passed" in plain["msg"]
    assert "&lt;b&gt;" in plain["msg"]
    assert "got 3 &amp; 4" in plain["msg"]
    assert "secret" not in plain["msg"]
    assert "hidden input" not in plain["msg"]
    assert "Tests that are not shown: 1" in plain["msg"]


def test_message_replaces_the_number_of_passed_tests():
    assert Result.of_tests([Test(name="a", score=1)], message="Good").message == "Good"


def test_fraction_is_a_part_of_one():
    reply = Result(score=3, max_score=4).to_reply(as_fraction=True)
    assert (reply["score"], reply["max_score"], reply["correct"]) == (0.75, 1.0, False)
    assert Result(score=0, max_score=0).to_reply(as_fraction=True)["score"] == 0


def test_result_without_tests_has_no_table():
    assert Result(score=1, message="Good").to_reply() == {
        "correct": True,
        "score": 1,
        "max_score": 1,
        "msg": "<div><p>Good</p></div>",
    }
    assert Result(score=1, message="Good\n\nwork").to_html() == "<div><p>Good</p><p>work</p></div>"


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"score": math.nan}, "score is not finite"),
        ({"score": 10**400}, "score is not finite"),
        ({"score": True}, "score is not a number"),
        ({"score": "1"}, "score is not a number"),
        ({"score": -1}, "score is below 0"),
        ({"score": 85}, "score 85 is above max_score 1"),
        ({"score": 0, "max_score": math.inf}, "max_score is not finite"),
    ],
)
def test_wrong_number_names_its_field(values, named):
    with pytest.raises(ValueError, match=named):
        Result(**values)
    with pytest.raises(ValueError, match=named):
        Test(name="a", **values)


@given(message=st.text(max_size=200), name=st.text(max_size=50))
def test_server_accepts_every_text(message, name):
    """C12: the reply keeps the grade contract whatever the learner's program printed."""
    result = Result.of_tests([Test(name=name, score=1, message=message)], message=message)
    reply = parse_reply(json.dumps(result.to_reply()))
    assert reply.correct
    assert len(reply.tests) == 1
    assert {each.code for each in reply.warnings} <= {"characters_removed"}
    assert "<table" in parse_reply(json.dumps(result.to_reply(as_data=False))).msg
