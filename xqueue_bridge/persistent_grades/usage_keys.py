"""Usage keys as they come out of a column or a text; pure."""

from __future__ import annotations

from functools import lru_cache

from opaque_keys.edx.keys import CourseKey, UsageKey


def full_usage_key(usage_key: UsageKey, course_key: CourseKey) -> UsageKey:
    """Return the key with its run, which keys of the old kind (i4x) are stored without."""
    return usage_key.map_into_course(course_key) if usage_key.deprecated else usage_key


@lru_cache(maxsize=50_000)
def usage_key_of(text: str, course_key: CourseKey) -> UsageKey:
    """Return a stored key with its run.

    Remembered: all learners of a course have grades at the same keys, and parsing takes longer
    than reading the row.
    """
    return full_usage_key(UsageKey.from_string(text), course_key)
