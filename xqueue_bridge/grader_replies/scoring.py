"""How many points a score is; pure arithmetic, shared by all recorders."""

from __future__ import annotations

from xqueue_bridge.data import GraderReply


def points_of(reply: GraderReply, maximum: float | None, *, is_fraction: bool) -> float:
    """Return the points that ``reply`` gives, between 0 and ``maximum`` (None: not known).

    Above the maximum capa could no longer load the learner's state. An integer stays one.
    """
    score = reply.score
    if maximum is None:
        return max(score, 0)
    if is_fraction:
        score *= maximum
    return min(score, maximum) if score > 0 else 0
