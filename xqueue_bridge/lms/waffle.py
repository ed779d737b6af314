"""The platform's course waffle flag, with its overrides by course and organisation."""

from __future__ import annotations

from functools import cache
from typing import Any

# .. toggle_name: send_to_submission_course.enable
# .. toggle_implementation: CourseWaffleFlag
# .. toggle_default: False
# .. toggle_description: Graders pull a course's submissions from the submissions table of this
#   app, instead of a legacy XQueue server. The platform has a flag of the same name for its own
#   table; where this app is installed, the flag selects ours.
# .. toggle_use_cases: opt_in
# .. toggle_creation_date: 2024-04-03
# .. toggle_tickets: https://github.com/openedx/edx-platform/pull/34888
FLAG_NAME = "send_to_submission_course.enable"


@cache
def course_flag() -> Any:
    """Return the flag, with ``is_enabled(course_key)``; None outside of the platform."""
    try:
        from openedx.core.djangoapps.waffle_utils import CourseWaffleFlag
    except ImportError:
        return None
    return CourseWaffleFlag(FLAG_NAME, __name__)
