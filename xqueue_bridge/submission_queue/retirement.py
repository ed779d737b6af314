"""Retirement of a learner's submissions, their files and replies.

For each batch, the submissions first become RETIRED, so that no grader receives them. Their files
are deleted outside any transaction, because a storage is slow and cannot roll back. Then the
submissions and replies are scrubbed or purged in one transaction. Rerunning an interrupted
retirement completes it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial

from django.db.models import QuerySet, Value
from django.db.models.functions import Coalesce

from xqueue_bridge.data import RetirementMode
from xqueue_bridge.db.batches import id_batches
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.log_fields import LogFields, Step
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.archive_retirement import (
    archived_to_retire,
    retire_archived,
)
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status, sources_of

log = logging.getLogger(__name__)


def submissions_to_retire(user_id: int, mode: RetirementMode) -> Counter[str]:
    """Return how many submissions, files and replies a retirement would scrub or purge."""
    contents = SubmissionContent.objects.filter(submission__user_id=user_id)
    held = contents if mode is RetirementMode.PURGE else _with_text(contents)
    return archived_to_retire(user_id, mode) + Counter(
        submissions=held.count(),
        files=sum(len(stored) for stored in contents.values_list("files", flat=True).iterator()),
        replies=grader_replies.replies_to_retire(user_id, mode),
    )


def retire_submissions(user_id: int, mode: RetirementMode) -> Iterator[Counter[str]]:
    """Scrub or purge a learner's submissions, archived ones too, and the replies to them.

    Yield after each batch the numbers of submissions, files and replies that were changed, and
    of ``files left``, which the storage failed to delete. Their rows stay, scrubbed, until a later
    run succeeds.
    """
    retire = _purge if mode is RetirementMode.PURGE else _scrub
    for submission_ids in id_batches(Submission.objects.filter(user_id=user_id)):
        submissions = Submission.objects.filter(pk__in=submission_ids)
        submissions.filter(status__in=sources_of(Status.RETIRED)).update(
            status=Status.RETIRED,
            available_at=None,
            due_at=None,
            finished_at=Coalesce("finished_at", Value(database_now())),
        )
        usage_keys = set(submissions.values_list("usage_key", flat=True))
        removed = _remove_files(submission_ids)
        retired = in_transaction(partial(retire, submission_ids))
        grader_replies.retire_locks(user_id, usage_keys)
        for pk in submission_ids:
            extra = LogFields(step=Step.RETIRED, submission_id=pk, user_id=user_id)
            log.info("Submission %s was retired", pk, extra=extra)
        yield removed + retired
    yield from retire_archived(user_id, mode)


def _remove_files(submission_ids: Collection[int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    contents = SubmissionContent.objects.filter(submission__in=submission_ids)
    for content in contents.only("files", "files_folder"):
        stored = content.stored_files()
        if not stored:
            continue
        left = files.delete_with_folder(stored, content.files_folder)
        # The storage name is enough to delete the file later; the learner's file name is removed.
        content.files = [["", file.storage_name, file.size] for file in left]
        content.save(update_fields=["files"])
        counts.update({"files": len(stored) - len(left), "files left": len(left)})
    return counts


def _scrub(submission_ids: Collection[int]) -> Counter[str]:
    contents = SubmissionContent.objects.filter(submission__in=submission_ids)
    return Counter(
        replies=grader_replies.scrub_replies(submission_ids),
        submissions=_with_text(contents).update(header="", body=""),
    )


def _purge(submission_ids: Collection[int]) -> Counter[str]:
    held = SubmissionContent.objects.filter(submission__in=submission_ids)
    rows = list(held.values_list("submission__pk", "pk", "files"))
    kept = [submission_id for submission_id, _content_id, left in rows if left]
    gone = {submission_id: content_id for submission_id, content_id, left in rows if not left}
    emptied = _scrub(kept)
    replies = grader_replies.purge_replies(gone)
    Submission.objects.filter(pk__in=gone).delete()
    SubmissionContent.objects.filter(pk__in=gone.values()).delete()
    return emptied + Counter(submissions=len(gone), replies=replies)


def _with_text(contents: QuerySet[SubmissionContent]) -> QuerySet[SubmissionContent]:
    return contents.exclude(header="", body="")
