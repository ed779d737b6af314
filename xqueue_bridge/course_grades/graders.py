"""Compute a course grade from subsections, with the course's grading policy; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal, NotRequired, TypedDict

from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.course_grades.scores import (
    ProblemScore,
    aggregate_scores,
    compute_percent,
    plain_sum,
    weighted_score,
)
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.course_structure.policy import AssignmentFormat


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


@dataclass(frozen=True, slots=True)
class GradedSubsection:
    """A subsection that counts, with the points of its graded problems."""

    display_name: str
    earned: float
    possible: float


#: Subsections that count, by their format, in the order of the course.
GradeSheet = Mapping[str, Sequence[GradedSubsection]]


class AssignmentFormatGrader(AssignmentFormat):
    """Grade the assignments of one type; each has the same weight, whatever its points."""

    def grade(self, sheet: GradeSheet) -> tuple[float, list[SectionEntry]]:
        """Return the average without dropped assignments, and the entries to show."""
        given = sheet.get(self.type, ())
        entries = [self._entry(n, found) for n, found in enumerate(given)]
        entries += [self._placeholder(n) for n in range(len(given), self.min_count)]
        average = self._average_without_lowest(entries)
        if len(entries) == 1:
            return average, [self._total(average, self.short_label, "")]
        shown = [] if self.show_only_average else entries
        if not self.hide_average:
            shown.append(self._total(average, f"{self.short_label} Avg", " Average"))
        return average, shown

    def _average_without_lowest(self, entries: list[SectionEntry]) -> float:
        # The sort is stable: among equal lowest assignments, the last ones are dropped.
        ranked = sorted(range(len(entries)), key=lambda n: -entries[n]["percent"])
        kept = len(entries) - self.drop_count
        for number in ranked[max(kept, 0) :]:
            detail = f"The lowest {self.drop_count} {self.section_type} scores are dropped."
            entries[number]["mark"] = {"detail": detail}
        total = plain_sum(entry["percent"] for entry in entries if "mark" not in entry)
        return total / kept if kept > 0 else 0.0

    def _entry(self, number: int, found: GradedSubsection) -> SectionEntry:
        percent = compute_percent(found.earned, found.possible)
        detail = f"{found.display_name} - {percent:.0%} ({found.earned:.4g}/{found.possible:.4g})"
        return self._section_entry(percent, number, f" - {detail}")

    def _placeholder(self, number: int) -> SectionEntry:
        return self._section_entry(0.0, number, " Unreleased - 0% (?/?)")

    def _section_entry(self, percent: float, number: int, detail: str) -> SectionEntry:
        number += self.starting_index
        return {
            "percent": percent,
            "label": f"{self.short_label} {number:02d}",
            "detail": f"{self.section_type} {number}{detail}",
            "category": self.category,
        }

    def _total(self, percent: float, label: str, kind: str) -> SectionEntry:
        return {
            "percent": percent,
            "label": label,
            "detail": f"{self.section_type}{kind} = {percent:.0%}",
            "category": self.category,
            "prominent": True,
        }


class WeightedSubsectionsGrader:
    """Add up the results of the graders of the assignment types, by their weights."""

    def __init__(self, subgraders: Sequence[AssignmentFormatGrader]) -> None:
        self.subgraders = subgraders

    def grade(self, sheet: GradeSheet) -> Summary:
        """Return the exact course grade with its breakdowns. Weights are not normalised."""
        percent = 0.0
        sections: list[SectionEntry] = []
        categories: dict[str, CategoryEntry] = {}
        for grader in self.subgraders:
            average, entries = grader.grade(sheet)
            weighted = average * grader.weight
            percent += weighted
            sections += entries
            categories[grader.category] = {
                "percent": weighted,
                "detail": f"{grader.category} = {weighted:.2%} of a possible {grader.weight:.2%}",
                "category": grader.category,
            }
        return {"percent": percent, "section_breakdown": sections, "grade_breakdown": categories}


@lru_cache(maxsize=64)
def grader_for(assignments: tuple[AssignmentFormat, ...]) -> WeightedSubsectionsGrader:
    """Return the grader of checked assignment formats; a process keeps those of 64 policies."""
    return WeightedSubsectionsGrader([AssignmentFormatGrader(**asdict(a)) for a in assignments])


def grade(
    course: Course,
    graded_totals: Mapping[UsageKey, ProblemScore],
    *,
    subsections: Sequence[Subsection] | None = None,
) -> Summary:
    """Return a learner's course grade; ``graded_totals`` has the graded total of each subsection.

    A subsection without a total counts as untouched: 0 of its current maximum.
    ``subsections`` limits which of the course's subsections are used.
    """
    sheet: dict[str, list[GradedSubsection]] = {}
    for subsection in course.subsections if subsections is None else subsections:
        total = graded_totals.get(subsection.usage_key) or zero_totals(subsection)[1]
        if subsection.graded and subsection.format is not None and total.possible > 0:
            counted = GradedSubsection(subsection.display_name, total.earned, total.possible)
            sheet.setdefault(subsection.format, []).append(counted)
    return grader_for(course.policy.assignments).grade(sheet)


def zero_totals(subsection: Subsection) -> tuple[ProblemScore, ProblemScore]:
    """Return the totals, all and graded, of a learner who has not tried the subsection."""
    return aggregate_scores(
        zero_score(block.max_score, block.weight, block.graded)
        for block in subsection.blocks_for_learner(())
        if block.max_score is not None
    )


def zero_score(max_score: float, weight: float | None, graded: bool | None) -> ProblemScore:
    """Return a score of 0 with a problem's weighted maximum; without points it is not graded."""
    earned, possible = weighted_score(0.0, max_score, weight)
    return ProblemScore(earned, possible, graded is not False and possible > 0)
