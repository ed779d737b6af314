"""The pulls that wait for work, by queue. Pure; used in the thread of the event loop only."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice


class Waiters:
    """Wakes the pull that has waited for longest when its queue has work."""

    def __init__(self) -> None:
        #: Each pull and its grader. A dict in place of an ordered set: a pull that ends leaves from
        #: the middle.
        self._waiting: dict[str, dict[asyncio.Future[None], int | None]] = {}
        #: Graders that are not woken for a queue: its submissions are not offered to them.
        self.paused: Mapping[str, Collection[int]] = {}
        self._woken_at: dict[str, float] = {}
        self._trying: Counter[str] = Counter()
        self.is_closed = False

    def join(
        self, queue_name: str, since: float, grader_id: int | None = None
    ) -> asyncio.Future[None]:
        """Return a future that is done when a pull from this queue should be tried.

        ``since`` is the time of the event loop before the pull that found nothing. If the queue has
        got work after that, the future is done already.
        """
        future = asyncio.get_running_loop().create_future()
        if self.is_closed or self._woken_at.get(queue_name, since - 1) >= since:
            future.set_result(None)
        else:
            self._waiting.setdefault(queue_name, {})[future] = grader_id
        return future

    def leave(self, queue_name: str, future: asyncio.Future[None]) -> None:
        """Remove a pull that no longer waits."""
        waiting = self._waiting.get(queue_name, {})
        waiting.pop(future, None)
        if not waiting:
            self._waiting.pop(queue_name, None)

    def wake(self, queue_name: str, count: int = 1) -> None:
        """Wake the pulls that have waited for longest, one for each of ``count`` submissions."""
        self._woken_at[queue_name] = asyncio.get_running_loop().time()
        waiting, paused = self._waiting.get(queue_name, {}), self.paused.get(queue_name, ())
        offered = (future for future, grader_id in waiting.items() if grader_id not in paused)
        for future in list(islice(offered, count)):
            self.leave(queue_name, future)
            future.set_result(None)

    def offer(self, queue_name: str, count: int) -> None:
        """Wake pulls for ``count`` submissions that a look at the queue has found.

        Pulls that have been woken, and try at present, are counted for the same submissions.
        """
        if (missing := count - self._trying[queue_name]) > 0:
            self.wake(queue_name, missing)

    @contextmanager
    def trying(self, queue_name: str) -> Iterator[None]:
        """Count a woken pull while it tries."""
        self._trying[queue_name] += 1
        try:
            yield
        finally:
            self._trying[queue_name] -= 1
            self._trying += Counter()  # removes a zero

    def counts(self) -> dict[str, int]:
        """Return how many pulls wait for each queue."""
        return {queue_name: len(waiting) for queue_name, waiting in self._waiting.items()}

    def close(self) -> None:
        """Wake all pulls, and let no other one wait."""
        self.is_closed, self.paused = True, {}
        for queue_name, count in self.counts().items():
            self.wake(queue_name, count)
