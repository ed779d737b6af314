"""Send upstream's score signals, with the block's weight."""

from __future__ import annotations

from typing import Any

from opaque_keys.edx.keys import CourseKey, LearningContextKey, UsageKey

from xqueue_bridge.conf import options
from xqueue_bridge.course_grades.scores import weighted_score
from xqueue_bridge.course_structure.api import course_structures
from xqueue_bridge.lms.keys import with_run
from xqueue_bridge.signals import PROBLEM_RAW_SCORE_CHANGED, PROBLEM_WEIGHTED_SCORE_CHANGED

#: Upstream's name for the table that scores come from.
SCORE_TABLE = "courseware_studentmodule"


def send_score_signals(
    user_id: int,
    course_key: LearningContextKey,
    usage_key: UsageKey,
    *,
    earned: float | None,
    possible: float | None,
    **others: Any,
) -> None:
    """Send upstream's two signals about a stored score if they have receivers.

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


def _weight(course_key: LearningContextKey, usage_key: UsageKey) -> float | None:
    """Return the block's currently published weight; None if it has none or is unknown."""
    if not isinstance(course_key, CourseKey) or not options().COURSE_STRUCTURE_BACKEND:
        return None
    course = course_structures().get(course_key)
    block = course and course.blocks.get(with_run(usage_key, course_key))
    return block.weight if block else None
