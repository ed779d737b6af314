"""Push a learner the status of the answers at a block, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import IO

from xqueue_bridge.gateway.connection import Connection
from xqueue_bridge.gateway.django_threads import DjangoThreads, ViewResponse
from xqueue_bridge.gateway.waiters import Waiters

MEDIA_TYPE = "text/event-stream"
#: Streams of one learner; a page beyond them requests the status itself.
MAX_STREAMS = 6
#: Seconds after which a stream ends; the browser opens the next one.
MAX_SECONDS = 600.0
#: Longest time between two looks, each of which sends something, so that proxies keep the
#: connection and a browser that is gone is noticed.
LONGEST_WAIT = 15.0
#: Seconds from the look after an announcement to the next: the view's cache has expired then.
AGAIN_SECONDS = 2.5

_HEADERS = [
    (b"content-type", MEDIA_TYPE.encode()),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


class StatusStream:
    """One stream. The status, its session and its access are the view's, at each look."""

    def __init__(
        self,
        connection: Connection,
        body: IO[bytes],
        threads: DjangoThreads,
        learners: Waiters,
        streams: Counter[int],
    ) -> None:
        self.connection, self.threads, self.learners = connection, threads, learners
        self._body, self._streams = body, streams
        self._time = asyncio.get_running_loop().time

    async def respond(self) -> None:
        """Send the status and its changes. What the view refuses is sent as it is."""
        response = await self.threads.respond(self.connection, self._body)
        if response is None:
            return
        user_id = getattr(response.django_response, "learner_id", None)
        if response.status != 200 or user_id is None:
            await self.threads.send(self.connection, response)
            return
        if self._streams[user_id] >= MAX_STREAMS:
            await self.connection.respond(429, _TEXT, b"Too many streams of one learner.\n")
            return
        self._streams[user_id] += 1
        try:
            await self._push(response, user_id)
        finally:
            self._streams[user_id] -= 1
            if not self._streams[user_id]:
                del self._streams[user_id]

    async def _push(self, response: ViewResponse | None, user_id: int) -> None:
        await self.connection.begin(200, _HEADERS)
        ends, content, is_woken = self._time() + MAX_SECONDS, b"", False
        while response is not None and response.status == 200:
            is_new, content = response.content != content, response.content
            await self.connection.write(b"data: %s\n\n" % content if is_new else b":\n\n")
            seconds = json.loads(content)["refresh_seconds"]
            if seconds is None or self._time() >= ends or self.learners.is_closed:
                break
            is_woken = await self._is_woken(user_id, AGAIN_SECONDS if is_woken else seconds)
            if self.connection.is_gone:
                return
            response = await self.threads.respond(self.connection, self._body)
        await self.connection.write(b"", is_last=True)

    async def _is_woken(self, user_id: int, seconds: float) -> bool:
        """Wait for an announcement; return whether it came in time."""
        name = str(user_id)
        future = self.learners.join(name, since=self._time())
        try:
            await asyncio.wait(
                [future, self.connection.gone],
                timeout=min(seconds, LONGEST_WAIT),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            self.learners.leave(name, future)
        return future.done()
