"""What the archive of submissions needs of their replies."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.db.models import Exists, IntegerField, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Length

from xqueue_bridge.grader_replies.models import ReceivedReply

#: Columns without text of a grader about a learner.
_WITHOUT_TEXT = frozenset(
    {"id", "source", "status", "attempts", "next_attempt_at", "last_error", "digest"}
    | {"received_at", "applied_at", "correct", "score_given", "score_applied", "codes", "answer_id"}
)


def has_open_reply() -> Exists:
    """Return the condition that a submission has a reply that is pending or dead."""
    is_open = Q(next_attempt_at__isnull=False) | Q(
        status__in=(ReceivedReply.Status.PENDING, ReceivedReply.Status.DEAD)
    )
    return Exists(ReceivedReply.objects.filter(is_open, submission_id=OuterRef("pk")))


def count_replies(submissions: QuerySet[Any]) -> int:
    """Return the number of replies to these submissions."""
    return ReceivedReply.objects.filter(submission__in=submissions).count()


def characters() -> Coalesce:
    """Return the expression of the number of characters in the replies to a submission."""
    replies = ReceivedReply.objects.filter(submission_id=OuterRef("pk")).order_by()
    total = Sum(Length("body") + Length("message"))
    sums = replies.values("submission_id").annotate(total=total).values("total")
    return Coalesce(Subquery(sums), 0, output_field=IntegerField())


def archivable(submission_ids: Collection[int]) -> dict[int, list[object]]:
    """Return the columns of the replies to each of these submissions, oldest first."""
    found: dict[int, list[object]] = {}
    replies = ReceivedReply.objects.filter(submission_id__in=submission_ids)
    for values in replies.order_by("pk").values():
        found.setdefault(values.pop("submission_id"), []).append(values)
    return found


def without_text(replies: Collection[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return archived replies without their texts; scores and times stay."""
    return [
        {name: value for name, value in reply.items() if name in _WITHOUT_TEXT} for reply in replies
    ]
