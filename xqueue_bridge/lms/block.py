"""Attributes of a problem block that the bridge reads.

The functions tolerate a block without these attributes, because the `xqueue` service is created
for every problem on every page view, and most problems have no external grader.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from opaque_keys.edx.keys import LearningContextKey, UsageKey


class ProblemBlock(Protocol):
    """The part of an XBlock that the bridge uses."""

    scope_ids: Any

    def handle_ajax(self, dispatch: str, data: Mapping[str, str]) -> str: ...

    def save(self) -> None: ...


def usage_key(block: ProblemBlock) -> UsageKey:
    """Return the block's usage key."""
    return block.scope_ids.usage_id


def course_key(block: ProblemBlock) -> LearningContextKey:
    """Return the key of the course or library that contains the block."""
    return usage_key(block).context_key


def answer_points(block: ProblemBlock) -> dict[str, float]:
    """Return the points of each answer of a capa problem, by answer id; {} if unknown."""
    problem = getattr(block, "lcp", None)
    points: dict[str, float] = {}
    for responder in getattr(problem, "responders", {}).values():
        points.update(getattr(responder, "maxpoints", {}))
    return points


def waiting_answer(block: ProblemBlock, queue_key: str) -> str | None:
    """Return the id of the capa answer that waits for ``queue_key``, or None."""
    correct_map = getattr(getattr(block, "lcp", None), "correct_map", None)
    if correct_map is None:
        return None
    for answer_id in correct_map:
        if correct_map.is_right_queuekey(answer_id, queue_key):
            return answer_id
    return None
