"""The platform's event about a course grade; sent if openedx-events is installed."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from types import ModuleType

from opaque_keys.edx.keys import CourseKey


def send_grade_summary(
    *,
    user_id: int,
    course_key: CourseKey,
    display_name: str,
    end: datetime | None,
    edited_on: datetime | None,
    version: str,
    policy_hash: str,
    percent: float,
    letter_grade: str | None,
    passed_timestamp: datetime | None,
) -> None:
    """Send PERSISTENT_GRADE_SUMMARY_CHANGED; do nothing without openedx-events.

    The event goes to receivers in this process and, if the host configures it, to the event bus.
    openedx-events logs the exceptions of receivers.
    """
    modules = _openedx_events()
    if modules is None:
        return
    data, signals = modules
    signals.PERSISTENT_GRADE_SUMMARY_CHANGED.send_event(
        grade=data.PersistentCourseGradeData(
            user_id=user_id,
            course=data.CourseData(course_key=course_key, display_name=display_name, end=end),
            course_edited_timestamp=edited_on,
            course_version=version,
            grading_policy_hash=policy_hash,
            percent_grade=percent,
            letter_grade=letter_grade or "",
            passed_timestamp=passed_timestamp,
        )
    )


@cache
def _openedx_events() -> tuple[ModuleType, ModuleType] | None:
    try:
        from openedx_events.learning import data, signals
    except ImportError:
        return None
    return data, signals
