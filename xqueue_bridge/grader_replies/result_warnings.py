"""Warnings that only the application of a reply shows, because it knows the answer's points."""

from __future__ import annotations

from xqueue_bridge.conf import queue_options
from xqueue_bridge.data import ApplyResult
from xqueue_bridge.grader_replies.code_counts import count_after_commit
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.protocol.codes import Code
from xqueue_bridge.protocol.reply_warnings import ReplyWarning


def store_result_warnings(reply: ReceivedReply, result: ApplyResult) -> None:
    """Store the warnings of an applied reply, in the caller's transaction; one statement if any."""
    known = {each["code"] for each in reply.codes}
    new = [each for each in _warnings(reply, result) if each.code not in known]
    if not new:
        return
    reply.codes = [*reply.codes, *(each.as_json() for each in new)]
    ReceivedReply.objects.filter(pk=reply.pk).update(codes=reply.codes)
    count_after_commit(reply.submission.grader_id, [each.code for each in new])


def _warnings(reply: ReceivedReply, result: ApplyResult) -> list[ReplyWarning]:
    points, most, score = result.points, result.max_points, reply.score_given
    if points is None or most is None or score is None:
        return []
    found = []
    is_fraction = queue_options(reply.submission.queue_name).SCORE_SCALE == "fraction"
    highest = 1 if is_fraction else most
    if score > highest:
        data = {"score": score, "maximum": highest}
        found.append(ReplyWarning(Code.SCORE_ABOVE_MAXIMUM, "score", data))
    if not reply.correct and 0 < most <= points:
        found.append(ReplyWarning(Code.INCORRECT_WITH_ALL_POINTS, "correct"))
    return found
