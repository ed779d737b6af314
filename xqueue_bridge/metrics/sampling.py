"""Take one sample of every queue each minute.

Pages and scrapes read samples only, so that what they cost does not depend on the number of
submissions. The sweeper pays for the counts, once a minute.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Max

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.submission_queue import api as submission_queue

#: Samples older than this are deleted.
KEEP = timedelta(days=8)
#: A sample of a minute is taken this long after it, when the transactions of that minute are over.
DELAY = timedelta(seconds=10)
#: A gap longer than this is not counted: the counters start again at the totals they had.
LONGEST_GAP = timedelta(days=1)
#: Rows that one sample deletes at most.
DELETED_AT_ONCE = 10_000

#: The minute that this process has sampled, or has found sampled.
_done: datetime | None = None


def take_samples() -> int:
    """Store a sample of each queue, if there is none of the last full minute; return how many.

    Executes no statement if this process has done it for that minute, and one if another has.
    """
    global _done
    minute = _last_minute(database_now())
    if minute == _done:
        return 0
    latest = QueueSample.objects.aggregate(latest=Max("minute"))["latest"]
    taken = 0 if latest and latest >= minute else _take(minute, latest)
    _done = minute
    return taken


def _last_minute(now: datetime) -> datetime:
    return (now - DELAY).replace(second=0, microsecond=0)


def _take(minute: datetime, latest: datetime | None) -> int:
    newest = QueueSample.objects.filter(minute=latest) if latest else QueueSample.objects.none()
    previous = {row.queue_name: row for row in newest}
    # Without a former sample there is nothing to count from.
    since = max(latest, minute - LONGEST_GAP) if latest else minute
    last_id = max((row.last_submission_id for row in previous.values()), default=None)
    counts = submission_queue.count_events(since, minute, after_id=last_id)
    samples = [
        _sample(minute, stats, previous.get(stats.queue_name), counts)
        for stats in submission_queue.queue_stats()
    ]
    # Two sweepers may sample the same minute: the first one's rows stay.
    QueueSample.objects.bulk_create(samples, ignore_conflicts=True)
    _delete_old(minute)
    return len(samples)


def _sample(
    minute: datetime,
    stats: submission_queue.QueueStats,
    previous: QueueSample | None,
    counts: submission_queue.EventCounts,
) -> QueueSample:
    before = previous or QueueSample()
    finished = counts.finished.get(stats.queue_name, submission_queue.FinishedCount())
    return QueueSample(
        minute=minute,
        queue_name=stats.queue_name,
        received_total=before.received_total + counts.received.get(stats.queue_name, 0),
        answered_total=before.answered_total + finished.answered,
        failed_total=before.failed_total + finished.failed,
        grading_seconds_total=before.grading_seconds_total + finished.grading_seconds,
        waiting_seconds_total=before.waiting_seconds_total + finished.waiting_seconds,
        waiting=stats.waiting,
        leased=stats.leased,
        oldest_seconds=stats.oldest_seconds,
        pending_replies=stats.pending_replies,
        graders=stats.graders,
        paused_graders=stats.paused_graders,
        grader_seen_seconds=stats.grader_seen_seconds,
        is_paused=stats.is_paused,
        last_submission_id=counts.last_id,
    )


def _delete_old(minute: datetime) -> None:
    old = QueueSample.objects.filter(minute__lt=minute - KEEP).order_by("minute")
    ids = list(old.values_list("pk", flat=True)[:DELETED_AT_ONCE])
    if ids:
        QueueSample.objects.filter(pk__in=ids).delete()
