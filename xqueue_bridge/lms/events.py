"""The platform's event about a course grade; sent if openedx-events is installed."""

from __future__ import annotations

import logging
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xqueue_bridge.course_grades.api import CourseGrade
    from xqueue_bridge.course_structure.course import Course

log = logging.getLogger(__name__)


def send_grade_summary(grade: CourseGrade, course: Course) -> None:
    """Send PERSISTENT_GRADE_SUMMARY_CHANGED; do nothing without openedx-events.

    The event goes to receivers in this process and, if the host configures it, to the event bus.
    openedx-events logs the exceptions of receivers; no exception of the bus is raised.
    """
    modules = _openedx_events()
    if modules is None:
        return
    data, signals = modules
    try:
        signals.PERSISTENT_GRADE_SUMMARY_CHANGED.send_event(
            grade=data.PersistentCourseGradeData(
                user_id=grade.user_id,
                course=data.CourseData(
                    course_key=course.course_key,
                    display_name=course.display_name,
                    end=course.end,
                ),
                course_edited_timestamp=course.edited_on,
                course_version=course.version,
                grading_policy_hash=course.policy.hash,
                percent_grade=grade.percent,
                letter_grade=grade.letter_grade or "",
                passed_timestamp=grade.passed_timestamp,
            )
        )
    except Exception as exc:  # the event bus is the host's; the grade is stored
        text = "PERSISTENT_GRADE_SUMMARY_CHANGED of learner %s in %s: %s"
        log.error(text, grade.user_id, course.course_key, type(exc).__name__)


@cache
def _openedx_events() -> tuple[ModuleType, ModuleType] | None:
    try:
        from openedx_events.learning import data, signals
    except ImportError:
        return None
    return data, signals
