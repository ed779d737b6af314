"""Parsing of stored usage keys. Deprecated keys (i4x) are stored without their run. Pure."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from opaque_keys.edx.keys import CourseKey, UsageKey


def has_run(usage_key: UsageKey) -> bool:
    """Return whether a key contains its run; a deprecated key, as stored, does not."""
    block = getattr(usage_key, "usage_key", usage_key)  # of an aside: the block's key
    return not block.deprecated or getattr(block.context_key, "run", None) is not None


def with_run(usage_key: UsageKey, course_key: Any) -> UsageKey:
    """Return the key mapped into ``course_key``; this adds the run to a deprecated key."""
    return usage_key if has_run(usage_key) else usage_key.map_into_course(course_key)


@lru_cache(maxsize=50_000)
def parse_usage_key(text: str, course_key: CourseKey) -> UsageKey:
    """Return a stored key with its run.

    Cached, because all learners of a course have scores at the same keys, and parsing takes longer
    than reading the row.
    """
    return with_run(UsageKey.from_string(text), course_key)


def without_branch(key: Any) -> Any:
    """Return a key without branch and version: state and scores are stored without them."""
    if getattr(key, "branch", None) or getattr(key, "version_guid", None):
        return key.for_branch(None).version_agnostic()
    return key


def stored_text(key: object) -> str:
    """Return the text that the key's column holds."""
    has_branch = getattr(key, "branch", None) or getattr(key, "version_guid", None)
    return str(without_branch(key) if has_branch else key)
