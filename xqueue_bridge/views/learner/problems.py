"""Names, pages and weights of the problems on learners' pages, by DESCRIBE_PROBLEM."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from hashlib import sha256
from math import isfinite

from django.utils.module_loading import import_string
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.conf import options
from xqueue_bridge.course_structure.store import course_structures
from xqueue_bridge.data import ProblemDescription
from xqueue_bridge.log_fields import LogFields
from xqueue_bridge.views.learner.results import Block

log = logging.getLogger(__name__)

#: Seconds for which a description is cached, for all learners.
CACHE_SECONDS = 60


def describe_problems(blocks: Iterable[Block]) -> dict[Block, ProblemDescription]:
    """Return the descriptions of blocks, by DESCRIBE_PROBLEM; an empty one if that raises."""
    keys = {
        f"xqueue_bridge:problem:{sha256(f'{block[0]} {block[1]}'.encode()).hexdigest()}": block
        for block in blocks
    }
    cache = BestEffortCache()
    cached = cache.get_many(keys)
    found = {}
    for key, block in keys.items():
        description = cached.get(key)
        if description is None:
            description = _describe(*block)
            if description is not None:
                cache.set(key, description, CACHE_SECONDS)
        found[block] = description or ProblemDescription()
    return found


def describe_problem(course_key: CourseKey, usage_key: UsageKey) -> ProblemDescription:
    """Return what the published course says of a problem: DESCRIBE_PROBLEM by default."""
    if not options().COURSE_STRUCTURE_BACKEND:
        return ProblemDescription()
    course = course_structures().get(course_key)
    if course is None:
        return ProblemDescription()
    block = course.blocks.get(usage_key)
    if block is None:
        return ProblemDescription(course_name=course.display_name)
    return ProblemDescription(block.display_name, course.display_name, weight=block.weight)


def _describe(course_key: CourseKey, usage_key: UsageKey) -> ProblemDescription | None:
    """Return the description by DESCRIBE_PROBLEM; None if it raises."""
    try:
        found = import_string(options().DESCRIBE_PROBLEM)(course_key, usage_key)
        if found.weight is not None and not (isfinite(found.weight) and found.weight >= 0):
            raise ValueError
    except Exception as exc:  # the host's code
        kind, extra = type(exc).__name__, LogFields(course_key=course_key, usage_key=usage_key)
        log.warning("DESCRIBE_PROBLEM failed (%s): %s", kind, usage_key, extra=extra)
        return None
    return found
