"""One learner's grade in one course and in its subsections; pure."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_grades.grading_rules import (
    ProblemScore,
    Summary,
    aggregate_scores,
    compute_percent,
    course_percent,
    grade_course,
    has_passed,
    letter_grade,
    problem_score,
)
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.data import BlockScore, GradeVersion


@dataclass(frozen=True, slots=True)
class SubsectionOverride:
    """Points that count instead of the computed ones, unless None."""

    earned_all: float | None = None
    possible_all: float | None = None
    earned_graded: float | None = None
    possible_graded: float | None = None
    reason: str = ""
    system: str = ""
    author_id: int | None = None


@dataclass(frozen=True, slots=True)
class SubsectionGrade:
    """The totals of a subsection, all and graded, computed and with the override.

    ``problem_scores`` are the weighted scores of its blocks, empty if only the totals were read.
    ``visible_blocks`` is the list of graded blocks as JSON, "" if it was not read.
    """

    usage_key: UsageKey
    computed_all: ProblemScore
    computed_graded: ProblemScore
    override: SubsectionOverride | None = None
    visible_blocks: str = ""
    problem_scores: Mapping[UsageKey, ProblemScore] = field(default_factory=dict)

    @property
    def first_attempted(self) -> datetime | None:
        return self.computed_all.first_attempted

    @property
    def attempted(self) -> bool:
        return self.first_attempted is not None

    @property
    def all_total(self) -> ProblemScore:
        """The total of all problems, with the override if there is one."""
        if self.override is None:
            return self.computed_all
        return _overridden(self.computed_all, self.override.earned_all, self.override.possible_all)

    @property
    def graded_total(self) -> ProblemScore:
        """The total that the course grade is computed from, with the override if there is one."""
        if self.override is None:
            return self.computed_graded
        return _overridden(
            self.computed_graded, self.override.earned_graded, self.override.possible_graded
        )

    @property
    def percent_graded(self) -> float:
        return compute_percent(self.graded_total.earned, self.graded_total.possible)


@dataclass(frozen=True, slots=True)
class CourseGrade:
    """A learner's grade in a course.

    ``percent`` is 0..1 in whole percents (more with extra credit), rounded from
    ``exact_percent``; ``letter_grade`` is None below the lowest cutoff. ``last_updated`` is when
    percent, letter or pass last changed, ``passed_timestamp`` the first pass; both are None for a
    grade that is not stored. ``summary`` and ``subsection_grades`` are set if the grade was
    computed or was read with its details.
    """

    user_id: int
    course_key: CourseKey
    percent: float
    letter_grade: str | None
    passed: bool
    exact_percent: float
    last_updated: datetime | None = None
    passed_timestamp: datetime | None = None
    version: int = 0
    summary: Summary | None = None
    subsection_grades: Mapping[UsageKey, SubsectionGrade] = field(default_factory=dict)

    @property
    def attempted(self) -> bool:
        return True

    @property
    def stored_version(self) -> GradeVersion:
        """Raises ValueError for a grade that is not stored."""
        if self.last_updated is None:
            raise ValueError("the grade is not stored")
        return GradeVersion(self.user_id, self.course_key, self.version, self.last_updated)

    def subsection_grade(self, usage_key: UsageKey) -> SubsectionGrade | None:
        """Return the learner's grade in a subsection; None if it was not computed or stored."""
        return self.subsection_grades.get(usage_key)

    def as_seen_by_learner(self, course: Course, now: datetime) -> CourseGrade:
        """Return the grade without the subsections whose results are hidden from the learner.

        Hidden subsections that count are included in the percent only. The percent of a stored
        grade is not changed if all subsections count.
        """
        counted = [each for each in course.subsections if each.counts_in_view(now)]
        shown = [each for each in course.subsections if each.shows_scores(now)]
        seen = self
        if self.last_updated is None or len(counted) < len(course.subsections):
            seen = compute_course(self.user_id, course, self.subsection_grades, counted)
        grades = {
            each.usage_key: grade
            for each in shown
            if (grade := self.subsection_grades.get(each.usage_key))
        }
        return replace(
            seen,
            last_updated=self.last_updated,
            passed_timestamp=self.passed_timestamp if seen.passed else None,
            summary=compute_course(self.user_id, course, grades, shown).summary,
            subsection_grades=grades,
        )


@dataclass(frozen=True, slots=True)
class ZeroCourseGrade(CourseGrade):
    """The grade of a learner without a stored grade."""

    percent: float = 0.0
    letter_grade: str | None = None
    passed: bool = False
    exact_percent: float = 0.0

    @property
    def attempted(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class GradeUpdate:
    """The result of a recalculation; ``previous_passed`` is None if no grade was stored before."""

    course: Course
    course_grade: CourseGrade
    changed_subsections: Sequence[SubsectionGrade]
    changed: bool
    previous_passed: bool | None
    is_first_pass: bool

    @property
    def transition(self) -> str | None:
        """ "passed" or "failed" if this recalculation has changed it, else None."""
        if self.course_grade.passed == bool(self.previous_passed):
            return None
        return "passed" if self.course_grade.passed else "failed"


def compute_subsection(
    subsection: Subsection,
    scores: Mapping[UsageKey, BlockScore],
    override: SubsectionOverride | None = None,
) -> SubsectionGrade:
    """Add up a learner's scores in a subsection; ignore scores of other blocks."""
    blocks = subsection.blocks_for_learner(scores.keys())
    found: dict[UsageKey, ProblemScore] = {}
    records = []
    for block in blocks:
        score = problem_score(block, scores.get(block.usage_key))
        if score is not None:
            found[block.usage_key] = score
        records.append([str(block.usage_key), block.weight, block.max_score, block.graded])
    everything, graded = aggregate_scores(found.values())
    return SubsectionGrade(
        usage_key=subsection.usage_key,
        computed_all=everything,
        computed_graded=graded,
        override=override,
        visible_blocks=json.dumps(records, separators=(",", ":")),
        problem_scores=found,
    )


def compute_course(
    user_id: int,
    course: Course,
    subsection_grades: Mapping[UsageKey, SubsectionGrade],
    subsections: Sequence[Subsection] | None = None,
) -> CourseGrade:
    """Return the course grade that results from subsection grades; a missing one counts 0.

    ``subsections`` limits which of the course's subsections are used.
    """
    totals = {key: grade.graded_total for key, grade in subsection_grades.items()}
    summary = grade_course(course, totals, subsections=subsections)
    percent = course_percent(summary["percent"])
    return CourseGrade(
        user_id=user_id,
        course_key=course.course_key,
        percent=percent,
        letter_grade=letter_grade(percent, course.policy.cutoffs),
        passed=has_passed(percent, course.policy.cutoffs),
        exact_percent=summary["percent"],
        summary=summary,
        subsection_grades=subsection_grades,
    )


def fingerprint(text: str) -> str:
    """Return the hash under which a list of visible blocks is stored."""
    digest = hashlib.sha1(text.encode(), usedforsecurity=False).digest()
    return base64.b64encode(digest).decode()


def _overridden(
    computed: ProblemScore, earned: float | None, possible: float | None
) -> ProblemScore:
    return ProblemScore(
        computed.earned if earned is None else earned,
        computed.possible if possible is None else possible,
        computed.graded,
        computed.first_attempted,
    )
