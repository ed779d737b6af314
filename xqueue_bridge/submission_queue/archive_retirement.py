"""Retirement of a learner's archived submissions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from django.db.models import QuerySet

from xqueue_bridge.data import RetirementMode
from xqueue_bridge.db.batches import by_key
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.archive_models import ArchivedSubmission


def archived_to_retire(user_id: int, mode: RetirementMode) -> Counter[str]:
    """Return how many archived submissions, files and replies a retirement would change."""
    counts: Counter[str] = Counter()
    for batch in by_key(_rows_of(user_id)):
        for row in batch:
            counts["files"] += len(row.files)
            if mode is RetirementMode.PURGE or _has_text(row):
                counts["submissions"] += 1
                counts["replies"] += len(row.replies)
    return counts


def retire_archived(user_id: int, mode: RetirementMode) -> Iterator[Counter[str]]:
    """Scrub or purge a learner's archived submissions; yield as ``retire_submissions`` does.

    Files are deleted first, so that a row that names them stays until they are deleted.
    """
    for batch in by_key(_rows_of(user_id)):
        done: Counter[str] = Counter()
        for row in batch:
            done += _retire(row, mode)
        yield done


def _retire(row: ArchivedSubmission, mode: RetirementMode) -> Counter[str]:
    left = files.delete_with_folder(row.stored_files(), row.files_folder)
    done = Counter({"files": len(row.files) - len(left), "files left": len(left)})
    if mode is RetirementMode.PURGE and not left:
        row.delete()
        return done + Counter(submissions=1, replies=len(row.replies))
    if _has_text(row):
        done += Counter(submissions=1, replies=len(row.replies))
    elif not row.files:
        return done
    row.header = row.body = ""
    # The storage name is enough to delete the file later; the learner's file name is removed.
    row.files = [["", file.storage_name, file.size] for file in left]
    row.replies = grader_replies.without_text(row.replies)
    row.save(update_fields=["header", "body", "files", "replies"])
    return done


def _has_text(row: ArchivedSubmission) -> bool:
    return bool(row.header or row.body or row.replies != grader_replies.without_text(row.replies))


def _rows_of(user_id: int) -> QuerySet[ArchivedSubmission]:
    return ArchivedSubmission.objects.filter(user_id=user_id)
