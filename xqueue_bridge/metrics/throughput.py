"""The throughput of the queues between two samples.

``submission_queue.rates`` measures what the graders of one queue can do, from single submissions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.metrics.models import QueueSample

#: Rates are those of the last hour.
WINDOW = timedelta(hours=1)


@dataclass(frozen=True)
class QueueThroughput:
    """Measured rates of one queue between two of its samples; ``minutes`` apart."""

    queue_name: str
    minutes: float
    received: int
    answered: int
    failed: int
    #: Mean seconds from the last delivery to the result, and from sending to it; None: no results.
    grading_seconds: float | None
    waiting_seconds: float | None
    #: Submissions that wait, at the newest sample.
    waiting: int

    @property
    def received_per_minute(self) -> float:
        """Return how many submissions were received per minute."""
        return self.received / self.minutes

    @property
    def finished_per_minute(self) -> float:
        """Return how many submissions were finished per minute."""
        return (self.answered + self.failed) / self.minutes

    @property
    def drain_seconds(self) -> float | None:
        """Return in how many seconds the queue is empty at this rate; None: never."""
        if not self.waiting:
            return 0.0
        rate = self.finished_per_minute
        return 60 * self.waiting / rate if rate else None


def queue_throughputs() -> dict[str, QueueThroughput]:
    """Return the rates of each queue with two samples in WINDOW; one statement."""
    return throughputs(samples_since(database_now() - WINDOW))


def samples_since(since: datetime) -> dict[str, list[QueueSample]]:
    """Return the samples of each queue since a time, oldest first; one statement."""
    rows = QueueSample.objects.filter(minute__gte=since).order_by("queue_name", "minute")
    return {name: list(group) for name, group in groupby(rows, key=lambda row: row.queue_name)}


def samples_of(queue_name: str, since: datetime) -> list[QueueSample]:
    """Return the samples of one queue since a time, oldest first; one statement."""
    rows = QueueSample.objects.filter(minute__gte=since, queue_name=queue_name)
    return list(rows.order_by("minute"))


def throughputs(samples: dict[str, list[QueueSample]]) -> dict[str, QueueThroughput]:
    """Return the throughput of each queue from its first to its last sample."""
    return {
        name: _throughput(rows[0], rows[-1])
        for name, rows in samples.items()
        if rows[-1].minute > rows[0].minute
    }


def _throughput(first: QueueSample, last: QueueSample) -> QueueThroughput:
    """Return the throughput between two samples of a queue.

    A counter that is lower in the newer one has begun again at 0.
    """
    if last.received_total < first.received_total:
        first = QueueSample(minute=first.minute)
    answered = last.answered_total - first.answered_total
    return QueueThroughput(
        last.queue_name,
        (last.minute - first.minute) / timedelta(minutes=1),
        last.received_total - first.received_total,
        answered,
        last.failed_total - first.failed_total,
        _mean(last.grading_seconds_total - first.grading_seconds_total, answered),
        _mean(last.waiting_seconds_total - first.waiting_seconds_total, answered),
        last.waiting,
    )


def _mean(total: float, count: int) -> float | None:
    return max(total, 0.0) / count if count else None
