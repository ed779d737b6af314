"""Conversion of scores to points: pure."""

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
def test_score_up_to_the_maximum_is_kept(score, maximum, expected):
    """C94: a score up to the answer's points is kept, a higher one is the maximum."""
    assert points(score, maximum) == expected


@pytest.mark.parametrize("score", [-1, -0.5, -0.0, 0])
def test_negative_score_is_0(score):
    """C96: a negative score becomes 0."""
    assert str(points(score, 1)) == "0"
    assert points(score, None) == 0


@pytest.mark.parametrize(("score", "expected"), [(0.5, 5), (1, 10), (2, 10), (-1, 0), (0.7, 7)])
def test_fraction_is_multiplied_by_the_points(score, expected):
    """C95: the score of a queue with fractions is multiplied by the answer's points."""
    assert points(score, 10, is_fraction=True) == pytest.approx(expected)


@given(numbers, st.integers(0, 1000), st.booleans())
def test_any_score_gives_points_from_0_to_the_maximum(score, maximum, is_fraction):
    """C94, C95: a score is at least 0 and at most the points of the answer."""
    assert 0 <= points(score, maximum, is_fraction=is_fraction) <= maximum


@given(st.integers(0, 10))
def test_integer_score_gives_integer_points(score):
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
def test_answer_with_full_points_is_marked_correct(correct, score, maximum, marked):
    """C113: full points are marked as correct; a partial score keeps its mark."""
    assert with_mark(GraderReply(correct, score, "x"), score, maximum).correct is marked
