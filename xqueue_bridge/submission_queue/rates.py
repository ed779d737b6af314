"""What the graders of a queue did within the last hour, and the estimates that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from xqueue_bridge.cache import BestEffortCache
from xqueue_bridge.db.clock import database_now
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.submission_queue.states import Status

RECENT = timedelta(hours=1)
#: Results that are looked at, the newest ones.
SAMPLE = 500
#: With fewer results within the last hour there is no estimate.
LEAST_RESULTS = 5
#: Seconds for which the rate of a queue is cached; the statement reads an hour of results.
CACHE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class QueueRate:
    """Results of a queue within the last hour; all 0 if there were fewer than LEAST_RESULTS."""

    results: int = 0
    #: The submissions that were in grading at once, and at least one for each grader account.
    graders: int = 0
    #: Answers, without regrades, per minute.
    answers_per_minute: float = 0
    #: Seconds from a delivery to its result: 25 %, half and 90 % took no longer.
    grading_p25: float = 0
    grading_p50: float = 0
    grading_p90: float = 0

    @property
    def capacity_per_minute(self) -> float:
        """Return how many results these graders can return per minute."""
        if not self.results:
            return 0
        return max(self.graders * 60 / max(self.grading_p50, 0.01), self.answers_per_minute)

    @property
    def spare_per_minute(self) -> float:
        """Return how many more results than those to answers the graders can return."""
        return max(self.capacity_per_minute - self.answers_per_minute, 0)

    def seconds_until_graded(self, position: int) -> tuple[float, float] | None:
        """Return the shortest and longest expected time for a position; None: not known.

        ``position`` 1 is pulled next; 0 is with a grader.
        """
        if not self.results:
            return None
        ahead = max(position - 1, 0) / self.graders
        return (
            ahead * self.grading_p25 + self.grading_p25,
            (ahead + (position > 0)) * self.grading_p90 + self.grading_p90,
        )


def recent_rate(queue_name: str) -> QueueRate:
    """Return the rate of a queue; one statement, or none within CACHE_SECONDS of the last."""
    cache, key = BestEffortCache(), f"xqueue_bridge:rate:{queue_name.encode().hex()[:150]}"
    rate = cache.get(key)
    if not isinstance(rate, QueueRate):
        rate = _measure(queue_name)
        cache.set(key, rate, CACHE_SECONDS)
    return rate


def _measure(queue_name: str) -> QueueRate:
    now = database_now()
    rows: list[Any] = list(
        Submission.objects.filter(
            status=Status.ANSWERED,
            finished_at__gte=now - RECENT,
            queue_name=queue_name,
            leased_at__isnull=False,
        )
        .order_by("-finished_at")
        .values_list("leased_at", "finished_at", "grader_id", "regrade_of")[:SAMPLE]
    )
    if len(rows) < LEAST_RESULTS:
        return QueueRate()
    # A full sample covers less than the hour.
    begin = rows[-1][1] if len(rows) == SAMPLE else now - RECENT
    minutes = max((now - begin).total_seconds() / 60, 1 / 60)
    seconds = sorted(max((end - start).total_seconds(), 0.0) for start, end, _, _ in rows)
    return QueueRate(
        results=len(rows),
        graders=max(
            len({grader_id for _, _, grader_id, _ in rows}),
            at_once([(start, end) for start, end, _, _ in rows]),
        ),
        answers_per_minute=sum(original is None for *_, original in rows) / minutes,
        grading_p25=percentile(seconds, 0.25),
        grading_p50=percentile(seconds, 0.5),
        grading_p90=percentile(seconds, 0.9),
    )


def at_once(spans: Sequence[tuple[datetime, datetime]]) -> int:
    """Return how many of the spans of time overlap, at most."""
    events = [(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans]
    # At the same time an end comes first.
    return max(accumulate(change for _, change in sorted(events)), default=0)


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the value that this share of ``ascending`` values does not exceed; 0 of none."""
    if not ascending:
        return 0
    return ascending[min(int(share * len(ascending)), len(ascending) - 1)]
