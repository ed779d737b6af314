"""Whether a learner may see results: points, feedback and tests. One check, by SHOW_RESULTS."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, TypeAlias

from django.utils import timezone
from django.utils.module_loading import import_string
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.conf import options
from xqueue_bridge.course_structure.store import course_structures

log = logging.getLogger(__name__)

#: Seconds for which a decision is cached: an LMS loads the block for it.
CACHE_SECONDS = 60

Block: TypeAlias = tuple[CourseKey, UsageKey]


def shows_results(user_id: int, blocks: Iterable[Block]) -> dict[Block, bool]:
    """Return for each block whether the learner may see its results, by SHOW_RESULTS.

    A check that raises shows nothing, and is asked again at the next request.
    """
    cache, found = BestEffortCache(), {}
    for block in dict.fromkeys(blocks):
        name = sha256(f"{user_id} {block[0]} {block[1]}".encode()).hexdigest()
        key = f"xqueue_bridge:results:{name}"
        shows = cache.get(key)
        if shows is None:
            shows = _check(user_id, *block)
            if shows is not None:
                cache.set(key, shows, CACHE_SECONDS)
        found[block] = bool(shows)
    return found


def may_see_results(user_id: int, course_key: CourseKey, usage_key: UsageKey) -> bool:
    """Decide by the block, else by the published course: SHOW_RESULTS by default.

    A block that BLOCK_LOADER returns decides by ``correctness_available()``, as a problem block
    does in an LMS: ``show_correctness`` and this learner's due date. Without such a block the
    subsection of the published course decides, and without a course the results are shown.
    """
    if loader := options().BLOCK_LOADER:
        block: Any = import_string(loader)(user_id, course_key, usage_key)
        if hasattr(block, "correctness_available"):
            return bool(block.correctness_available())
    if not options().COURSE_STRUCTURE_BACKEND:
        return True
    course = course_structures().get(course_key)
    found = [
        each
        for each in (course.subsections if course else ())
        if any(block.usage_key == usage_key for block in each.blocks)
    ]
    return all(each.shows_scores(timezone.now()) for each in found)


def _check(user_id: int, course_key: CourseKey, usage_key: UsageKey) -> bool | None:
    """Return the decision of SHOW_RESULTS; None if it raises."""
    try:
        return bool(import_string(options().SHOW_RESULTS)(user_id, course_key, usage_key))
    except Exception as exc:  # the host's code
        kind = type(exc).__name__
        log.warning("SHOW_RESULTS failed (%s): results of %s are hidden", kind, usage_key)
        return None
