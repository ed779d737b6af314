"""The sweeper's part of regrades: offer submissions at the chosen pace, and end what no reply ends.

Nothing is started from a queue of its own: the items are rows, and so are the submissions that
graders pull. A killed sweeper leaves each item either planned or open.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import Count, Exists, OuterRef

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.regrading import items
from xqueue_bridge.regrading.models import UNFINISHED, Regrade, RegradeItem
from xqueue_bridge.submission_queue import api as submission_queue

Status = RegradeItem.Status
log = logging.getLogger(__name__)

#: Unfinished regrades that one sweep works on, oldest first.
REGRADES = 20
#: Open items that one sweep looks at.
OPEN_ITEMS = 500
#: The pace that is not used while no sweeper runs is lost, except for this time.
MAX_CATCH_UP = timedelta(seconds=10)


def release_due() -> int:
    """Offer submissions of running regrades to graders; return how many.

    Per queue at most ``MAX_OPEN`` are open, so that graders' pulls find answers first.
    """
    running = Regrade.objects.filter(finished_at=None, status=Regrade.Status.RUNNING)
    open_by_queue: dict[str, int] | None = None
    released = 0
    for regrade in running.order_by("pk")[:REGRADES]:
        if open_by_queue is None:
            open_by_queue = _open_by_queue()
        released += _release(regrade, open_by_queue)
    return released


def end_finished() -> int:
    """Finish items that no reply will finish, and regrades without work; return how many items.

    Items of cancelled regrades are cancelled; learners keep or get back the grades they had.
    """
    ended = 0
    open_items = RegradeItem.objects.filter(status=Status.OPEN).select_related("regrade")
    rows = list(open_items.order_by("pk")[:OPEN_ITEMS])
    waiting = [row.submission_id for row in rows if row.submission_id is not None]
    without_reply = submission_queue.ended_without_reply(waiting) if waiting else {}
    for item in rows:
        if item.regrade.status == Regrade.Status.CANCELLED:
            ended += items.end(item, Status.CANCELLED)
        elif item.submission_id in without_reply:
            status = without_reply[item.submission_id]
            is_failure = status in ("answered", "failed")
            reason = "its reply could not be applied" if is_failure else items.NEWER_ANSWER
            ended += items.end(item, Status.FAILED if is_failure else Status.SKIPPED, reason)
    _finish_regrades()
    return ended


def _release(regrade: Regrade, open_by_queue: dict[str, int]) -> int:
    count = _take_pace(regrade)
    released = 0
    full = {name for name, n in open_by_queue.items() if n >= submission_queue.MAX_OPEN}
    planned = regrade.items.filter(status=Status.PLANNED).exclude(queue_name__in=full)
    for item in planned.select_related("regrade").order_by("pk")[:count]:
        if open_by_queue.get(item.queue_name, 0) >= submission_queue.MAX_OPEN:
            continue
        if items.release(item):
            released += 1
            open_by_queue[item.queue_name] = open_by_queue.get(item.queue_name, 0) + 1
    return released


def _take_pace(regrade: Regrade) -> int:
    """Return how many items are due by the pace; at most as many as may be open.

    The time is taken by compare-and-set, so two sweepers do not use it twice.
    """
    now = database_now()
    each = timedelta(minutes=1) / regrade.per_minute
    begin = max(regrade.released_until, now - max(MAX_CATCH_UP, each))
    # The first one is due at once.
    count = min(int((now - begin) / each) + 1, submission_queue.MAX_OPEN)
    if begin > now:
        return 0
    taken = Regrade.objects.filter(
        pk=regrade.pk, status=Regrade.Status.RUNNING, released_until=regrade.released_until
    ).update(released_until=begin + count * each)
    return count if taken else 0


def _open_by_queue() -> dict[str, int]:
    rows = RegradeItem.objects.filter(status=Status.OPEN).order_by()
    return dict(rows.values_list("queue_name").annotate(n=Count("pk")))


def _finish_regrades() -> None:
    """Finish regrades without planned and open items; one statement, and one for each of them."""
    work = RegradeItem.objects.filter(regrade_id=OuterRef("pk"), status__in=UNFINISHED)
    unfinished = Regrade.objects.filter(finished_at=None).exclude(Exists(work))
    ids = list(unfinished.values_list("pk", "status")[:REGRADES])
    for pk, status in ids:
        done = Regrade.Status.FINISHED if status != Regrade.Status.CANCELLED else status
        Regrade.objects.filter(pk=pk, finished_at=None).update(
            status=done, finished_at=database_now()
        )
        log.info("Regrade %s has ended", pk)
