"""Set a priority, and record who did it."""

from __future__ import annotations

from django.db import transaction
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.operations.actions import record
from xqueue_bridge.operations.models import OperatorAction
from xqueue_bridge.submission_queue import api as submission_queue


def set_priority(
    queue_name: str,
    course_key: LearningContextKey | None,
    level: int | None,
    *,
    author_id: int | None = None,
) -> OperatorAction:
    """Set the priority of a queue, a course, or a course in a queue; None removes it.

    Raise InvalidField for a bad name of the queue.
    """
    with transaction.atomic():
        submission_queue.set_priority(queue_name, course_key, level)
        return record_priority(queue_name, str(course_key or ""), level, author_id)


def record_priority(
    queue_name: str, course_key: str, level: int | None, author_id: int | None
) -> OperatorAction:
    """Record a priority that is set; call it in the transaction of its change. One INSERT."""
    return record(
        OperatorAction.Kind.PRIORITY,
        author_id,
        queue_name=queue_name.strip(),
        parameters={"course": course_key, "level": level},
    )
