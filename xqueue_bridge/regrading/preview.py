"""What a regrade would do: how many submissions, how long, and whose grade could fall."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xqueue_bridge.regrading.jobs import RegradeOptions, check_options
from xqueue_bridge.regrading.selection import Candidate, Found, Selection, find
from xqueue_bridge.submission_queue import api as submission_queue


@dataclass(frozen=True, slots=True)
class Preview:
    """The preview of a regrade.

    ``minutes`` is the shortest and longest time by the pace and by what graders did in the last
    hour; the longest is None if they did nothing. ``could_fall`` are the learners with points who
    could get fewer, each once; () with "only if higher".
    """

    found: Found
    minutes: tuple[float, float | None]
    could_fall: tuple[int, ...]

    @property
    def number(self) -> int:
        return len(self.found.candidates)


def preview(selection: Selection, options: RegradeOptions) -> Preview:
    """Return the preview of a regrade; nothing is changed. Raise InvalidField."""
    check_options(options)
    found = find(selection)
    with_points = [] if options.only_if_higher else [c for c in found.candidates if c.points > 0]
    learners = tuple(dict.fromkeys(each.user_id for each in with_points))
    return Preview(found, _minutes(found.candidates, options.per_minute), learners)


def _minutes(candidates: Sequence[Candidate], per_minute: int) -> tuple[float, float | None]:
    """Return the shortest and longest estimate; the slowest queue counts."""
    numbers: dict[str, int] = {}
    for each in candidates:
        numbers[each.queue_name] = numbers.get(each.queue_name, 0) + 1
    shortest = len(candidates) / per_minute
    longest: float | None = shortest
    for name, number in numbers.items():
        rate = submission_queue.recent_rate(name)
        if not rate.spare_per_minute:
            longest = None
        elif longest is not None:
            longest = max(longest, number / min(rate.spare_per_minute, per_minute))
        if rate.capacity_per_minute:
            shortest = max(shortest, number / rate.capacity_per_minute)
    return shortest, longest
