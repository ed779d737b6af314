"""Scores to points: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xqueue_bridge.data import GraderReply
from xqueue_bridge.grader_replies.backends.base import points_of, with_mark

numbers = st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False)


def points(score, maximum, *, is_fraction=False):
    return points_of(GraderReply(True, score, "ok"), maximum, is_fraction=is_fraction)


@pytest.mark.parametrize(
    ("score", "maximum", "expected"),
    [(0.8, 1, 0.8), (7, 10, 7), (1.0, 1, 1.0), (1, 10, 1), (5, 1, 1), (1.0000000000000002, 1, 1)],
)
def test_points_are_points(score, maximum, expected):
    """C94: within the answer's points the number is untouched."""
    assert points(score, maximum) == expected


@pytest.mark.parametrize("score", [-1, -0.5, -0.0, 0])
def test_less_than_nothing_is_nothing(score):
    """C96: a negative score becomes 0."""
    assert str(points(score, 1)) == "0"
    assert points(score, None) == 0


@pytest.mark.parametrize(("score", "expected"), [(0.5, 5), (1, 10), (2, 10), (-1, 0), (0.7, 7)])
def test_a_fraction_is_one_of_the_answers_points(score, expected):
    """C95: where a queue's scores are fractions they are multiplied by the answer's points."""
    assert points(score, 10, is_fraction=True) == pytest.approx(expected)


@given(numbers, st.integers(0, 1000), st.booleans())
def test_points_are_always_possible(score, maximum, is_fraction):
    """C94, C95: a score is at least 0 and at most the points of the answer."""
    assert 0 <= points(score, maximum, is_fraction=is_fraction) <= maximum


@given(st.integers(0, 10))
def test_an_integer_stays_one(score):
    assert type(points(score, 5)) is int


@pytest.mark.parametrize(
    ("correct", "score", "maximum", "marked"),
    [
        (False, 1, 1, True),
        (False, 2, 2.0, True),
        (False, 1, 2, False),
        (False, 0, 0, False),
        (False, 1, None, False),
        (True, 0, 1, True),
    ],
)
def test_an_answer_with_all_points_is_correct(correct, score, maximum, marked):
    """C113: "incorrect" is not shown beside full points; a partial score keeps its mark."""
    assert with_mark(GraderReply(correct, score, "x"), score, maximum).correct is marked
