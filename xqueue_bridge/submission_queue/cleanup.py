"""Cleanup of submission content and files that a killed process left unpublished."""

from __future__ import annotations

import random
from datetime import timedelta

from django.utils import timezone

from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.models import SubmissionContent

#: Rows scanned by one call. The table holds the content of every submission ever sent.
PURGE_WINDOW = 1_000


def purge_unpublished(older_than: timedelta = timedelta(days=1)) -> int:
    """Delete unpublished content older than ``older_than``, with its files; return the number.

    Each call scans one random range of the table, because such rows are rare and not urgent.
    """
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
    purged = 0
    for content in orphans[:100]:
        if not files.delete_files(content.stored_files()):  # else keep the row with the names
            content.delete()
            purged += 1
    return purged
