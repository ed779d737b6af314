"""Fields to JSON text and back: pure."""

from __future__ import annotations

import json
from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.learner_state.encoding import decode, encode

Score = namedtuple("Score", ["raw_earned", "raw_possible"])

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values))
def test_what_goes_in_comes_out(fields):
    assert decode(encode(fields)) == fields


@given(st.dictionaries(st.text(st.characters()), json_values))
def test_text_fits_every_database(fields):
    encode(fields).encode("ascii")
    assert "\x00" not in encode(fields)


def test_capas_scores_become_objects():
    text = encode({"score": Score(1, 2), "score_history": [Score(0, 2)]})
    assert json.loads(text) == {
        "score": {"raw_earned": 1, "raw_possible": 2},
        "score_history": [{"raw_earned": 0, "raw_possible": 2}],
    }


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", float("nan"), float("inf")])
def test_what_json_cannot_hold_is_refused(value):
    with pytest.raises((TypeError, ValueError)):
        encode({"deep": [{"er": value}]})


def test_the_field_is_named():
    """SG16: an error says which field it is about, and not what is in it."""
    with pytest.raises(TypeError, match="field 'odd'") as caught:
        encode({"fine": "a secret", "odd": {1}})
    assert "secret" not in str(caught.value)
    circle: list = []
    circle.append(circle)
    with pytest.raises(ValueError, match="field 'deep'"):
        encode({"deep": circle})
    with pytest.raises(TypeError, match="not list"):
        encode(["a"])


def test_no_state_is_no_fields():
    assert decode(None) == decode("") == decode("{}") == {}
