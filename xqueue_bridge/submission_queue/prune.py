"""Removal of old finished submissions: into the archive table, or altogether.

A chunk leaves the tables in one transaction. Files are deleted afterwards, because a storage is
slow and cannot roll back; until then a row of the archive names them, so that the next run deletes
what a killed one has left.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import cast

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet, Value
from django.db.models.functions import Length
from opaque_keys.edx.keys import LearningContextKey

from xqueue_bridge.db.batches import by_key
from xqueue_bridge.db.transactions import in_transaction
from xqueue_bridge.grader_replies import api as grader_replies
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.archive_models import ArchivedSubmission
from xqueue_bridge.submission_queue.models import Submission, SubmissionContent
from xqueue_bridge.submission_queue.states import Status

#: Submissions in one transaction; it locks their rows until its end, on SQLite the database.
CHUNK, SQLITE_CHUNK = 200, 25
#: Share of the time in which chunks are removed; in the rest of it only other transactions run.
SHARE = 0.25
#: Seconds between two chunks, at most, and at least: SQLite's writers wait 0.1 seconds for a lock.
LONGEST_PAUSE, SHORTEST_PAUSE = 2.0, 0.12
#: Characters of texts that one transaction archives; a longer submission is archived alone.
CHUNK_CHARACTERS = 1_000_000

#: ``cleanup.purge_unmatched`` deletes unmatched submissions.
FINISHED = (Status.ANSWERED, Status.FAILED, Status.SUPERSEDED, Status.RETIRED)
OPEN = (Status.WAITING, Status.LEASED)


@dataclass(frozen=True)
class Selection:
    """Which submissions are removed: those that finished before a time, of one course or of all."""

    before: datetime
    course_key: LearningContextKey | None = None

    def prunable(self, statuses: Collection[Status] = FINISHED) -> QuerySet[Submission]:
        """Return the submissions; those with a pending or dead reply or an open regrade stay."""
        rows = Submission.objects.filter(status__in=statuses, finished_at__lt=self.before)
        if self.course_key is not None:
            rows = rows.filter(course_key=self.course_key)
        return rows.exclude(grader_replies.has_open_reply()).exclude(_has_open_regrade())

    def archived(self) -> QuerySet[ArchivedSubmission]:
        """Return the rows of the archive."""
        rows = ArchivedSubmission.objects.filter(finished_at__lt=self.before, is_deleted=False)
        return rows if self.course_key is None else rows.filter(course_key=self.course_key)


def _chunk() -> int:
    return CHUNK if connection.features.has_select_for_update else min(CHUNK, SQLITE_CHUNK)


def _paced(chunks: Iterator[Counter[str]]) -> Iterator[Counter[str]]:
    """Pause before each further chunk, so that graders' requests wait for one chunk at most."""
    began = time.monotonic()
    for done in chunks:
        pause = (time.monotonic() - began) * (1 / SHARE - 1)
        yield done
        time.sleep(min(max(pause, SHORTEST_PAUSE), LONGEST_PAUSE))
        began = time.monotonic()


def _has_open_regrade() -> Exists:
    """Match submissions whose files a grader is still to fetch for a regrade."""
    # The learner and the block are compared because they have an index.
    same = {name: OuterRef(name) for name in ("user_id", "usage_key")}
    regrades = Submission.objects.filter(regrade_of=OuterRef("pk"), **same)
    return Exists(regrades.filter(status__in=OPEN))


def submissions_to_prune(selection: Selection) -> Counter[str]:
    """Return how many submissions, replies and files ``prune_submissions`` would remove."""
    rows = selection.prunable()
    stored = rows.exclude(content__files_folder="").values_list("content__files", flat=True)
    return Counter(
        submissions=rows.count(),
        replies=grader_replies.count_replies(rows),
        files=sum(len(each) for each in stored.iterator()),
    )


def prune_submissions(
    selection: Selection, *, archive: bool, limit: int | None = None
) -> Iterator[Counter[str]]:
    """Remove finished submissions with replies and contents; keep them in the archive if wanted.

    Archived submissions keep their files. Yield after each chunk the numbers of submissions,
    replies and files, and of ``files left``, which the storage failed to delete; a later run tries
    again. It may be stopped at any time and repeated. ``limit`` is the maximum of submissions.
    """
    return _paced(_prune(selection, archive, limit))


def _prune(selection: Selection, archive: bool, limit: int | None) -> Iterator[Counter[str]]:
    yield from _delete_marked_files(ArchivedSubmission.objects.all())
    left = limit
    for status in FINISHED:
        for ids in _chunks(selection, status, archive):
            some = ids if left is None else ids[:left]
            if not some:
                return
            done = in_transaction(partial(_remove, selection, some, archive))
            if left is not None:
                left -= done["submissions"]
            for deleted in _delete_marked_files(ArchivedSubmission.objects.filter(pk__in=some)):
                done += deleted
            yield done


def archived_to_prune(selection: Selection) -> Counter[str]:
    """Return how many rows of the archive and files ``prune_archive`` would delete."""
    rows = selection.archived()
    stored = rows.exclude(files_folder="").values_list("files", flat=True)
    return Counter(submissions=rows.count(), files=sum(len(each) for each in stored.iterator()))


def prune_archive(selection: Selection, limit: int | None = None) -> Iterator[Counter[str]]:
    """Delete rows of the archive with their files; yield as ``prune_submissions`` does."""
    return _paced(_prune_archive(selection, limit))


def _prune_archive(selection: Selection, limit: int | None) -> Iterator[Counter[str]]:
    yield from _delete_marked_files(ArchivedSubmission.objects.all())
    left = limit
    while left is None or left > 0:
        chosen = selection.archived().order_by("finished_at").values_list("pk", flat=True)
        ids = list(chosen[: _chunk() if left is None else min(_chunk(), left)])
        if not ids:
            return
        done = _delete_archived(ids)
        if left is not None:
            left -= len(ids)
        yield done


def _delete_archived(ids: Sequence[int]) -> Counter[str]:
    rows = ArchivedSubmission.objects.filter(pk__in=ids)
    in_transaction(partial(rows.update, header="", body="", replies=[], is_deleted=True))
    done = Counter(submissions=len(ids))
    for deleted in _delete_marked_files(rows):
        done += deleted
    return done


def _chunks(selection: Selection, status: Status, archive: bool) -> Iterator[list[int]]:
    """Yield the ids of prunable submissions, longest finished first; one statement each.

    The caller removes them before it requests more. The generator ends when it does not.
    """
    since: datetime | None = None
    former: list[int] = []
    while True:
        rows = selection.prunable([status]).order_by("finished_at")
        if since is not None:  # what was removed before is not read again
            rows = rows.filter(finished_at__gte=since)
        size = (
            Length("content__body") + Length("content__header") + grader_replies.characters()
            if archive
            else Value(0)
        )
        page = list(rows.values_list("pk", "finished_at", size)[: _chunk()])
        ids = [pk for pk, _finished_at, _size in page]
        if not ids or ids == former:
            return
        since, former = page[0][1], ids
        yield from _by_characters([(pk, characters) for pk, _at, characters in page])


def _by_characters(page: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    some: list[int] = []
    total = 0
    for pk, characters in page:
        if some and total + characters > CHUNK_CHARACTERS:
            yield some
            some, total = [], 0
        some.append(pk)
        total += characters
    yield some


def _remove(selection: Selection, ids: Sequence[int], archive: bool) -> Counter[str]:
    """Move those of the submissions that are still prunable, in the caller's transaction."""
    locked = selection.prunable().filter(pk__in=ids).order_by("pk").select_for_update()
    rows = locked.select_related("content")
    if not archive:
        rows = rows.defer("content__header", "content__body")
    found = list(rows)
    replies = grader_replies.archivable([row.pk for row in found]) if archive else {}
    ArchivedSubmission.objects.bulk_create(
        _archived(row, replies.get(row.pk, []), archive)
        for row in found
        if archive or (row.content.files and row.regrade_of is None)
    )
    pks = [row.pk for row in found]
    removed = grader_replies.delete_replies(pks)
    Submission.objects.filter(pk__in=pks).delete()
    # Without reading the texts again, as ``delete`` would; the database checks the foreign keys.
    contents = SubmissionContent.objects.filter(pk__in=[row.content_id for row in found])
    contents._raw_delete(contents.db)
    return Counter(submissions=len(found), replies=removed)


def _archived(row: Submission, replies: list[object], archive: bool) -> ArchivedSubmission:
    content, finished_at = row.content, cast(datetime, row.finished_at)  # it was selected by it
    return ArchivedSubmission(
        submission_id=row.pk,
        user_id=row.user_id,
        course_key=row.course_key,
        usage_key=row.usage_key,
        queue_name=row.queue_name,
        status=row.status,
        created_at=row.created_at,
        finished_at=finished_at,
        header=content.header if archive else "",
        body=content.body if archive else "",
        points=content.points,
        # A regrade lists the files of its original.
        files=content.files if row.regrade_of is None else [],
        files_folder=content.files_folder,
        replies=replies,
        is_deleted=not archive,
    )


def _delete_marked_files(rows: QuerySet[ArchivedSubmission]) -> Iterator[Counter[str]]:
    """Delete files that only the archive names, then their rows; two statements for each batch."""
    marked = rows.filter(is_deleted=True).only("files", "files_folder")
    for batch in by_key(marked, size=_chunk()):
        done: Counter[str] = Counter()
        gone = []
        for row in batch:
            left = files.delete_with_folder(row.stored_files(), row.files_folder)
            done.update({"files": len(row.files) - len(left), "files left": len(left)})
            if not left:
                gone.append(row.pk)
        ArchivedSubmission.objects.filter(pk__in=gone).delete()
        yield done
