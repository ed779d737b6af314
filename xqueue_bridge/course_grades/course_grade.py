"""One learner's grade in one course; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.course_grades import graders
from xqueue_bridge.course_grades.scores import course_percent, has_passed, letter_grade
from xqueue_bridge.course_grades.subsection_grade import SubsectionGrade
from xqueue_bridge.course_structure.course import Course, Subsection


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
    summary: graders.Summary | None = None
    subsection_grades: Mapping[UsageKey, SubsectionGrade] = field(default_factory=dict)

    @property
    def attempted(self) -> bool:
        return True

    @property
    def key(self) -> tuple[int, CourseKey]:
        """The user id and the course key."""
        return self.user_id, self.course_key

    @property
    def revision(self) -> tuple[int, datetime | None]:
        """Differs between any two stored grades of one learner in one course."""
        return self.version, self.last_updated

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
    summary = graders.grade(course, totals, subsections=subsections)
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
