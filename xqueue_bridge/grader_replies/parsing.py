"""Parsing of a grader's text to a ``GraderReply`` that keeps the grade contract. Pure.

Graders are many and old. Fields with only one possible reading are accepted; other values are
refused with the field's name, so that no ambiguous value reaches a problem block.
"""

from __future__ import annotations

import json
from math import isfinite

from xqueue_bridge.data import GraderReply
from xqueue_bridge.exceptions import InvalidReply
from xqueue_bridge.grader_replies.feedback import NO_FEEDBACK, make_feedback
from xqueue_bridge.protocol.fields import json_object

_WORDS = {"true": True, "false": False}


def parse_reply(
    text: str, *, graded: bool = True, max_feedback_bytes: int | None = None
) -> GraderReply:
    """Parse the JSON ``text`` of a reply.

    Feedback of more than ``max_feedback_bytes`` in UTF-8 is shortened, because the grade counts.

    ``graded=False`` is for the dispatch ``ungraded_response``, which uses only ``msg``; ``correct``
    and ``score`` may be missing. Raise ``InvalidReply`` with the field's name.
    """
    members = json_object(text, "xqueue_body", error=InvalidReply)
    if not graded:
        members = {"correct": False, "score": 0, **members}
    raw = _msg(members.get("msg"))
    msg = _shortened(raw, max_feedback_bytes)
    feedback = make_feedback(msg)
    return GraderReply(
        correct=_correct(_required(members, "correct")),
        score=_score(_required(members, "score")),
        msg=feedback if feedback.strip() else NO_FEEDBACK,
        is_shortened=len(msg) < len(raw),
    )


def write_reply(reply: GraderReply, *, score: float) -> str:
    """Return ``reply`` as the JSON that capa reads, with ``score`` as its points."""
    return json.dumps({"correct": reply.correct, "score": score, "msg": reply.msg})


def _required(members: dict[str, object], name: str) -> object:
    if name not in members:
        raise InvalidReply(name, "is missing")
    return members[name]


def _correct(value: object) -> bool:
    """XQueue's failure reply has null here; some graders write "True" and "False"."""
    if value is None:
        return False
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise InvalidReply("correct", "must be true or false")


def _score(value: object) -> float:
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int | float):
        raise InvalidReply("score", "must be a number")
    try:
        finite = isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise InvalidReply("score", "must be a finite number")
    return value


def _msg(value: object) -> str:
    if isinstance(value, list | dict):
        raise InvalidReply("msg", "must be text")
    return "" if value is None else str(value)


def _shortened(text: str, max_bytes: int | None) -> str:
    """Return the beginning of ``text`` that fits, without a part of a tag at its end."""
    if max_bytes is None or len(text) <= max_bytes // 4:
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= max_bytes:
        return text
    beginning = encoded[:max_bytes].decode("utf-8", "ignore")
    bracket = beginning.rfind("<", -1000)
    is_open = bracket > 0 and ">" not in beginning[bracket:]
    return beginning[:bracket] if is_open else beginning
