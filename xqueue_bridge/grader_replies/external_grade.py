"""What the event EXTERNAL_GRADER_SCORE_SUBMITTED says about an applied reply."""

from __future__ import annotations

from xqueue_bridge.data import ExternalGrade, GraderReply, ReplyToApply
from xqueue_bridge.db.clock import DatabaseNow
from xqueue_bridge.grader_replies.backends.base import with_mark
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.grader_replies.parsing import write_reply
from xqueue_bridge.grader_replies.queries import reply_to_apply
from xqueue_bridge.protocol.fields import read_json


def external_grade(reply_id: int, max_points: float | None = None) -> ExternalGrade | None:
    """Return the grade that a reply gave; None if no grader gave it. One statement.

    If the backend could not know the points (``callback``), they are the grader's own, and the
    possible points at least those. Raise ReceivedReply.DoesNotExist.
    """
    rows = ReceivedReply.objects.select_related("submission__content").defer("body")
    reply = rows.annotate(read_at=DatabaseNow()).get(pk=reply_id)
    if reply.source in ReceivedReply.FAILURES:
        return None
    applied = reply_to_apply(reply)
    earned = applied.reply.score if reply.score_applied is None else reply.score_applied
    earned = max(earned, 0)
    possible = max_points if max_points is not None else _possible(applied, earned)
    return ExternalGrade(
        submission_id=reply.submission_id,
        anonymous_user_id=_anonymous_id(reply.submission.content.body, applied.target.user_id),
        course_key=applied.target.course_key,
        usage_key=applied.target.usage_key,
        queue_key=applied.queue_key,
        queue_name=reply.submission.queue_name,
        earned=earned,
        possible=possible,
        score_msg=_text(applied.reply, earned, possible),
    )


def _possible(applied: ReplyToApply, earned: float) -> float:
    return max([earned, *applied.points.values()]) if applied.points else max(earned, 1)


def _text(reply: GraderReply, earned: float, possible: float) -> str:
    points = int(earned) if float(earned).is_integer() else earned
    return write_reply(with_mark(reply, points, possible), score=points)


def _anonymous_id(body: str, user_id: int) -> str:
    """Return the learner's id in a submission's body, which graders get; else the user id."""
    try:
        found = read_json(read_json(body)["student_info"])["anonymous_student_id"]
    except (ValueError, TypeError, KeyError):
        found = None
    return found if isinstance(found, str) and found else str(user_id)
