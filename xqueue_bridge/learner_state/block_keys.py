"""Block keys: a block in one course or library, as opaque keys and as table columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from opaque_keys.edx.keys import LearningContextKey, UsageKey

from xqueue_bridge.lms.keys import has_run, stored_text, with_run


@dataclass(frozen=True, slots=True, order=True)
class BlockKey:
    """A block in its course or library. Block keys are equal if the table stores them alike."""

    context: str
    usage: str
    course_key: LearningContextKey = field(compare=False)
    usage_key: UsageKey = field(compare=False)


@lru_cache(maxsize=4096)
def make_block_key(course_key: LearningContextKey, usage_key: UsageKey) -> BlockKey:
    """Return the block key of a block in a course or library; accepts keys without a run."""
    return BlockKey(stored_text(course_key), stored_text(usage_key), course_key, usage_key)


def block_key_of(usage_key: UsageKey) -> BlockKey:
    """Return the block key for a usage key that contains its context.

    Raises ValueError for a deprecated (i4x) key that was not mapped into its course, because it
    does not contain the run.
    """
    if not isinstance(usage_key, UsageKey):
        raise TypeError(f"a usage key is needed, not {type(usage_key).__name__}")
    if not has_run(usage_key):
        raise ValueError(f"{usage_key} does not name its course's run: map it into the course")
    return make_block_key(usage_key.context_key, usage_key)


@lru_cache(maxsize=4096)
def context_key_from(context: str) -> object:
    """Return the course key or library key that a row stores."""
    return LearningContextKey.from_string(context)


@lru_cache(maxsize=4096)
def usage_key_from(context: str, usage: str) -> UsageKey:
    """Return the usage key that a row stores; a deprecated key gets the run of its course."""
    return with_run(UsageKey.from_string(usage), context_key_from(context))
