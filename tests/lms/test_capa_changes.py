"""What a reply changes in a capa state: pure."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xblock.fields import ScoreField

from tests.grader_replies.factories import waiting_state
from xqueue_bridge.data import GraderReply
from xqueue_bridge.grader_replies.backends.base import points_of
from xqueue_bridge.lms.capa import graded, maximum_of, possible_of, shown

REPLY = GraderReply(True, 1, "<p>ok</p>")

numbers = st.integers(-10, 10) | st.floats(-10, 10)


def apply(state, answer_id, reply, points, *, is_fraction=False):
    maximum = maximum_of(state, answer_id, points, is_fraction=is_fraction)
    earned = points_of(reply, maximum, is_fraction=is_fraction)
    return graded(state, answer_id, reply, points=earned, possible=possible_of(state, points))


def test_the_given_state_is_not_touched():
    state = waiting_state(a_2_1="key-1", a_3_1="key-2")
    before = copy.deepcopy(state)
    apply(state, "a_2_1", REPLY, {})
    assert state == before


def test_only_the_answer_and_the_score_change():
    """C113: nothing else in the state is touched."""
    state = waiting_state(a_2_1="key-1", a_3_1="key-2")
    after = apply(state, "a_2_1", REPLY, {"a_2_1": 1, "a_3_1": 1})
    assert {name for name in state if state[name] != after[name]} == {"correct_map", "score"}
    assert after["correct_map"]["a_3_1"] == state["correct_map"]["a_3_1"]
    assert after["score"] == {"raw_earned": 1, "raw_possible": 2}


def test_partial_credit_keeps_its_mark():
    """C113: points and mark are two things; a wrong answer can have points."""
    reply = GraderReply(False, 0.4, "so so")
    after = apply(waiting_state(a_2_1="key-1"), "a_2_1", reply, {"a_2_1": 1})
    assert after["correct_map"]["a_2_1"]["correctness"] == "incorrect"
    assert after["score"]["raw_earned"] == 0.4


def test_a_correct_answer_without_a_number_is_one_point():
    state = waiting_state(a_2_1="key-1", a_3_1=None)
    state["correct_map"]["a_3_1"]["correctness"] = "correct"
    assert apply(state, "a_2_1", REPLY, {})["score"]["raw_earned"] == 2


@pytest.mark.parametrize(
    ("points", "is_fraction", "maximum"),
    [
        ({"a_2_1": 3, "a_3_1": 7}, False, 3),
        ({"a_2_1": 3, "a_3_1": 7}, True, 3),
        ({}, False, 6),  # 10 points in all, 4 of them given; this answer's own are not in it
        ({}, True, 5),
    ],
)
def test_maximum_of_one_of_several(points, is_fraction, maximum):
    """C95: an answer's own points where they are known, else what is left, or an equal share."""
    state = waiting_state(a_2_1="key-1", a_3_1=None)
    state["correct_map"]["a_2_1"]["npoints"] = 1
    state["correct_map"]["a_3_1"]["npoints"] = 4
    state["score"]["raw_possible"] = 10
    assert maximum_of(state, "a_2_1", points, is_fraction=is_fraction) == maximum


def test_nothing_is_left_for_one_of_several():
    """C94: others that have more than the whole leave 0; an entry that is none has no points."""
    state = waiting_state(a_2_1="key-1", a_3_1=None)
    state["correct_map"] |= {"a_3_1": {"npoints": 12}, "a_4_1": "no entry"}
    assert maximum_of(state, "a_2_1", {}, is_fraction=False) == 0


@pytest.mark.parametrize("is_fraction", [False, True])
def test_an_only_answer_is_the_whole_problem(is_fraction):
    state = {**waiting_state(a_2_1="key-1"), "score": {"raw_earned": 0, "raw_possible": 10}}
    assert maximum_of(state, "a_2_1", {}, is_fraction=is_fraction) == 10


@pytest.mark.parametrize("score", [None, {}, {"raw_possible": None}, "missing"])
def test_a_state_without_a_score_gets_one(score):
    state = {**waiting_state(a_2_1="key-1", a_3_1=None), "score": score}
    if score == "missing":
        del state["score"]
    assert possible_of(state, {"a_2_1": 3, "a_3_1": 4}) == 7
    assert possible_of(state, {}) == 2


@given(
    st.lists(numbers, min_size=1, max_size=5),
    st.integers(0, 10),
    st.booleans(),
    st.none() | st.integers(0, 10),
)
def test_capa_can_always_load_the_score(scores, possible, is_fraction, each):
    """C94: whatever graders send, the problem can be opened afterwards."""
    answers = [f"a_{n}_1" for n in range(len(scores))]
    points = {} if each is None else dict.fromkeys(answers, each)
    state = waiting_state(**{answer: f"key {answer}" for answer in answers})
    state["score"]["raw_possible"] = possible
    for answer, score in zip(answers, scores, strict=True):
        state = apply(
            state, answer, GraderReply(True, score, "ok"), points, is_fraction=is_fraction
        )
        assert ScoreField().from_json(state["score"]).raw_possible == possible
    assert not any(entry["queuestate"] for entry in state["correct_map"].values())


def test_output_of_a_trial_run():
    """C117: the input shows it, and no grade moves."""
    state = waiting_state(a_2_1="key-1")
    state["input_state"] = {"a_2_1": {"queuestate": "queued", "queuekey": "run", "queuetime": 1.5}}
    after = shown(state, "a_2_1", "<p>ans = 3</p>")
    assert after["input_state"] == {
        "a_2_1": {
            "queuestate": None,
            "queuekey": None,
            "queuetime": 1.5,
            "queue_msg": "<p>ans = 3</p>",
        }
    }
    assert {name for name in state if state[name] != after[name]} == {"input_state"}
