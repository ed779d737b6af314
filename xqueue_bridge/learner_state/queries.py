"""Queries of StudentModule rows that do not parse the rows' keys, and of tombstones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain
from typing import Any

from django.db.models import CharField, ExpressionWrapper, F, QuerySet
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.data import BlockScore
from xqueue_bridge.db.batches import by_key
from xqueue_bridge.learner_state.block_keys import BlockKey
from xqueue_bridge.learner_state.models import RetiredLearner, StudentModule
from xqueue_bridge.learner_state.row import finite
from xqueue_bridge.lms.keys import has_run, parse_usage_key


@cache
def with_key_text() -> QuerySet[Any]:
    """Return all rows, with the texts of their keys as ``context`` and ``usage``.

    Parsing keys takes longer than the query.
    """
    return StudentModule.objects.annotate(
        context=ExpressionWrapper(F("course_id"), output_field=CharField()),
        usage=ExpressionWrapper(F("module_state_key"), output_field=CharField()),
    )


def rows_at(key: BlockKey) -> QuerySet[Any]:
    """Return all learners' rows at a block key, with the texts of their keys."""
    rows = with_key_text().filter(usage=key.usage)
    # Deprecated keys are stored alike in all runs; other keys contain their context.
    is_unique = has_run(UsageKey.from_string(key.usage))
    return rows if is_unique else rows.filter(context=key.context)


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


def is_retired(user_id: int) -> bool:
    """Return whether the learner is retired, or is being retired."""
    return RetiredLearner.objects.filter(pk=user_id).exists()
