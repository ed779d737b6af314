"""A limit to the pulls that try at the same time. Pure; used in the event loop's thread only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NewestFirst:
    """Lets ``limit`` pulls try at the same time; of those that wait, the newest is next.

    When thousands of graders connect at once, the oldest ones are near their timeout of a second.
    If they were served first, each response would come too late, and none would ever be held.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def entry(self) -> AsyncIterator[None]:
        """Wait until the caller may try, and let the next one try afterwards."""
        if self._free:
            self._free -= 1
        else:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        while self._waiting:
            future = self._waiting.pop()
            if not future.done():  # else its task was cancelled
                future.set_result(None)
                return
        self._free += 1
