"""Send the platform's signals about scores and grades."""

from __future__ import annotations

from functools import partial

from django.utils.functional import SimpleLazyObject
from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_grades.course_grade import GradeUpdate
from xqueue_bridge.course_grades.course_grade_factory import CourseGradeFactory
from xqueue_bridge.course_grades.grading_rules import weighted_score
from xqueue_bridge.course_structure.api import course_structures
from xqueue_bridge.lms.events import send_grade_summary
from xqueue_bridge.lms.keys import with_run
from xqueue_bridge.lms.users import get_user
from xqueue_bridge.signals import (
    COURSE_GRADE_CHANGED,
    COURSE_GRADE_NOW_FAILED,
    COURSE_GRADE_NOW_PASSED,
    COURSE_GRADE_PASSED_FIRST_TIME,
    PROBLEM_RAW_SCORE_CHANGED,
    PROBLEM_WEIGHTED_SCORE_CHANGED,
    SUBSECTION_SCORE_CHANGED,
)

#: Upstream's name for the table that scores come from.
SCORE_TABLE = "courseware_studentmodule"


def send_score_signals(
    *,
    sender: object,
    signal: object,
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    earned: float | None,
    possible: float | None,
    **others: object,
) -> None:
    """Receive ``score_saved``: send upstream's two signals if they have receivers.

    ``others`` are the arguments that both signals have: ``modified``, ``only_if_higher``,
    ``score_deleted``, ``grader_response``, ``version``. One statement if there are receivers.
    """
    if not (PROBLEM_RAW_SCORE_CHANGED.receivers or PROBLEM_WEIGHTED_SCORE_CHANGED.receivers):
        return
    weight = _weight(course_key, usage_key)
    raw_earned, raw_possible = earned or 0.0, possible or 0.0
    weighted_earned, weighted_possible = weighted_score(raw_earned, raw_possible, weight)
    others |= {
        "user_id": user_id,
        "course_id": str(course_key),
        "usage_id": str(usage_key),
        "score_db_table": SCORE_TABLE,
    }
    PROBLEM_RAW_SCORE_CHANGED.send_robust(
        sender=None, raw_earned=raw_earned, raw_possible=raw_possible, weight=weight, **others
    )
    PROBLEM_WEIGHTED_SCORE_CHANGED.send_robust(
        sender=None,
        weighted_earned=weighted_earned,
        weighted_possible=weighted_possible,
        **others,
    )


def send_grade_signals(*, update: GradeUpdate, user: object, **kwargs: object) -> None:
    """Receive ``grade_updated``: send all of the platform's signals about a committed grade.

    One receiver's error stops no other. ``user`` is the learner, if the caller has loaded them.
    """
    grade, course = update.course_grade, update.course
    # Evaluated only if a receiver uses it.
    learner = user or SimpleLazyObject(partial(get_user, grade.user_id))
    for subsection_grade in update.changed_subsections:
        SUBSECTION_SCORE_CHANGED.send_robust(
            sender=None,
            course=course,
            course_structure=course,
            user=learner,
            subsection_grade=subsection_grade,
        )
    if update.is_first_pass:
        COURSE_GRADE_PASSED_FIRST_TIME.send_robust(
            sender=None, course_id=course.course_key, user_id=grade.user_id
        )
    ours = {
        "user_id": grade.user_id,
        "changed": update.changed,
        "previous_passed": update.previous_passed,
        "transition": update.transition,
    }
    COURSE_GRADE_CHANGED.send_robust(
        sender=None,
        user=learner,
        course_grade=grade,
        course_key=course.course_key,
        deadline=course.end,
        **ours,
    )
    if update.changed:
        send_grade_summary(grade, course)
    if update.transition is None and options().GRADE_SIGNALS == "transitions":
        return
    common = {"sender": CourseGradeFactory, "user": learner, "course_id": course.course_key}
    if grade.passed:
        COURSE_GRADE_NOW_PASSED.send_robust(**common, **ours)
    else:
        COURSE_GRADE_NOW_FAILED.send_robust(**common, grade=grade, **ours)


def _weight(course_key: LearningContextKey, usage_key: UsageKey) -> float | None:
    """Return the block's currently published weight; None if it has none or is unknown."""
    if not isinstance(course_key, CourseKey) or not options().COURSE_STRUCTURE_BACKEND:
        return None
    course = course_structures().get(course_key)
    block = course and course.blocks.get(with_run(usage_key, course_key))
    return block.weight if block else None
