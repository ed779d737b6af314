"""Cleanup of submission content and files that no submission refers to.

A process that is killed while it sends leaves them, and so does a host's transaction that rolls
back after the files were stored.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone

from xqueue_bridge.conf import options
from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.archive_models import ArchivedSubmission
from xqueue_bridge.submission_queue.models import SubmissionContent

#: Rows scanned by one call. The table holds the content of every submission ever sent.
PURGE_WINDOW = 1_000
#: Age in days of the folders that are compared with the table. A host's transaction is shorter.
STRAY_DAYS = range(2, 32)
#: Folders of one day that one call compares; a larger day is compared in random parts.
FOLDER_LIMIT = 500
#: Seconds between two comparisons by one process.
STRAY_INTERVAL = 600
#: Seconds after which a call leaves the rest to a later one, because a storage may be slow.
MAX_SECONDS = 5.0

log = logging.getLogger(__name__)
#: When this process compared folders last, by the wall clock.
_compared_at = 0.0


def purge_unpublished(older_than: timedelta = timedelta(days=1)) -> int:
    """Delete unpublished content older than ``older_than``, with its files; return the number.

    Each call scans one random range of the table, because such rows are rare and not urgent.
    Every ten minutes, folders of files that no row names are deleted, too. Each of the two takes
    MAX_SECONDS at most, and one request of the storage.
    """
    global _compared_at
    purged = _purge_content(older_than)
    # A clock that was set back must not stop the comparisons.
    if abs(time.time() - _compared_at) >= STRAY_INTERVAL:
        _compared_at = time.time()
        purged += purge_stray_files()
    return purged


def purge_stray_files() -> int:
    """Delete folders of the days in ``STRAY_DAYS`` that no content names; return their number.

    Two statements for each day that has folders. The days are compared in random order, because a
    slow storage leaves days out.
    """
    purged = 0
    today, deadline = timezone.now().date(), time.monotonic() + MAX_SECONDS
    for age in random.sample(STRAY_DAYS, len(STRAY_DAYS)):
        try:
            folders = files.folders_of(today - timedelta(days=age))
        except Exception as exc:  # storages raise exceptions of many libraries
            alias = options().FILES_STORAGE_ALIAS
            log.warning("STORAGES[%r] cannot be listed: %s", alias, type(exc).__name__)
            break
        for folder in _stray(folders):
            purged += files.delete_folder(folder)
            if time.monotonic() > deadline:
                break
        if time.monotonic() > deadline:
            break
    return purged


def _stray(folders: Sequence[str]) -> set[str]:
    """Return the folders that no row names, of at most FOLDER_LIMIT, chosen at random."""
    chosen = set(random.sample(folders, min(len(folders), FOLDER_LIMIT)))
    for model in (SubmissionContent, ArchivedSubmission):
        rows = model._default_manager.filter(files_folder__in=chosen)
        chosen.difference_update(rows.values_list("files_folder", flat=True))
    return chosen


def _purge_content(older_than: timedelta) -> int:
    keys = SubmissionContent.objects.order_by("pk").values_list("pk", flat=True)
    first, last = keys.first(), keys.last()
    if first is None or last is None:
        return 0
    start = random.randrange(first, last + 1, PURGE_WINDOW)  # noqa: S311
    orphans = SubmissionContent.objects.filter(
        pk__range=(start, start + PURGE_WINDOW - 1),
        submission=None,
        created_at__lt=timezone.now() - older_than,
    )
    purged, deadline = 0, time.monotonic() + MAX_SECONDS
    for content in orphans[:100]:
        left = files.delete_with_folder(content.stored_files(), content.files_folder)
        if not left:  # else keep the row with the names
            content.delete()
            purged += 1
        if time.monotonic() > deadline:
            break
    return purged
