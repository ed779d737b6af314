"""Parsing of a grader's text to a ``GraderReply`` that keeps the grade contract. Pure.

Graders are many and old. Fields with only one possible reading are accepted; other values are
refused with the field's name, so that no ambiguous value reaches a problem block. What was changed
in an accepted reply is in its warnings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from xqueue_bridge.data import GraderReply
from xqueue_bridge.exceptions import InvalidReply
from xqueue_bridge.grader_replies.feedback import NO_FEEDBACK, make_feedback
from xqueue_bridge.grader_replies.feedback_warnings import feedback_warnings
from xqueue_bridge.grader_replies.graded_tests import MEMBERS, parse_staff_note, parse_tests
from xqueue_bridge.protocol.codes import Code
from xqueue_bridge.protocol.fields import is_finite, json_object
from xqueue_bridge.protocol.reply_warnings import ReplyWarning

_WORDS = {"true": True, "false": False}
_CONTRACT = frozenset({"correct", "score", "msg", *MEMBERS})
#: Names of unknown members that a warning lists; others are only counted.
_MAX_NAMES = 10


def parse_reply(
    text: str,
    *,
    graded: bool = True,
    max_feedback_bytes: int | None = None,
    clean: Callable[[str], str] | None = None,
) -> GraderReply:
    """Parse the JSON ``text`` of a reply.

    Feedback of more than ``max_feedback_bytes`` in UTF-8 is shortened, because the grade counts;
    for the same reason ``tests`` and ``staff_note`` are ignored if they are malformed. ``clean``
    replaces the sanitising of feedback.

    ``graded=False`` is for the dispatch ``ungraded_response``, which uses only ``msg``; ``correct``
    and ``score`` may be missing. Raise ``InvalidReply`` with the field's name.
    """
    members = json_object(text, "xqueue_body", error=InvalidReply)
    given = members if graded else {"correct": False, "score": 0, **members}
    raw = given.get("msg")
    if isinstance(raw, list | dict):
        raise InvalidReply("msg", "must be text", Code.MSG_INVALID)
    raw = "" if raw is None else str(raw)
    try:
        correct, score = _correct(given["correct"]), _score(given["score"])
    except KeyError as missing:
        raise InvalidReply(missing.args[0], "is missing", Code.FIELD_MISSING) from None
    msg = _shortened(raw, max_feedback_bytes)
    feedback = (clean or make_feedback)(msg)
    warnings = _grade_warnings(given, correct, score)
    if feedback != msg:
        warnings += feedback_warnings(msg, feedback)
    if len(msg) < len(raw):
        sizes = {"characters": len(raw), "kept": len(msg)}
        warnings.append(ReplyWarning(Code.FEEDBACK_SHORTENED, "msg", sizes))
    tests, note = given.get("tests"), given.get("staff_note")
    return GraderReply(
        correct=correct,
        score=score,
        msg=feedback if feedback.strip() else NO_FEEDBACK,
        tests=() if tests is None else parse_tests(tests, warnings),
        staff_note="" if note is None else parse_staff_note(note, warnings),
        warnings=tuple(warnings),
    )


def write_reply(reply: GraderReply, *, score: float) -> str:
    """Return ``reply`` as the JSON that capa reads, with ``score`` as its points."""
    return json.dumps({"correct": reply.correct, "score": score, "msg": reply.msg})


def _correct(value: object) -> bool:
    """XQueue's failure reply has null here; some graders write "True" and "False"."""
    if value is None:
        return False
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    if value in (0, 1):  # a bool or a number
        return bool(value)
    raise InvalidReply("correct", "must be true or false", Code.CORRECT_INVALID)


def _score(value: object) -> float:
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, int | float):
        raise InvalidReply("score", "must be a number", Code.SCORE_NOT_A_NUMBER)
    if not is_finite(value):
        raise InvalidReply("score", "must be a finite number", Code.SCORE_NOT_FINITE)
    return value


def _grade_warnings(
    members: Mapping[str, object], correct: bool, score: float
) -> list[ReplyWarning]:
    warnings = []
    if not isinstance(members["correct"], bool):
        warnings.append(ReplyWarning(Code.CORRECT_CONVERTED, "correct", {"read_as": correct}))
    if isinstance(members["score"], bool):
        warnings.append(ReplyWarning(Code.SCORE_CONVERTED, "score", {"read_as": score}))
    if isinstance(members.get("msg"), bool | int | float):
        warnings.append(ReplyWarning(Code.MSG_CONVERTED, "msg"))
    if score < 0:
        warnings.append(ReplyWarning(Code.SCORE_BELOW_ZERO, "score", {"score": score}))
    if correct and score <= 0:
        warnings.append(ReplyWarning(Code.CORRECT_WITHOUT_POINTS, "correct"))
    unknown = members.keys() - _CONTRACT
    if unknown:
        # A name that is no identifier can be anything, also an answer.
        names = sorted(name for name in unknown if name.isidentifier() and len(name) <= 40)
        data = {"count": len(unknown), "names": names[:_MAX_NAMES]}
        warnings.append(ReplyWarning(Code.MEMBER_UNKNOWN, "xqueue_body", data))
    return warnings


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
