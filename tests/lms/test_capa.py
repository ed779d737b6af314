"""What a state waits for: pure."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.learner_state.test_encoding import json_values
from xqueue_bridge.lms.capa import (
    answer_of_submission,
    text_of_submission,
    waiting_answers,
    waiting_inputs,
    waiting_keys,
)

STATE = {
    "correct_map": {
        "a_2_1": {
            "queuestate": {"key": "k1", "time": "20261120053556"},
            "correctness": "incomplete",
        },
        "a_3_1": {"queuestate": None, "correctness": "correct"},
        "a_4_1": {"queuestate": {"key": "k2", "time": "20261120053556"}},
    },
    "input_state": {
        "a_2_1": {"queuestate": "queued", "queuekey": "run1"},
        "a_3_1": {"queuestate": None, "queuekey": None},
        "a_4_1": {},
        "a_5_1": {"queuestate": None, "queuekey": "run0"},
    },
}


def test_answers_and_inputs_are_distinguished():
    """C117: a trial run has a key of its own, apart from the graded answer's."""
    assert waiting_answers(STATE) == {"k1": "a_2_1", "k2": "a_4_1"}
    assert waiting_inputs(STATE) == {"run1": "a_2_1"}
    assert waiting_keys(STATE) == {"k1", "k2", "run1"}


def test_an_untouched_problem_waits_for_nothing():
    assert waiting_keys({}) == frozenset()


def bodies_with(info: object) -> str:
    return json.dumps({"student_info": info, "student_response": info})


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "correct_map": json_values,
            "input_state": json_values,
        },
    )
)
def test_states_of_any_shape_are_read(state):
    assert all(isinstance(key, str) for key in waiting_keys(state))


@given(json_values)
def test_entries_of_any_shape_are_read(entry):
    state = {
        "correct_map": {
            "a": entry,
            "b": {"queuestate": entry},
            "c": {"queuestate": {"key": entry}},
        },
        "input_state": {"a": entry, "b": {"queuestate": "queued", "queuekey": entry}},
    }
    assert all(isinstance(key, str) for key in waiting_keys(state))


@given(st.text() | json_values.map(json.dumps) | json_values.map(bodies_with))
def test_answer_and_text_of_any_body(body):
    """C13: a body is the block's own; what cannot be told of it is None."""
    assert answer_of_submission(7, body, "key", ["a_2_1"]) is None
    assert text_of_submission(body) is None or isinstance(text_of_submission(body), str)
