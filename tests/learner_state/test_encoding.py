"""Converting fields to JSON text and back."""

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
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values))
def test_decoded_fields_equal_the_encoded_ones(fields):
    assert decode(encode(fields)) == fields


@given(st.dictionaries(st.text(st.characters()), json_values))
def test_encoded_text_is_ascii_without_nul(fields):
    encode(fields).encode("ascii")
    assert "\x00" not in encode(fields)


def test_named_tuples_become_json_objects():
    text = encode({"score": Score(1, 2), "score_history": [Score(0, 2)]})
    assert json.loads(text) == {
        "score": {"raw_earned": 1, "raw_possible": 2},
        "score_history": [{"raw_earned": 0, "raw_possible": 2}],
    }


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", float("nan"), float("inf")])
def test_value_that_is_no_json_is_an_error(value):
    with pytest.raises((TypeError, ValueError)):
        encode({"deep": [{"er": value}]})


def test_error_names_the_field_and_not_its_value():
    """SG16: name the field in the error, and do not repeat its value."""
    with pytest.raises(TypeError, match="field 'odd'") as caught:
        encode({"fine": "a secret", "odd": {1}})
    assert "secret" not in str(caught.value)
    circle: list = []
    circle.append(circle)
    with pytest.raises(ValueError, match="field 'deep'"):
        encode({"deep": circle})
    with pytest.raises(ValueError, match="field 'share'"):
        encode({"fine": 1.0, "share": float("nan")})
    with pytest.raises(TypeError, match="not list"):
        encode(["a"])


def test_empty_or_missing_text_decodes_to_no_fields():
    assert decode(None) == decode("") == decode("{}") == {}
