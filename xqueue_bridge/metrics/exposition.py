"""The metrics in the format of Prometheus, from the newest sample of each queue.

``QueueCollector`` may also be registered in the registry that a host exposes already:
``prometheus_client.REGISTRY.register(QueueCollector())``. All numbers are of the database, so each
process exposes the same ones, and only one needs to be scraped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from xqueue_bridge.db.clock import database_now
from xqueue_bridge.metrics.models import QueueSample
from xqueue_bridge.metrics.throughput import WINDOW, samples_since, throughputs
from xqueue_bridge.metrics.work import MAX_COUNTED, overdue_work
from xqueue_bridge.worker import heartbeat

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: Whether the extra "metrics" is installed; a system check says so if not.
is_installed = find_spec("prometheus_client") is not None

PREFIX = "xqueue_bridge_"

Figure = Callable[[QueueSample], float | None]

#: Name, documentation, and the figure of a sample; None leaves the queue out.
GAUGES: tuple[tuple[str, str, Figure], ...] = (
    ("submissions_waiting", "Submissions that graders can pull now.", lambda row: row.waiting),
    ("submissions_leased", "Submissions under a lease.", lambda row: row.leased),
    (
        "oldest_waiting_seconds",
        "Age of the oldest submission that waits.",
        lambda row: row.oldest_seconds or 0.0,
    ),
    (
        "replies_not_applied",
        "Stored replies that are not yet applied.",
        lambda row: row.pending_replies,
    ),
    ("graders", "Grants of active graders with a valid secret.", lambda row: row.graders),
    ("graders_paused", "Graders whose pulls are paused.", lambda row: row.paused_graders),
    ("queue_paused", "1 if an operator has paused the queue.", lambda row: float(row.is_paused)),
    (
        "grader_seen_seconds",
        "Seconds since a grader of the queue sent a valid request.",
        lambda row: row.grader_seen_seconds,
    ),
)
COUNTERS: tuple[tuple[str, str, Figure], ...] = (
    ("submissions_received", "Submissions sent to the queue.", lambda row: row.received_total),
    ("submissions_answered", "Submissions with a result.", lambda row: row.answered_total),
    ("submissions_failed", "Submissions without one.", lambda row: row.failed_total),
    ("grading_seconds", "Seconds from deliveries to results.", lambda r: r.grading_seconds_total),
    ("waiting_seconds", "Seconds from sending to deliveries.", lambda r: r.waiting_seconds_total),
)


class QueueCollector:
    """Collects the newest sample of each queue, and the overdue work; six statements."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metric families, for a registry of prometheus_client."""
        samples = samples_since(database_now() - WINDOW)
        rows = [each[-1] for each in samples.values()]
        for kind, figures in (("gauge", GAUGES), ("counter", COUNTERS)):
            for name, text, figure in figures:
                yield _family(kind, name, text, [(row.queue_name, figure(row)) for row in rows])
        rates = throughputs(samples).values()
        yield _family(
            "gauge",
            "drain_seconds",
            "Waiting submissions divided by the rate of the last hour; +Inf: none was finished.",
            [(rate.queue_name, _or_infinite(rate.drain_seconds)) for rate in rates],
        )
        yield _overdue()
        yield from _ages(rows)

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering it reads no database."""
        return []


def exposition(accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type: OpenMetrics if ``accept`` asks for it."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry()
    registry.register(QueueCollector())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _family(
    kind: str, name: str, text: str, values: list[tuple[str, float | None]], label: str = "queue"
) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    family_of = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily}
    family = family_of[kind](PREFIX + name, text, labels=[label])
    for key, value in values:
        if value is not None:
            family.add_metric([key], value)
    return family


def _or_infinite(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds


def _overdue() -> Metric:
    counts: list[tuple[str, float | None]] = [*overdue_work()]
    text = f"Work items that should have been processed a minute ago; at most {MAX_COUNTED}."
    return _family("gauge", "work_overdue", text, counts, label="kind")


def _ages(rows: list[QueueSample]) -> Iterator[Metric]:
    from prometheus_client.core import GaugeMetricFamily

    now, swept = database_now(), heartbeat.last_seen(heartbeat.SWEEPER)
    if swept is not None:
        age = max((now - swept).total_seconds(), 0.0)
        yield GaugeMetricFamily(PREFIX + "sweeper_seconds", "Seconds since a sweep.", value=age)
    if rows:
        age = max((now - max(row.minute for row in rows)).total_seconds(), 0.0)
        text = "Age of the newest sample of the queues."
        yield GaugeMetricFamily(PREFIX + "sample_age_seconds", text, value=age)
