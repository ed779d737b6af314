"""Compute one learner's course grade from scores, and store what has changed.

Callers hold the lock of the learner and the course (``recalculation_queue``), unless they only
compute. Unchanged rows are not written; the number of statements does not depend on the size of the
course.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from django.db import transaction
from opaque_keys.edx.keys import UsageKey

from xqueue_bridge.course_grades import persistence
from xqueue_bridge.course_grades.course_grade import (
    CourseGrade,
    GradeUpdate,
    SubsectionGrade,
    SubsectionOverride,
    compute_course,
    compute_subsection,
)
from xqueue_bridge.course_grades.grading_rules import zero_totals
from xqueue_bridge.course_grades.models import PersistentCourseGrade, PersistentSubsectionGrade
from xqueue_bridge.course_structure.course import Course, Subsection
from xqueue_bridge.data import BlockScore
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.exceptions import XQueueBridgeError
from xqueue_bridge.learner_state import api as learner_state
from xqueue_bridge.signals import grade_updated

Stored = Mapping[UsageKey, tuple[PersistentSubsectionGrade, SubsectionGrade]]


class StaleCourseStructure(XQueueBridgeError):
    """The grade that is stored was, or may have been, computed from a later publication."""


@dataclass(frozen=True, slots=True)
class RecalculationPlan:
    """Which subsections to compute from scores; stored grades are used for the rest.

    ``blocks``: subsections that contain one of them. ``all_subsections``: all.
    ``all_if_first_grade``: all, if the learner has no grade in the course yet.
    ``store_zero_grades``: also store the zero grade of a subsection without any attempt.
    """

    blocks: frozenset[UsageKey] = frozenset()
    all_subsections: bool = False
    all_if_first_grade: bool = False
    store_zero_grades: bool = False

    def computes(self, subsection: Subsection) -> bool:
        """Return whether the subsection is computed from scores."""
        if self.all_subsections:
            return True
        return any(block.usage_key in self.blocks for block in subsection.blocks)


@dataclass(frozen=True, slots=True)
class ComputedGrade:
    """A computed grade, and what is stored of the learner's grades.

    ``is_retired``: nothing may be stored, because the learner is retired and has no grade yet.
    """

    course: Course
    course_grade: CourseGrade
    scores: Mapping[UsageKey, BlockScore]
    changed: Sequence[SubsectionGrade]
    stored: Stored
    before: PersistentCourseGrade | None
    is_retired: bool


def compute_grade(
    user_id: int,
    course: Course,
    plan: RecalculationPlan,
    *,
    reject_stale: bool = True,
    overrides: Mapping[UsageKey, SubsectionOverride | None] | None = None,
) -> ComputedGrade:
    """Compute a learner's grade from scores and stored subsection grades.

    ``overrides`` replaces stored overrides. Raises StaleCourseStructure, with ``reject_stale``, if
    the stored grade may come from a later publication. Three statements, four without a grade.
    """
    scores = learner_state.read_course_scores(user_id, course.course_key)
    before = persistence.read_course_row(user_id, course.course_key)
    if reject_stale and before is not None and _may_be_later(before, course):
        raise StaleCourseStructure
    if before is None and plan.all_if_first_grade:
        plan = replace(plan, all_subsections=True)
    stored = persistence.read_subsections(user_id, course.course_key)
    grades: dict[UsageKey, SubsectionGrade] = {}
    changed = []
    for subsection in course.subsections:
        row, old = stored.get(subsection.usage_key, (None, None))
        override = old.override if old else None
        # Sums that are not finite are not a grade: another program has written them.
        if plan.computes(subsection) or not (row is None or persistence.has_finite_sums(row)):
            grade = compute_subsection(subsection, scores, override)
            if old is not None and old.first_attempted is not None:
                grade = _with_first_attempt(grade, old.first_attempted)
            is_kept = row is not None or plan.store_zero_grades or _has_scores(subsection, grade)
            if is_kept and (row is None or persistence.differs(row, grade)):
                changed.append(grade)
        elif old is not None:
            grade = old
        else:
            continue
        grades[subsection.usage_key] = grade
    for usage_key, given in (overrides or {}).items():
        grades[usage_key] = replace(grades[usage_key], override=given)
    return ComputedGrade(
        course=course,
        course_grade=compute_course(user_id, course, grades),
        scores=scores,
        changed=changed,
        stored=stored,
        before=before,
        # A recalculation that began before the retirement must not bring the grade back.
        is_retired=before is None and learner_state.is_retired(user_id),
    )


def store_grade(computed: ComputedGrade, user: object = None) -> CourseGrade:
    """Store the changed rows, and send ``grade_updated`` after commit; at most three statements."""
    now, before, course = database_now(), computed.before, computed.course
    grade = computed.course_grade
    persistence.write_subsections(grade.user_id, course, computed.changed, computed.stored, now)
    previous_passed = None if before is None else before.passed
    passed_before = before is not None and before.passed_timestamp is not None
    version = before.version if before else 0
    after = persistence.write_course_grade(before, course, grade, now)
    grade = replace(
        grade,
        last_updated=after.modified,
        passed_timestamp=after.passed_timestamp,
        version=after.version,
    )
    update = GradeUpdate(
        course=course,
        course_grade=grade,
        changed_subsections=computed.changed,
        changed=after.version != version,
        previous_passed=previous_passed,
        is_first_pass=grade.passed and not passed_before,
    )
    send = partial(
        grade_updated.send_robust, sender=PersistentCourseGrade, update=update, user=user
    )
    transaction.on_commit(send)
    return grade


def _has_scores(subsection: Subsection, grade: SubsectionGrade) -> bool:
    """Return whether a grade has to be stored, because it is not that of a learner without scores.

    A score without an attempt can change the maximum, too.
    """
    if grade.first_attempted is not None:
        return True
    zeros = (zero.possible for zero in zero_totals(subsection))
    return tuple(zeros) != (grade.computed_all.possible, grade.computed_graded.possible)


def _with_first_attempt(grade: SubsectionGrade, first: datetime) -> SubsectionGrade:
    """Keep the stored first attempt: later attempts and a reset do not change it."""
    return replace(
        grade,
        computed_all=replace(grade.computed_all, first_attempted=first),
        computed_graded=replace(grade.computed_graded, first_attempted=first),
    )


def _may_be_later(stored: PersistentCourseGrade, course: Course) -> bool:
    """Return whether a grade may come from a later publication, by dates, which can repeat."""
    edited = stored.course_edited_timestamp
    if edited is None or course.edited_on is None:
        return False
    is_other = stored.course_version != course.version
    return edited > course.edited_on or (edited == course.edited_on and is_other)
