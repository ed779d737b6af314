"""Result files of Gradescope and PrairieLearn, as their documentation describes them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property_examples import few
from xqueue_bridge.grader.adapters import ResultFileError, from_gradescope, from_prairielearn

GRADESCOPE = {
    "output": "Compiled.",
    "execution_time": 12,
    "tests": [
        {"name": "adds", "score": 2.0, "max_score": 2.0, "output": "ok"},
        {"name": "subtracts", "score": 0, "max_score": 3.0, "output": "expected 1, got 2"},
        {"number": "1.3", "status": "passed", "max_score": 1},
        {"name": "later", "score": 1, "max_score": 1, "visibility": "after_published"},
    ],
    "leaderboard": [{"name": "speed", "value": 3}],
}
PRAIRIELEARN = {
    "gradable": True,
    "score": 0.25,
    "message": "Tests completed.",
    "output": "line 1\nline 2",
    "tests": [
        {"name": "Test 1", "description": "Adds", "points": 1, "max_points": 1, "message": "ok"},
        {"name": "Test 2", "points": 0, "max_points": 3, "output": "Traceback"},
    ],
    "format_errors": [],
}


def test_gradescope_scores_are_summed():
    result = from_gradescope(json.dumps(GRADESCOPE))
    assert (result.score, result.max_score) == (4, 7)
    assert [test.name for test in result.tests] == ["adds", "subtracts", "1.3", "later"]
    assert [test.visible for test in result.tests] == [True, True, True, False]
    assert "expected 1, got 2" in result.to_html()
    assert "later" not in result.to_html()
    assert "Compiled." in result.to_html()


def test_gradescope_own_score_wins_and_is_clamped():
    assert from_gradescope(json.dumps({**GRADESCOPE, "score": 5})).score == 5
    assert from_gradescope(json.dumps({**GRADESCOPE, "score": 9})).score == 7
    assert from_gradescope(json.dumps({**GRADESCOPE, "score": -3})).score == 0
    assert from_gradescope('{"score": 40}', max_score=100).max_score == 100


def test_gradescope_hidden_result_shows_no_test():
    result = from_gradescope(json.dumps({**GRADESCOPE, "visibility": "hidden"}))
    assert result.score == 4
    assert "adds" not in result.to_html()
    assert "Compiled." not in result.to_html()


def test_gradescope_tests_without_names_and_points():
    result = from_gradescope(
        '{"output": "<b>Good</b>", "output_format": "html",'
        ' "tests": [{"status": "passed"}, {"score": 1, "max_score": 1}]}'
    )
    assert (result.score, result.max_score) == (1, 1)
    assert [(test.name, test.score) for test in result.tests] == [("Test 1", 0), ("Test 2", 1)]
    assert "<b>Good</b>" in result.to_html()
    assert "&lt;b&gt;" in from_gradescope('{"score": 1, "output": "<b>"}', max_score=1).to_html()


def test_prairielearn_test_without_a_name_and_with_lines():
    data = {"score": 1, "message": ["one", "two"], "tests": [{}]}
    result = from_prairielearn(json.dumps(data))
    assert result.message == "one\ntwo"
    assert [(test.name, test.score, test.max_score) for test in result.tests] == [("Test 1", 0, 1)]


def test_prairielearn_score_is_a_part_of_the_points():
    result = from_prairielearn(json.dumps(PRAIRIELEARN), points=8)
    assert (result.score, result.max_score) == (2, 8)
    assert [(test.name, test.score, test.max_score) for test in result.tests] == [
        ("Test 1", 1, 1),
        ("Test 2", 0, 3),
    ]
    assert "line 2" in result.to_html()


@pytest.mark.parametrize(
    ("read", "data", "named"),
    [
        (from_gradescope, "[]", "not a JSON object"),
        (from_gradescope, "{", "not JSON"),
        (from_gradescope, "{}", "score: is missing"),
        (from_gradescope, '{"score": 1}', "max_score"),
        (from_gradescope, json.dumps({"tests": [{"max_score": 1e308}] * 2}), "max_score"),
        (from_gradescope, '{"tests": {}}', "tests: is not a list"),
        (from_gradescope, '{"tests": [1]}', r"tests\[0\]: is not an object"),
        (from_gradescope, '{"tests": [{"score": "x"}]}', r"tests\[0\].score: is not a number"),
        (from_gradescope, '{"tests": [{"score": NaN}]}', r"tests\[0\].score: is not a finite"),
        (from_prairielearn, "{}", "score: is missing"),
        (from_prairielearn, '{"gradable": false, "message": "no file"}', "no file"),
        (from_prairielearn, '{"score": true}', "score: is not a finite number"),
        (from_prairielearn, '{"score": 1, "tests": [1]}', r"tests\[0\]: is not an object"),
    ],
)
def test_wrong_file_names_its_member(read, data, named):
    with pytest.raises(ResultFileError, match=named):
        read(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=4,
)
members = st.sampled_from(["score", "tests", "output", "name", "max_score", "points", "message"])


@settings(max_examples=few(40))
@given(st.dictionaries(members, json_values | st.lists(st.dictionaries(members, json_values))))
def test_any_file_gives_a_result_or_an_error_that_names_it(data):
    for read in (from_gradescope, from_prairielearn):
        try:
            result = read(json.dumps(data))
        except ResultFileError:
            continue
        assert 0 <= result.score <= result.max_score
