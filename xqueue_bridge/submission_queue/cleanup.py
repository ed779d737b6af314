"""What a killed process left: content, and files, of submissions that no grader will ever see."""

from __future__ import annotations

import random
from datetime import timedelta

from django.utils import timezone

from xqueue_bridge.submission_queue import files
from xqueue_bridge.submission_queue.models import SubmissionContent

#: Rows that one look takes in. The whole table has all that was ever sent.
PURGE_WINDOW = 1_000


def purge_unpublished(older_than: timedelta = timedelta(days=1)) -> int:
    """Delete content, and its files, that a killed process never published; return how many.

    Each look takes in another part of the table, at random: there is hardly any, and it can wait.
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
        if not files.delete_files(content.stored_files()):  # else the row still names them
            content.delete()
            purged += 1
    return purged
