"""Computing percents from points, and letters from percents, down to the last digit."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.course_grades import documented_grading_cases
from xqueue_bridge.course_grades.grading_rules import (
    MAX_PERCENT,
    ProblemScore,
    aggregate_scores,
    compute_percent,
    course_percent,
    has_passed,
    letter_grade,
    plain_sum,
    weighted_score,
)
from xqueue_bridge.course_structure.policy import MAX_WEIGHT

points = st.integers(0, 1_000_000).map(lambda eighths: eighths / 8)
counts = st.integers(0, 500)


@pytest.mark.parametrize(("earned", "possible", "percent"), documented_grading_cases.PERCENT)
def test_percent_of_a_subsection_is_rounded_to_four_digits(earned, possible, percent):
    """SG54: divide the earned by the possible points, as the documented cases say."""
    assert compute_percent(earned, possible) == percent


@pytest.mark.parametrize(
    ("raw", "out_of", "weight", "earned", "possible"), documented_grading_cases.WEIGHTED
)
def test_weighted_score_has_the_documented_points(raw, out_of, weight, earned, possible):
    """SG50, SG54: scale the points to the weight; keep them without a weight or possible points."""
    assert weighted_score(raw, out_of, weight) == (earned, possible)


@pytest.mark.parametrize(
    ("exact", "cutoffs", "percent", "letter", "passed"), documented_grading_cases.RESULTS
)
def test_percent_letter_and_passing_are_the_documented_ones(
    exact, cutoffs, percent, letter, passed
):
    """SG54, SG59, SG60: round first, then compare; passed is a bool for any cutoffs."""
    pairs = tuple(cutoffs.items())
    assert course_percent(exact) == percent
    assert letter_grade(percent, pairs) == letter
    assert has_passed(percent, pairs) is passed


def test_course_percent_is_rounded_up_from_45_hundredths():
    """SG59: every grade of four digits up to 200%, against whole numbers.

    At 28 of the 200 steps the float of the grade is too small to take it, there as here.
    """
    late = []
    for ten_thousandths in range(20_001):
        percent = (ten_thousandths + 55) // 100
        if course_percent(ten_thousandths / 10_000) != percent / 100:
            assert course_percent(ten_thousandths / 10_000) == (percent - 1) / 100
            late.append(ten_thousandths)
    assert len(late) == 28
    assert {each % 100 for each in late} == {45}


@given(st.integers(0, 100_000), st.integers(1, 100_000))
def test_percents_equal_numpys_rounding(earned, possible):
    """SG54: return the same bits as the LMS, which uses numpy."""
    assert compute_percent(earned, possible) == np.around(earned / possible, 4)


@given(counts, st.integers(1, 500))
def test_percents_round_half_to_even(earned, possible):
    exact = Fraction(earned, possible) * 10_000
    down = exact.numerator // exact.denominator
    rest = exact - down
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and down % 2 == 1)
    assert compute_percent(earned, possible) == (down + up) / 10_000


@pytest.mark.parametrize(
    ("earned", "possible", "percent"),
    [
        (-5.0, 1.0, 0.0),
        (math.nan, 1.0, 0.0),
        (math.inf, math.inf, 0.0),
        (1.0, math.inf, 0.0),
        (1.0, 5e-324, MAX_PERCENT),
        (math.inf, 1.0, MAX_PERCENT),
        (1e308, 1.0, MAX_PERCENT),
    ],
)
def test_negative_infinite_or_tiny_points_give_a_percent_within_limits(earned, possible, percent):
    """SG46: return 0 or the largest percent, and raise no error."""
    assert compute_percent(earned, possible) == percent
    assert course_percent(percent * MAX_WEIGHT) >= 0


def test_percents_differ_from_rounding_with_python():
    """Show that the built-in ``round`` gives another grade."""
    assert compute_percent(1, 160) == 0.0062
    assert round(1 / 160, 4) == 0.0063


@given(points, points.filter(bool), st.none() | points)
def test_weighted_score_keeps_the_ratio(earned, possible, weight):
    """SG50: change the scale of the points only."""
    weighted, out_of = weighted_score(earned, possible, weight)
    expected = Fraction(earned) / Fraction(possible) * Fraction(out_of)
    assert weighted == pytest.approx(float(expected), rel=1e-12)
    assert out_of == (possible if weight is None else weight)


def test_totals_of_all_and_of_graded_problems():
    early, late = (datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2))
    everything, graded = aggregate_scores(
        [
            ProblemScore(1, 2, graded=True, first_attempted=late),
            ProblemScore(3, 4, graded=False, first_attempted=early),
            ProblemScore(0, 5, graded=True),
        ]
    )
    assert everything == ProblemScore(4.0, 11.0, graded=False, first_attempted=early)
    assert graded == ProblemScore(1.0, 7.0, graded=True, first_attempted=late)


def test_totals_without_scores_are_zero():
    everything, graded = aggregate_scores([])
    assert everything == ProblemScore(0.0, 0.0, graded=False)
    assert graded == ProblemScore(0.0, 0.0, graded=True)


def test_plain_sum_is_the_same_in_every_python_version():
    """Return 0.9999999999999999, where the built-in sum gives 1.0 from Python 3.12 on."""
    assert plain_sum([0.1] * 10) == 0.9999999999999999


@given(st.lists(st.tuples(counts, counts, st.booleans())))
def test_totals_equal_the_sums_of_points(scores):
    everything, graded = aggregate_scores(ProblemScore(*score) for score in scores)
    assert everything.earned == sum(earned for earned, _, _ in scores)
    assert everything.possible == sum(possible for _, possible, _ in scores)
    assert graded.possible == sum(possible for _, possible, counts in scores if counts)


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1)), st.floats(0, 2))
def test_passing_grade_has_a_letter(cutoffs, exact):
    """SG60: pass no learner without a letter; give the letter of the highest cutoff reached."""
    pairs = tuple(cutoffs.items())
    percent = course_percent(exact)
    letter = letter_grade(percent, pairs)
    if has_passed(percent, pairs):
        assert letter is not None
    if letter is None:
        assert all(percent < cutoff for cutoff in cutoffs.values())
    else:
        assert cutoffs[letter] == max(c for c in cutoffs.values() if c <= percent)
