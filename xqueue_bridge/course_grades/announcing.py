"""Signals sent after a course grade is committed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.utils.functional import SimpleLazyObject

from xqueue_bridge.conf import options
from xqueue_bridge.course_grades.course_grade import CourseGrade
from xqueue_bridge.course_grades.subsection_grade import SubsectionGrade
from xqueue_bridge.course_structure.course import Course
from xqueue_bridge.lms.users import get_user
from xqueue_bridge.signals import (
    COURSE_GRADE_CHANGED,
    COURSE_GRADE_NOW_FAILED,
    COURSE_GRADE_NOW_PASSED,
    COURSE_GRADE_PASSED_FIRST_TIME,
    SUBSECTION_SCORE_CHANGED,
)


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


def send_grade_signals_on_commit(grade_update: GradeUpdate, user: Any = None) -> None:
    """Send all signals about a grade after the commit; one receiver's error stops no other."""
    transaction.on_commit(partial(_announce, grade_update, user))


def _announce(grade_update: GradeUpdate, user: Any) -> None:
    from xqueue_bridge.course_grades.course_grade_factory import CourseGradeFactory

    grade, course = grade_update.course_grade, grade_update.course
    # Evaluated only if a receiver uses it.
    learner = user or SimpleLazyObject(partial(get_user, grade.user_id))
    for subsection_grade in grade_update.changed_subsections:
        SUBSECTION_SCORE_CHANGED.send_robust(
            sender=None,
            course=course,
            course_structure=course,
            user=learner,
            subsection_grade=subsection_grade,
        )
    if grade_update.is_first_pass:
        COURSE_GRADE_PASSED_FIRST_TIME.send_robust(
            sender=None, course_id=course.course_key, user_id=grade.user_id
        )
    ours = {
        "user_id": grade.user_id,
        "changed": grade_update.changed,
        "previous_passed": grade_update.previous_passed,
        "transition": grade_update.transition,
    }
    COURSE_GRADE_CHANGED.send_robust(
        sender=None,
        user=learner,
        course_grade=grade,
        course_key=course.course_key,
        deadline=course.end,
        **ours,
    )
    if grade_update.transition is None and options().GRADE_SIGNALS == "transitions":
        return
    place = {"sender": CourseGradeFactory, "user": learner, "course_id": course.course_key}
    if grade.passed:
        COURSE_GRADE_NOW_PASSED.send_robust(**place, **ours)
    else:
        COURSE_GRADE_NOW_FAILED.send_robust(**place, grade=grade, **ours)
