"""Submissions that learners' states wait for: look-up by queue key, and what a repair changes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from django.db.models import BooleanField, Case, Q, Value, When

from xqueue_bridge.data import Target, XHeader
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.lms.callback_url import build_path
from xqueue_bridge.protocol.headers import make_xheader
from xqueue_bridge.submission_queue.finish import offer_again
from xqueue_bridge.submission_queue.legacy import create_legacy_submission
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

#: Statuses from which a submission without a valid reply can be offered again.
UNANSWERED = (Status.SUPERSEDED, Status.ANSWERED, Status.UNMATCHED)


@dataclass(frozen=True, slots=True)
class WaitedFor:
    """What is stored about the submission whose reply a state waits for."""

    submission_id: int
    status: Status
    has_body: bool
    has_reply: bool
    has_pending_reply: bool


def find_waited_for(waiting: Collection[tuple[Target, str]]) -> dict[tuple[Target, str], WaitedFor]:
    """Return the newest submission of each learner's block and queue key; two statements."""
    rows = Submission.objects.filter(
        user_id__in={target.user_id for target, _key in waiting},
        usage_key__in={target.usage_key for target, _key in waiting},
        queue_key__in={key for _target, key in waiting},
    ).annotate(
        has_body=Case(
            When(~Q(content__body=""), then=True), default=Value(False), output_field=BooleanField()
        )
    )
    newest: dict[tuple[Target, str], Submission] = {}
    for row in rows.order_by("pk"):
        newest[row.target, row.queue_key] = row
    wanted = {key: row for key, row in newest.items() if key in set(waiting)}
    stored, pending = grader_replies.valid_replies_to([row.pk for row in wanted.values()])
    return {
        key: WaitedFor(
            row.pk,
            Status(row.status),
            bool(row.has_body),  # type: ignore[attr-defined]
            has_reply=row.pk in stored,
            has_pending_reply=row.pk in pending,
        )
        for key, row in wanted.items()
    }


def offer_unanswered(submission_id: int) -> bool:
    """Offer a stored submission that ended without a valid reply to graders; False if it has one.

    Four statements.
    """

    def work() -> bool:
        rows = Submission.objects.select_for_update().filter(pk=submission_id)
        if not rows.filter(status__in=UNANSWERED).exists():
            return False
        if grader_replies.has_valid_reply(submission_id):
            return False
        return bool(offer_again([submission_id], UNANSWERED))

    return in_transaction(work)


def end_unanswered(submission_id: int) -> int:
    """Store a failure reply to a finished submission; return the id of the reply."""
    return in_transaction(partial(grader_replies.store_failure_reply, submission_id))


def end_lost(target: Target, queue_key: str) -> None:
    """Store a row for a submission that is not stored, with a failure reply to it.

    Nothing is stored if a row has the queue key by now. Call it in a transaction.
    """
    if find_waited_for([(target, queue_key)]):
        return
    url = build_path(target.course_key, target.user_id, target.usage_key, target.dispatch)
    header = XHeader(url, queue_key, "", make_xheader(url, queue_key, ""))
    row = create_legacy_submission(target, header, Status.ANSWERED)
    grader_replies.store_failure_reply(row.pk)
