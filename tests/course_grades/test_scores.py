"""Points to percents to letters, to the last digit."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.course_grades import documented_grading_cases
from xqueue_bridge.course_grades.scores import (
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
def test_percents_have_four_digits(earned, possible, percent):
    """SG54: what part of its points a subsection earned."""
    assert compute_percent(earned, possible) == percent


@pytest.mark.parametrize(
    ("raw", "out_of", "weight", "earned", "possible"), documented_grading_cases.WEIGHTED
)
def test_weights(raw, out_of, weight, earned, possible):
    """SG50, SG54: a problem counts its weight; without one, or without points, it stays."""
    assert weighted_score(raw, out_of, weight) == (earned, possible)


@pytest.mark.parametrize(
    ("exact", "cutoffs", "percent", "letter", "passed"), documented_grading_cases.RESULTS
)
def test_results(exact, cutoffs, percent, letter, passed):
    """SG54, SG59, SG60: rounded first, then compared; passed is a bool whatever the cutoffs."""
    pairs = tuple(cutoffs.items())
    assert course_percent(exact) == percent
    assert letter_grade(percent, pairs) == letter
    assert has_passed(percent, pairs) is passed


def test_a_course_steps_up_at_45_hundredths_of_a_percent():
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
def test_percents_are_those_of_numpy(earned, possible):
    """SG54: bit for bit what the LMS computes."""
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
def test_odd_points_have_a_percent_too(earned, possible, percent):
    """SG46: what a block has published is no reason to fail; as much as there is, and no less."""
    assert compute_percent(earned, possible) == percent
    assert course_percent(percent * MAX_WEIGHT) >= 0


def test_percents_differ_from_pythons_own_rounding():
    """The shorter way to write it gives another grade."""
    assert compute_percent(1, 160) == 0.0062
    assert round(1 / 160, 4) == 0.0063


@given(points, points.filter(bool), st.none() | points)
def test_weights_keep_the_ratio(earned, possible, weight):
    """SG50: what changes is the scale."""
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


def test_totals_of_nothing():
    everything, graded = aggregate_scores([])
    assert everything == ProblemScore(0.0, 0.0, graded=False)
    assert graded == ProblemScore(0.0, 0.0, graded=True)


def test_sums_do_not_depend_on_the_python():
    """From 3.12 on the built-in sum gives 1.0 here."""
    assert plain_sum([0.1] * 10) == 0.9999999999999999


@given(st.lists(st.tuples(counts, counts, st.booleans())))
def test_totals_are_sums(scores):
    everything, graded = aggregate_scores(ProblemScore(*score) for score in scores)
    assert everything.earned == sum(earned for earned, _, _ in scores)
    assert everything.possible == sum(possible for _, possible, _ in scores)
    assert graded.possible == sum(possible for _, possible, counts in scores if counts)


@given(st.dictionaries(st.text(min_size=1), st.floats(0, 1)), st.floats(0, 2))
def test_letters_and_passing_agree(cutoffs, exact):
    """SG60: who passed has a letter; who has no letter has not passed."""
    pairs = tuple(cutoffs.items())
    percent = course_percent(exact)
    letter = letter_grade(percent, pairs)
    if has_passed(percent, pairs):
        assert letter is not None
    if letter is None:
        assert all(percent < cutoff for cutoff in cutoffs.values())
    else:
        assert cutoffs[letter] == max(c for c in cutoffs.values() if c <= percent)
