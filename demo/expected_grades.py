"""Compute expected course grades from the policy, in fractions, without the bridge.

This module imports nothing of ``xqueue_bridge``, so that it does not repeat a mistake of that.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from demo.course import Course, Problem


@dataclass(frozen=True)
class Expected:
    """A course grade: ``percent`` is whole, ``letter`` None below the lowest cutoff."""

    percent: int
    letter: str | None
    passed: bool


def expected_grade(course: Course, earned: Mapping[str, int]) -> Expected:
    """Return the grade for the earned points by ``url_name``; other problems have no score."""
    percents: dict[str, list[Fraction]] = defaultdict(list)
    for name, problems in _subsections(course).items():
        got = sum(_worth(each, earned.get(each.url_name, 0)) for each in problems)
        most = sum(_worth(each, sum(each.points)) for each in problems)
        assert most, f"{name} is worth nothing"
        percents[problems[0].settings["format"]].append(
            Fraction(round(got / most * 10_000), 10_000)
        )
    total = sum(
        (_average(entry, percents[entry["type"]]) for entry in course.grading_policy["GRADER"]),
        Fraction(0),
    )
    # 59.45 % is shown as 59.5 %, and a learner who sees 59.5 % gets 60 %.
    percent = math.floor(total * 100 + Fraction(55, 100))
    cutoffs = course.grading_policy["GRADE_CUTOFFS"]
    reached = [(least, letter) for letter, least in cutoffs.items() if percent >= _whole(least)]
    return Expected(percent, max(reached)[1] if reached else None, bool(reached))


def _subsections(course: Course) -> dict[str, list[Problem]]:
    found: dict[str, list[Problem]] = {}
    for problem in course.problems:
        found.setdefault(problem.subsection, []).append(problem)
    return found


def _worth(problem: Problem, points: int) -> Fraction:
    weight = problem.settings.get("weight")
    return Fraction(points) if weight is None else Fraction(weight) * points / sum(problem.points)


def _average(entry: Mapping[str, Any], percents: list[Fraction]) -> Fraction:
    """Return the part of one assignment type in the grade, without the lowest ones."""
    missing = max(0, entry["min_count"] - len(percents))
    ranked = sorted([*percents, *[Fraction(0)] * missing], reverse=True)
    kept = ranked[: len(ranked) - entry["drop_count"]]
    return sum(kept, Fraction(0)) / len(kept) * Fraction(str(entry["weight"]))


def _whole(share: float) -> Fraction:
    return Fraction(str(share)) * 100
