"""Retirement of the replies to a learner's submissions."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import QuerySet

from xqueue_bridge.data import RetirementMode
from xqueue_bridge.grader_replies.inbox import store_reply
from xqueue_bridge.grader_replies.models import ReceivedReply

Status = ReceivedReply.Status

#: ``last_error`` of a reply to a retired or deleted learner.
GONE = "the learner is retired or deleted"


def replies_to_retire(user_id: int, mode: RetirementMode) -> int:
    """Return how many replies a retirement would scrub or purge."""
    replies = ReceivedReply.objects.filter(submission__user_id=user_id)
    return (replies if mode is RetirementMode.PURGE else _with_text(replies)).count()


def scrub_replies(submission_ids: Collection[int]) -> int:
    """Scrub the replies to these submissions; return their number. Scores and times stay.

    Pending replies become DEAD. Makes two statements in the caller's transaction.
    """
    replies = ReceivedReply.objects.filter(submission_id__in=submission_ids)
    replies.filter(status=Status.PENDING).update(status=Status.DEAD, last_error=GONE)
    return _with_text(replies).update(
        body="", message="", tests=[], staff_note="", next_attempt_at=None
    )


def purge_replies(submission_ids: Collection[int]) -> int:
    """Delete the replies to these submissions, in the caller's transaction; return how many."""
    return ReceivedReply.objects.filter(submission_id__in=submission_ids).delete()[0]


def discard_late_reply(submission_id: int, source: str) -> None:
    """Store once, without text, that a reply arrived after its learner's retirement."""
    earlier = ReceivedReply.objects.filter(
        submission_id=submission_id, source=source, status=Status.REJECTED, last_error=GONE
    )
    if not earlier.exists():
        store_reply(submission_id, source, "", reply=None, error=GONE)


def _with_text(replies: QuerySet[ReceivedReply]) -> QuerySet[ReceivedReply]:
    return replies.exclude(body="", message="", next_attempt_at=None)
