"""Compute percents, letters and course grades from points, as Open edX does; pure.

The results are exactly those of Open edX, down to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Literal, NotRequired, TypedDict

from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.course_structure.course import Block, Course, Subsection
from xqueue_bridge.course_structure.policy import AssignmentFormat
from xqueue_bridge.data import BlockScore

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


class Mark(TypedDict):
    """The reason why an entry does not count."""

    detail: str


class SectionEntry(TypedDict):
    """One bar of the chart: an assignment, a placeholder, or the average of its type.

    ``percent`` is 0..1. Averages have ``prominent``, dropped assignments have ``mark``.
    """

    percent: float
    label: str
    detail: str
    category: str
    prominent: NotRequired[Literal[True]]
    mark: NotRequired[Mark]


class CategoryEntry(TypedDict):
    """The share of one assignment type in the course grade; ``percent`` is after its weight."""

    percent: float
    detail: str
    category: str


class Summary(TypedDict):
    """A course grade before rounding, with its breakdowns.

    ``percent`` is exact; it exceeds 1 if the sum of the weights does.
    """

    percent: float
    section_breakdown: list[SectionEntry]
    grade_breakdown: dict[str, CategoryEntry]


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
    """Return the letter of the highest cutoff that a rounded course percent reaches, or None.

    Of equal cutoffs, it is the first one's.
    """
    reached = [(cutoff, letter) for letter, cutoff in cutoffs if percent >= cutoff]
    return max(reached, key=itemgetter(0))[1] if reached else None


def has_passed(percent: float, cutoffs: Cutoffs) -> bool:
    """Return whether a rounded course percent reaches the smallest cutoff above 0."""
    positive = [cutoff for _, cutoff in cutoffs if cutoff > 0]
    return bool(positive) and percent >= min(positive)


def problem_score(block: Block, stored: BlockScore | None) -> ProblemScore | None:
    """Return a learner's weighted score at a block; None if its maximum is unknown.

    Uses the stored maximum if the learner has a score, else the block's current one.
    """
    if stored is None:
        if block.max_score is None:
            return None
        earned, possible = weighted_score(0.0, block.max_score, block.weight)
        first_attempted = None
    else:
        earned, possible = weighted_score(stored.earned or 0.0, stored.possible, block.weight)
        first_attempted = None if stored.earned is None else stored.first_attempted
    is_graded = block.graded is not False and possible > 0
    return ProblemScore(earned, possible, is_graded, first_attempted)


def zero_totals(subsection: Subsection) -> tuple[ProblemScore, ProblemScore]:
    """Return the totals, all and graded, of a learner who has not tried the subsection."""
    scores = (problem_score(block, None) for block in subsection.blocks_for_learner(()))
    return aggregate_scores(score for score in scores if score is not None)


def grade_course(
    course: Course,
    graded_totals: Mapping[UsageKey, ProblemScore],
    *,
    subsections: Sequence[Subsection] | None = None,
) -> Summary:
    """Return a learner's exact course grade with its breakdowns; weights are not normalised.

    ``graded_totals`` has the graded total of each subsection. One without a total counts as
    untouched: 0 of its current maximum. ``subsections`` limits which of the course's are used.
    """
    counted: dict[str, list[tuple[str, ProblemScore]]] = {}
    for subsection in course.subsections if subsections is None else subsections:
        total = graded_totals.get(subsection.usage_key) or zero_totals(subsection)[1]
        if subsection.graded and subsection.format is not None and total.possible > 0:
            counted.setdefault(subsection.format, []).append((subsection.display_name, total))
    percent = 0.0
    sections: list[SectionEntry] = []
    categories: dict[str, CategoryEntry] = {}
    for kind in course.policy.assignments:
        average, entries = grade_assignments(kind, counted.get(kind.type, ()))
        weighted = average * kind.weight
        percent += weighted
        sections += entries
        categories[kind.category] = {
            "percent": weighted,
            "detail": f"{kind.category} = {weighted:.2%} of a possible {kind.weight:.2%}",
            "category": kind.category,
        }
    return {"percent": percent, "section_breakdown": sections, "grade_breakdown": categories}


def grade_assignments(
    kind: AssignmentFormat, given: Sequence[tuple[str, ProblemScore]]
) -> tuple[float, list[SectionEntry]]:
    """Return the average of one type without dropped assignments, and the entries to show.

    ``given`` are the names and totals of its subsections, in the order of the course. Each has the
    same weight, whatever its points.
    """
    entries: list[SectionEntry] = []
    for position in range(max(len(given), kind.min_count)):
        percent, detail, number = 0.0, " Unreleased - 0% (?/?)", position + kind.starting_index
        if position < len(given):
            name, total = given[position]
            percent = compute_percent(total.earned, total.possible)
            detail = f" - {name} - {percent:.0%} ({total.earned:.4g}/{total.possible:.4g})"
        entries.append(
            {
                "percent": percent,
                "label": f"{kind.short_label} {number:02d}",
                "detail": f"{kind.section_type} {number}{detail}",
                "category": kind.category,
            }
        )
    average = _average_without_lowest(kind, entries)
    is_single = len(entries) == 1
    of_all: SectionEntry = {
        "percent": average,
        "label": kind.short_label if is_single else f"{kind.short_label} Avg",
        "detail": f"{kind.section_type}{'' if is_single else ' Average'} = {average:.0%}",
        "category": kind.category,
        "prominent": True,
    }
    if is_single:
        return average, [of_all]
    shown = [] if kind.show_only_average else entries
    return average, shown if kind.hide_average else [*shown, of_all]


def _average_without_lowest(kind: AssignmentFormat, entries: list[SectionEntry]) -> float:
    """Mark the dropped assignments, and return the average of the others."""
    # The sort is stable: among equal lowest assignments, the last ones are dropped.
    ranked = sorted(range(len(entries)), key=lambda n: -entries[n]["percent"])
    kept = len(entries) - kind.drop_count
    for number in ranked[max(kept, 0) :]:
        detail = f"The lowest {kind.drop_count} {kind.section_type} scores are dropped."
        entries[number]["mark"] = {"detail": detail}
    total = plain_sum(entry["percent"] for entry in entries if "mark" not in entry)
    return total / kept if kept > 0 else 0.0
