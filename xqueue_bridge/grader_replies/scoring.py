"""Conversion of a reply's score to points, shared by all reply backends. Pure."""

from __future__ import annotations

from xqueue_bridge.data import GraderReply


def points_of(reply: GraderReply, maximum: float | None, *, is_fraction: bool) -> float:
    """Return the points of ``reply``, clamped to 0..``maximum`` (None: not known).

    With points above the maximum, capa could not load the learner's state. Integers stay integers.
    """
    score = reply.score
    if maximum is None:
        return max(score, 0)
    if is_fraction:
        score *= maximum
    return min(score, maximum) if score > 0 else 0
