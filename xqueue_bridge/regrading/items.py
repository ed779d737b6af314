"""The transitions of a regrade's items.

    PLANNED ──release──> OPEN ──a reply──> UP, DOWN, SAME, KEPT
       │                  ├──no valid reply──> FAILED
       │                  ├──a newer answer of the learner──> SKIPPED
       └──cancel──────────┴──cancel──> CANCELLED

Each is one conditional UPDATE in the transaction that changes the learner's state, so a killed
process leaves both or neither.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from django.utils import timezone

from xqueue_bridge.data import Dispatch, Target
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.regrading.models import RegradeItem
from xqueue_bridge.submission_queue import api as submission_queue

Status = RegradeItem.Status

#: Why an item was skipped.
NEWER_ANSWER = "the learner has answered again"
GONE = "the submission is gone, or its learner was retired"
NO_ANSWER = "the learner's state does not have this answer"


def release(item: RegradeItem) -> bool:
    """Offer an item's submission to graders; False if it is skipped, or no longer planned.

    One transaction: six statements; nine if the learner's state is to wait for the reply.
    """
    return in_transaction(partial(_release, item))


def finish(item_id: int, status: str, reason: str = "", *, after: float | None = None) -> bool:
    """Set the final status of an open item; False if it is not open. One statement."""
    return bool(
        RegradeItem.objects.filter(pk=item_id, status=Status.OPEN).update(
            status=status,
            reason=reason[:255],
            points_after=after,
            kept_entry=None,
            changed_at=timezone.now(),
        )
    )


def end(item: RegradeItem, status: str, reason: str = "") -> bool:
    """Finish an open item without a new grade; the learner gets the previous feedback back.

    One transaction: two statements, and three more if the learner's state waited for the reply.
    """

    def work() -> bool:
        # The learner's row is locked before the item's, as when a reply is applied.
        if item.kept_entry is not None:
            grader_replies.end_waiting(
                _target(item), item.answer_id, item.queue_key, item.kept_entry
            )
        if item.submission_id is not None:
            submission_queue.supersede_regrade(item.submission_id)
        return finish(item.pk, status, reason, after=item.points_before)

    return in_transaction(work)


def open_keys(user_ids: Collection[int]) -> set[str]:
    """Return the queue keys of the open items of these learners; one statement."""
    rows = RegradeItem.objects.filter(user_id__in=user_ids, status=Status.OPEN)
    return set(rows.values_list("queue_key", flat=True))


def _release(item: RegradeItem) -> bool:
    rows = RegradeItem.objects.filter(pk=item.pk)
    if not rows.filter(status=Status.PLANNED).update(status=Status.OPEN, changed_at=timezone.now()):
        return False  # another process has released or cancelled it
    target = _target(item)
    if submission_queue.has_newer_answer(item.original_id, target, item.answer_id):
        finish(item.pk, Status.SKIPPED, NEWER_ANSWER)
        return False
    row = submission_queue.enqueue_regrade(item.original_id)
    if row is None:
        finish(item.pk, Status.SKIPPED, GONE)
        return False
    kept = None
    if not item.regrade.keep_feedback:
        kept = grader_replies.wait_again(target, item.answer_id, row.queue_key)
        if kept is None:
            submission_queue.supersede_regrade(row.pk)
            finish(item.pk, Status.SKIPPED, NO_ANSWER)
            return False
    rows.update(submission_id=row.pk, queue_key=row.queue_key, kept_entry=kept)
    return True


def _target(item: RegradeItem) -> Target:
    course_key = item.regrade.course_key
    return Target(item.user_id, course_key, item.usage_key, Dispatch.SCORE_UPDATE)
