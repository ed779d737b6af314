"""Usage keys as they come out of a column or a text; pure."""

from __future__ import annotations

from opaque_keys.edx.keys import CourseKey, UsageKey


def full_usage_key(usage_key: UsageKey, course_key: CourseKey) -> UsageKey:
    """Return the key with its run, which keys of the old kind (i4x) are stored without."""
    return usage_key.map_into_course(course_key) if usage_key.deprecated else usage_key
