"""Recalculate the grades of all learners of a course."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import groupby

from django.db.models import QuerySet
from opaque_keys.edx.keys import CourseKey

from xqueue_bridge.course_grades import recalculation_queue
from xqueue_bridge.course_grades.queries import learners_with_grades
from xqueue_bridge.course_structure.api import CourseStructureVersion
from xqueue_bridge.db.batches import chunks
from xqueue_bridge.learner_state import api as learner_state


def learners_of(course_key: CourseKey) -> Iterator[int]:
    """Yield the ids of all learners who have a score or a grade in the course, in order."""
    scored = learner_state.learners_with_scores(course_key)
    graded = learners_with_grades(course_key)
    return (user_id for user_id, _ in groupby(merge(scored, graded)))


def request_course(course_key: CourseKey) -> int:
    """Mark all grades in the course dirty; return how many learners there are.

    The sweeper or the command computes them. Two statements for each ``BATCH_SIZE`` learners, two
    more to find them, one to see whether a publish requested the regrade, and then one to mark
    that request as done.
    """
    due = _regrades_due().filter(course_key=course_key)
    requested = list(due.values_list("pk", "regrade_due_at"))
    count = 0
    for chunk in chunks(learners_of(course_key)):
        recalculation_queue.request_full_recalculations(course_key, chunk)
        count += len(chunk)
    for pk, due_at in requested:  # excludes requests of later publishes
        CourseStructureVersion.objects.filter(pk=pk, regrade_due_at=due_at).update(
            regrade_due_at=None
        )
    return count


def request_due_courses() -> int:
    """Request the regrades that a killed publish left unrequested.

    For the sweeper. Returns how many courses.
    """
    course_keys = set(_regrades_due().values_list("course_key", flat=True))
    for course_key in course_keys:
        request_course(course_key)
    return len(course_keys)


def _regrades_due() -> QuerySet[CourseStructureVersion]:
    return CourseStructureVersion.objects.exclude(regrade_due_at=None)
