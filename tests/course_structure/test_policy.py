"""Parsing of a grading policy, which is refused when it is loaded."""

from __future__ import annotations

import base64
import hashlib
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.course_structure.policy import AssignmentFormat, parse_policy
from xqueue_bridge.exceptions import InvalidCourse

LAB = {"type": "Lab", "min_count": 2, "drop_count": 1, "short_label": "L", "weight": 0.25}


def document(*entries, **cutoffs):
    return {"GRADER": list(entries), "GRADE_CUTOFFS": cutoffs}


def test_policy_gives_assignments_and_sorted_cutoffs():
    policy = parse_policy(document(LAB, C=0.5, A=0.9))
    assert policy.assignments == (AssignmentFormat("Lab", 2, 1, short_label="L", weight=0.25),)
    assert policy.cutoffs == (("A", 0.9), ("C", 0.5))


def test_missing_fields_have_the_defaults_of_upstream():
    (found,) = parse_policy(document({"type": "Lab", "min_count": 0, "drop_count": 0})).assignments
    assert (found.category, found.section_type, found.short_label) == ("Lab", "Lab", "Lab")
    assert (found.weight, found.starting_index, found.hide_average) == (0.0, 1, False)


def test_count_as_text_or_float_is_read_as_int():
    """Studio has written both."""
    (found,) = parse_policy(document({**LAB, "min_count": "12", "drop_count": 2.0})).assignments
    assert (found.min_count, found.drop_count) == (12, 2)


def test_unknown_field_is_logged_and_ignored(caplog):
    with caplog.at_level(logging.WARNING):
        parse_policy(document({**LAB, "colour": "red"}))
    assert "('Lab'): ignored: colour" in caplog.text


def test_hash_equals_that_of_the_lms():
    """It is of the policy as written, as compact JSON with sorted keys."""
    written = document({**LAB, "colour": "red"}, Pass=0.5)
    text = json.dumps(written, sort_keys=True, separators=(",", ":"))
    digest = base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
    assert parse_policy(written).hash == digest


def _without(name):
    return {key: value for key, value in LAB.items() if key != name}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([], "grading_policy"),
        ({}, "grading_policy.GRADER"),
        ({"GRADER": "Lab"}, "grading_policy.GRADER"),
        ({"GRADER": []}, "grading_policy.GRADE_CUTOFFS"),
        (document("Lab"), "grading_policy.GRADER[0]"),
        (document(LAB, _without("type")), "grading_policy.GRADER[1].type"),
        (document({**LAB, "type": " "}), "grading_policy.GRADER[0].type"),
        (document(_without("min_count")), "grading_policy.GRADER[0] ('Lab').min_count"),
        (document(_without("drop_count")), "grading_policy.GRADER[0] ('Lab').drop_count"),
        (document({**LAB, "min_count": "many"}), "grading_policy.GRADER[0] ('Lab').min_count"),
        (document({**LAB, "min_count": 1001}), "grading_policy.GRADER[0] ('Lab').min_count"),
        (document({**LAB, "min_count": True}), "grading_policy.GRADER[0] ('Lab').min_count"),
        (document({**LAB, "drop_count": -1}), "grading_policy.GRADER[0] ('Lab').drop_count"),
        (document({**LAB, "drop_count": 0.5}), "grading_policy.GRADER[0] ('Lab').drop_count"),
        (document({**LAB, "weight": "half"}), "grading_policy.GRADER[0] ('Lab').weight"),
        (document({**LAB, "weight": float("nan")}), "grading_policy.GRADER[0] ('Lab').weight"),
        (document({**LAB, "weight": 1000.5}), "grading_policy.GRADER[0] ('Lab').weight"),
        (document({**LAB, "weight": 10**400}), "grading_policy.GRADER[0] ('Lab').weight"),
        (document({**LAB, "weight": -0.1}), "grading_policy.GRADER[0] ('Lab').weight"),
        (document({**LAB, "short_label": []}), "grading_policy.GRADER[0] ('Lab').short_label"),
        (document(LAB, LAB), "grading_policy.GRADER[1] ('Lab')"),
        (document(LAB, Pass=60), "grading_policy.GRADE_CUTOFFS.Pass"),
        (document(LAB, Pass=None), "grading_policy.GRADE_CUTOFFS.Pass"),
        ({"GRADER": [], "GRADE_CUTOFFS": {"": 0.5}}, "grading_policy.GRADE_CUTOFFS"),
        (document(LAB, **{"A\0": 0.5}), "grading_policy.GRADE_CUTOFFS"),
        (document(LAB, **{"A" * 256: 0.5}), "grading_policy.GRADE_CUTOFFS"),
    ],
)
def test_invalid_policy_is_a_value_error_that_names_the_entry(given, named):
    """SG63: an unusable entry is refused with its path."""
    with pytest.raises(ValueError, match=r".+: .+") as caught:
        parse_policy(given)
    assert isinstance(caught.value, InvalidCourse)
    assert caught.value.field == named


@pytest.mark.parametrize("name", ["min_count", "drop_count", "weight"])
def test_number_as_text_is_read(name):
    """Studio has written all three numbers as text."""
    entry = {"type": "Lab", "min_count": 2, "drop_count": 1, "weight": 0.25}
    plain, text = document(entry), document({**entry, name: f" {entry[name]} "})
    assert parse_policy(text).assignments == parse_policy(plain).assignments
    assert parse_policy(document(LAB, Pass="0.5")).cutoffs == (("Pass", 0.5),)


def test_values_at_their_limits_are_read():
    entry = {**LAB, "min_count": 1000, "drop_count": 0, "weight": 1000, "starting_index": 0}
    policy = parse_policy(document(entry, **{"A" * 255: 1.0, "F": 0}))
    (found,) = policy.assignments
    assert (found.min_count, found.drop_count) == (1000, 0)
    assert (found.weight, found.starting_index) == (1000.0, 0)
    assert policy.cutoffs == (("A" * 255, 1.0), ("F", 0.0))


def test_texts_and_flags_of_an_entry_are_read():
    texts = {"category": "Labs", "section_type": "Lab work", "short_label": "L"}
    flags = {"show_only_average": True, "hide_average": True, "starting_index": 3}
    (found,) = parse_policy(document({**LAB, **texts, **flags})).assignments
    assert (found.category, found.section_type, found.short_label) == ("Labs", "Lab work", "L")
    assert (found.show_only_average, found.hide_average, found.starting_index) == (True, True, 3)


@pytest.mark.parametrize(
    ("written", "hides"), [(1, True), ("true", True), (0, False), (None, False)]
)
def test_flag_of_an_entry_is_read_as_by_the_platform(written, hides):
    """Kind 11: 0, null and no text are false."""
    (found,) = parse_policy(document({**LAB, "hide_average": written})).assignments
    assert found.hide_average is hides


def test_label_that_is_a_number_is_read_as_text():
    """Kind 11: as by the platform, which makes a text of it."""
    (found,) = parse_policy(document({**LAB, "short_label": 7})).assignments
    assert found.short_label == "7"


def test_equal_cutoffs_are_in_the_order_of_their_letters():
    """Kind 11: a grade has the letter of the first one."""
    assert parse_policy(document(B=0.5, A=0.5, C=0.2)).cutoffs == (
        ("A", 0.5),
        ("B", 0.5),
        ("C", 0.2),
    )


def test_entries_of_one_type_need_different_categories():
    """Several entries may grade one type; their breakdowns are told apart by category."""
    found = parse_policy(document(LAB, {**LAB, "category": "Other labs"})).assignments
    assert [each.category for each in found] == ["Lab", "Other labs"]
    with pytest.raises(InvalidCourse, match="type and category"):
        parse_policy(document(LAB, {**LAB, "type": "Exam", "category": "Lab"}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
fields = ["type", "min_count", "drop_count", "weight", "short_label", "category", "starting_index"]
entries = st.dictionaries(st.sampled_from(fields), json_values)


@given(
    json_values
    | st.fixed_dictionaries(
        {"GRADER": st.lists(entries), "GRADE_CUTOFFS": st.dictionaries(st.text(), json_values)}
    )
)
def test_any_json_is_a_policy_or_invalid_course(given):
    """SG63: no JSON causes another exception."""
    try:
        policy = parse_policy(given)
    except InvalidCourse:
        return
    assert all(0 <= each.min_count <= 1000 for each in policy.assignments)
    assert list(policy.cutoffs) == sorted(policy.cutoffs, key=lambda pair: -pair[1])
