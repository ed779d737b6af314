"""Compute percents and letters from points, with exactly the results of Open edX; pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

#: A limit above any extra credit; it keeps later results finite.
MAX_PERCENT = 1_000_000.0

#: (letter, smallest percent 0..1) pairs, as in GradingPolicy.cutoffs.
Cutoffs = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class ProblemScore:
    """Points of one problem after its weight, or the sum of many problems.

    ``first_attempted`` is None before the first attempt.
    """

    earned: float
    possible: float
    graded: bool = True
    first_attempted: datetime | None = None


def weighted_score(
    raw_earned: float, raw_possible: float, weight: float | None
) -> tuple[float, float]:
    """Return (earned, possible) of a problem with a total weight of ``weight`` points.

    Without a weight, or if ``possible`` is 0, the points are not changed.
    """
    if weight is None or raw_possible == 0:
        return raw_earned, raw_possible
    return raw_earned * weight / raw_possible, float(weight)


def aggregate_scores(scores: Iterable[ProblemScore]) -> tuple[ProblemScore, ProblemScore]:
    """Return the sums of all problems and of the graded ones, each with its first attempt."""
    everything = tuple(scores)
    graded = tuple(score for score in everything if score.graded)
    return _total(everything, graded=False), _total(graded, graded=True)


def _total(scores: Sequence[ProblemScore], *, graded: bool) -> ProblemScore:
    attempts = [score.first_attempted for score in scores if score.first_attempted is not None]
    return ProblemScore(
        earned=plain_sum(score.earned for score in scores),
        possible=plain_sum(score.possible for score in scores),
        graded=graded,
        first_attempted=min(attempts, default=None),
    )


def plain_sum(values: Iterable[float]) -> float:
    """Return the sum, added one by one.

    The built-in ``sum`` does so up to Python 3.11 and compensates rounding errors since; the last
    bit of a grade must not depend on the Python version.
    """
    total = 0.0
    for value in values:
        total += value
    return total


def compute_percent(earned: float, possible: float) -> float:
    """Return a subsection's percent, 0..1 with four digits; 0.0 if nothing is possible.

    ``round(x, 4)`` uses the decimal digits of the float and so differs for some fractions, such
    as 1/160. Negative values and NaN give 0.0, because blocks may return any score.
    """
    if possible <= 0:
        return 0.0
    share = min(max(0.0, earned / possible), MAX_PERCENT)
    return round(share * 10_000) / 10_000


def course_percent(exact: float) -> float:
    """Return the rounded course grade: whole percents, 0..1, rounding up at xx.45.

    Learners see one decimal digit: a shown 59.5% must be the 60% that it rounds to. The floats
    are added in the LMS's order: 88.45% stays 88% there and here.
    """
    return math.floor(exact * 100 + 0.05 + 0.5) / 100


def letter_grade(percent: float, cutoffs: Cutoffs) -> str | None:
    """Return the letter of the highest cutoff that a rounded course percent reaches, or None."""
    reached = [(cutoff, letter) for letter, cutoff in cutoffs if percent >= cutoff]
    return max(reached)[1] if reached else None


def has_passed(percent: float, cutoffs: Cutoffs) -> bool:
    """Return whether a rounded course percent reaches the smallest cutoff above 0."""
    positive = [cutoff for _, cutoff in cutoffs if cutoff > 0]
    return bool(positive) and percent >= min(positive)
