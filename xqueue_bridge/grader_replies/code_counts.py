"""Counts of the codes of each grader's replies, for staff and operators.

Only replies with codes are counted, after the response has been sent, so that an ordinary reply
costs no statement. A process that is killed in between loses that count.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from django.db.models import F
from django.utils import timezone

from xqueue_bridge.db.transactions import after_commit
from xqueue_bridge.grader_replies.models import ReplyCodeCount
from xqueue_bridge.worker.enqueue import run_after_response


def count_after_commit(grader_id: int | None, codes: Collection[str]) -> None:
    """Count one reply's codes after the caller's transaction and the response."""
    if grader_id is not None and codes:
        count = partial(count_codes, grader_id, sorted(set(codes)))
        after_commit(partial(run_after_response, count))


def count_codes(grader_id: int, codes: Collection[str]) -> None:
    """Add 1 to each code's count; one statement, four if the grader has a code the first time."""
    if _add_one(grader_id, codes) < len(codes):
        rows = ReplyCodeCount.objects.filter(grader_id=grader_id, code__in=codes)
        missing = set(codes) - set(rows.values_list("code", flat=True))
        ReplyCodeCount.objects.bulk_create(
            [ReplyCodeCount(grader_id=grader_id, code=code) for code in sorted(missing)],
            ignore_conflicts=True,
        )
        _add_one(grader_id, missing)


def _add_one(grader_id: int, codes: Collection[str]) -> int:
    rows = ReplyCodeCount.objects.filter(grader_id=grader_id, code__in=codes)
    return rows.update(count=F("count") + 1, last_at=timezone.now())
