"""The charts of a queue's last day, computed from its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from xqueue_bridge.metrics.models import QueueSample

#: Units of the SVG's viewBox.
WIDTH, HEIGHT = 720, 120
SPAN = timedelta(hours=24)
STEP = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened in a queue within one STEP that ends at ``end``; ``waiting`` at that time."""

    end: datetime
    received: int
    answered: int
    failed: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: the points of a polyline, and the figure it shows."""

    kind: str
    points: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines on a common scale from 0 to ``greatest``."""

    lines: tuple[Line, ...]
    greatest: int


def intervals(samples: Sequence[QueueSample], now: datetime) -> list[Interval]:
    """Return the intervals of the last day that have samples, oldest first."""
    start = now - SPAN
    last_of: dict[int, QueueSample] = {}
    before: QueueSample | None = None
    for sample in samples:
        if sample.minute <= start:
            before = sample
        else:
            last_of[(sample.minute - start) // STEP] = sample
    found = []
    for number, sample in sorted(last_of.items()):
        # Of the first sample nothing is known but the totals.
        if before is not None:
            found.append(_interval(start + STEP * (number + 1), before, sample))
        before = sample
    return found


def _interval(end: datetime, before: QueueSample, sample: QueueSample) -> Interval:
    def gained(name: str) -> int:
        return max(getattr(sample, name) - getattr(before, name), 0)

    return Interval(
        end,
        gained("received_total"),
        gained("answered_total"),
        gained("failed_total"),
        sample.waiting,
    )


def events_chart(found: Sequence[Interval], now: datetime) -> Chart:
    """Return the chart of what was received, answered and failed."""
    figures: dict[str, Callable[[Interval], int]] = {
        "received": lambda each: each.received,
        "answered": lambda each: each.answered,
        "failed": lambda each: each.failed,
    }
    return _chart(found, now, figures)


def waiting_chart(found: Sequence[Interval], now: datetime) -> Chart:
    """Return the chart of how many submissions waited."""
    return _chart(found, now, {"waiting": lambda each: each.waiting})


def _chart(
    found: Sequence[Interval], now: datetime, figures: dict[str, Callable[[Interval], int]]
) -> Chart:
    greatest = max((figure(each) for each in found for figure in figures.values()), default=0)
    scale = HEIGHT / greatest if greatest else 0.0
    lines = tuple(
        Line(
            kind,
            " ".join(f"{_x(each, now):.1f},{HEIGHT - figure(each) * scale:.1f}" for each in found),
        )
        for kind, figure in figures.items()
    )
    return Chart(lines, greatest)


def _x(each: Interval, now: datetime) -> float:
    return WIDTH * (1 - (now - each.end) / SPAN)
