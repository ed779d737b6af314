"""Hold a pull from an empty queue until there is work, its time is over, or the grader is gone."""

from __future__ import annotations

import asyncio
import math
from typing import IO, Any

from xqueue_bridge.gateway.connection import Connection, Headers
from xqueue_bridge.gateway.django_threads import DjangoThreads, ViewResponse
from xqueue_bridge.gateway.newest_first import NewestFirst
from xqueue_bridge.gateway.waiters import Waiters
from xqueue_bridge.option_groups import GatewayOptions
from xqueue_bridge.protocol.reply_warnings import (
    HELD_HEADER,
    HOLD_HEADER,
    RESULT_HEADER,
    RESULT_VERSION,
)
from xqueue_bridge.submission_queue.queue import give_back

_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]
_HELD = (HELD_HEADER.lower().encode(), b"1")
#: Of a response that begins before there is a submission. nginx keeps it back without the last.
_OF_SPACES = (
    _HELD,
    (RESULT_HEADER.lower().encode(), RESULT_VERSION.encode()),
    (b"x-accel-buffering", b"no"),
)


class Hold:
    """One pull. Authentication, grants and the lease are the view's, at each try.

    A response that takes long begins with spaces, so that the grader's read timeout does not end
    it. A grader whose HOLD_HEADER says how long it waits gets none.
    """

    def __init__(
        self,
        connection: Connection,
        body: IO[bytes],
        threads: DjangoThreads,
        waiters: Waiters,
        first_tries: NewestFirst,
        options: GatewayOptions,
    ) -> None:
        self.connection, self.threads, self.waiters = connection, threads, waiters
        self._body, self._first_tries = body, first_tries
        #: The queue that was found empty, and when the last try began.
        self._empty_queue, self._began = "", 0.0
        self._time = asyncio.get_running_loop().time
        self._last_byte = self._time()
        hold_header = connection.header(HOLD_HEADER)
        seconds = _seconds(hold_header, options.HOLD_SECONDS)
        self._silence = math.inf if hold_header else options.SILENT_SECONDS
        if connection.scope["http_version"] == "1.0":  # has no responses of unknown length
            seconds, self._silence = min(seconds, self._silence), math.inf
        elif seconds <= self._silence:
            self._silence = math.inf
        self._may_hold, self._deadline = seconds > 0, self._last_byte + seconds

    async def respond(self) -> None:
        """Try to pull, wait while the queue is empty, and respond."""
        response, is_empty = await self._first_try(), b""
        while response is not None and response.empty_queue:
            self._empty_queue, is_empty = response.empty_queue, response.content
            if not await self._is_woken(response):
                break
            response = await self._try_again(response)
        if response is None:
            return
        if self.connection.is_gone:
            await self._undo(response)
            return
        # From here on it cannot be known whether the grader has it.
        self.threads.unsent.discard(response)
        if not self.connection.has_begun:
            was_held = self._empty_queue and self._may_hold
            response.headers = [*response.headers, *([_HELD] if was_held else [])]
            await self.threads.send(self.connection, response)
        else:
            # A response that has begun cannot become a redirect to the login: the next one can.
            content = response.content if response.status == 200 else is_empty
            await self.connection.write(content, is_last=True)
            await self.threads.close(response)

    async def _first_try(self) -> ViewResponse | None:
        async with self._first_tries.entry():
            if self.connection.is_gone:
                return None
            if self.waiters.is_closed:
                await self.connection.respond(503, _TEXT, b"The gateway is stopping.\n")
                return None
            self._began = self._time()
            return await self.threads.respond(self.connection, self._body)

    async def _try_again(self, empty: ViewResponse) -> ViewResponse | None:
        """Pull for a wake, which passes to the next pull if the view refuses this one."""
        self._began = self._time()
        with self.waiters.trying(self._empty_queue):
            pull = asyncio.ensure_future(self.threads.respond(self.connection, self._body))
            await self._until(pull, headers=empty.headers)
        response = pull.result()
        is_refused = response is not None and response.status < 500 and not response.empty_queue
        if response is None or (is_refused and response.pulled is None):
            self.waiters.wake(self._empty_queue)
        return response

    async def _is_woken(self, empty: ViewResponse) -> bool:
        """Wait until the queue may have work; return False if it has none in time."""
        if self._time() >= self._deadline:
            return False
        woken = self.waiters.join(self._empty_queue, self._began, empty.grader_id)
        try:
            await self._until(
                woken, self.connection.gone, deadline=self._deadline, headers=empty.headers
            )
        finally:
            self.waiters.leave(self._empty_queue, woken)
        if self.connection.is_gone and woken.done():
            self.waiters.wake(self._empty_queue)  # the next one
        return woken.done() and not self.connection.is_gone and not self.waiters.is_closed

    async def _until(
        self, *futures: asyncio.Future[Any], headers: Headers, deadline: float = math.inf
    ) -> None:
        """Wait until one of the futures is done, and send spaces meanwhile."""
        while not any(future.done() for future in futures) and self._time() < deadline:
            ends = min(deadline, self._last_byte + self._silence)
            timeout = None if ends == math.inf else max(ends - self._time(), 0)
            await asyncio.wait(futures, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if self._time() >= self._last_byte + self._silence and not self.connection.is_gone:
                await self._send_space(headers)

    async def _send_space(self, headers: Headers) -> None:
        if not self.connection.has_begun:
            known = [each for each in headers if each[0] != b"content-length"]
            await self.connection.begin(200, [*known, *_OF_SPACES])
        await self.connection.write(b" ")
        self._last_byte = self._time()

    async def _undo(self, response: ViewResponse) -> None:
        """Give the submission back that the view has leased to a grader that is gone."""
        await self.threads.close(response)
        if response.pulled is not None and await self.threads.call(give_back, response.pulled):
            self.waiters.wake(self._empty_queue)
        self.threads.unsent.discard(response)


def _seconds(hold_header: str | None, longest: float) -> float:
    """Return how long a pull may be held; ``hold_header`` is the grader's header, if any."""
    try:
        seconds = longest if hold_header is None else float(hold_header)
    except ValueError:
        return 0
    return min(max(seconds, 0), longest) if math.isfinite(seconds) else 0
