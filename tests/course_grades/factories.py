"""Factories of learners, courses and scores, and functions that read and compute grades."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import time_machine
from django.contrib.auth import get_user_model
from django.utils import timezone

from tests.course_grades import courses
from tests.course_grades.courses import COURSE_KEY, block, key, subsection
from tests.grader_replies.factories import received_signals
from xqueue_bridge import signals
from xqueue_bridge.course_grades import api
from xqueue_bridge.course_grades.models import GradeRecalculation, PersistentCourseGrade
from xqueue_bridge.course_structure import api as course_structure
from xqueue_bridge.learner_state import student_module as learner_state

#: One homework of two problems, two points each, and an ungraded exercise; 60 % pass.
HOMEWORK = subsection("homework", block("p1", 2), block("p2", 2))
EXERCISE = subsection("exercise", block("e1", 5), format=None, graded=False)
COURSE = courses.course(HOMEWORK, EXERCISE)
P1, P2, E1 = key("problem", "p1"), key("problem", "p2"), key("problem", "e1")


def make_learner(name: str = "ada") -> Any:
    return get_user_model().objects.create_user(name)


def publish(course: Any = COURSE) -> Any:
    return course_structure.publish(course).course


def score(user: Any, usage_key: Any = P1, earned: float | None = 2, possible: float = 2) -> None:
    learner_state.set_score(user.pk, COURSE_KEY, usage_key, earned, possible)


def request_of(user: Any) -> GradeRecalculation:
    return GradeRecalculation.objects.get(user_id=user.pk)


def stored(user: Any) -> PersistentCourseGrade:
    return PersistentCourseGrade.objects.get(user_id=user.pk)


def percent(user: Any) -> float:
    return stored(user).percent_grade


def recalculate_pending(user: Any) -> bool:
    """Compute the grade that is requested for the learner, as a worker does."""
    return api.recalculate_requested(user.pk, COURSE_KEY)


def sweep_later() -> int:
    """Compute the grades that are due in a minute."""
    with time_machine.travel(timezone.now() + timedelta(minutes=1), tick=False):
        return api.recalculate_due()


@contextmanager
def received_grade_signals() -> Iterator[dict[str, list[dict[str, Any]]]]:
    """Collect the arguments of all signals about grades."""
    names = {
        "subsection": signals.SUBSECTION_SCORE_CHANGED,
        "changed": signals.COURSE_GRADE_CHANGED,
        "passed": signals.COURSE_GRADE_NOW_PASSED,
        "failed": signals.COURSE_GRADE_NOW_FAILED,
        "first": signals.COURSE_GRADE_PASSED_FIRST_TIME,
    }
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(received_signals(signal)) for name, signal in names.items()
        }
