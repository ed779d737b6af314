"""Queries for one learner's scores in a course, and for the learners with scores."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.data import BlockScore
from xqueue_bridge.db.batches import by_key
from xqueue_bridge.learner_state.models import StudentModule
from xqueue_bridge.learner_state.queries import with_key_text
from xqueue_bridge.learner_state.row import finite
from xqueue_bridge.lms.keys import parse_usage_key


def read_course_scores(user_id: int, course_key: CourseKey) -> dict[UsageKey, BlockScore]:
    """Return the learner's score at each scored block; one statement for any course.

    A migrated row whose maximum is not finite is left out; points that are not finite are None.
    """
    rows = with_key_text().filter(student_id=user_id, course_id=course_key, max_grade__isnull=False)
    found = rows.values_list("usage", "grade", "max_grade", "created", "version")
    return {
        parse_usage_key(usage, course_key): BlockScore(finite(grade), max_grade, created, version)
        for usage, grade, max_grade, created, version in found
        if finite(max_grade) is not None
    }


def learners_with_scores(course_key: CourseKey) -> Iterator[int]:
    """Yield the ids of the learners who have a score in the course, in ascending order.

    One statement for each ``BATCH_SIZE`` learners.
    """
    rows = StudentModule.objects.filter(course_id=course_key, max_grade__isnull=False)
    ids = rows.values_list("student_id", flat=True).distinct()
    return chain.from_iterable(by_key(ids, "student_id"))
