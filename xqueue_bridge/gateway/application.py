"""The gateway's ASGI application: held pulls, and the other endpoints of the protocol."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from django.urls import reverse

from xqueue_bridge.conf import options
from xqueue_bridge.gateway.connection import BodyTooLong, Connection, Message
from xqueue_bridge.gateway.django_threads import DjangoThreads
from xqueue_bridge.gateway.hold import Hold
from xqueue_bridge.gateway.listener import Listener, subscription_of
from xqueue_bridge.gateway.newest_first import NewestFirst
from xqueue_bridge.gateway.status_stream import MEDIA_TYPE, StatusStream
from xqueue_bridge.gateway.waiters import Waiters
from xqueue_bridge.grader_api.urls import ENDPOINTS
from xqueue_bridge.grader_api.views import BYTES_IN_FORM
from xqueue_bridge.option_groups import GatewayOptions
from xqueue_bridge.submission_queue.pauses import paused_graders
from xqueue_bridge.submission_queue.queue import available_counts
from xqueue_bridge.worker.announce import LEARNER, QUEUE
from xqueue_bridge.worker.backoff import backoff

log = logging.getLogger(__name__)

#: Seconds between two light polls while announcements arrive. They find what becomes available by
#: time alone: expired leases, for example.
RARE_POLL_SECONDS = 1.0
#: Seconds within which a request body must have arrived.
BODY_SECONDS = 60.0
#: The first part of each path below xqueue/ that is served.
_SERVED = {*ENDPOINTS, "files", "openapi.json"}
_TEXT = [(b"content-type", b"text/plain; charset=utf-8")]


class Gateway:
    """Serves graders. Create it, ``start`` and ``stop`` it in the event loop's thread."""

    def __init__(self, chosen: GatewayOptions) -> None:
        self._options = chosen
        self.waiters, self.learners = Waiters(), Waiters()
        #: Streams of each learner.
        self._streams: Counter[int] = Counter()
        self._threads = DjangoThreads(chosen.THREADS)
        # The other half is for results, and for pulls that were woken.
        self._first_tries = NewestFirst(max(chosen.THREADS // 2, 1))
        # A thread of its own, because the others may all be busy with views.
        self._poll_thread = DjangoThreads(1)
        self._prefix = reverse("xqueue_bridge:login").removesuffix("login/")
        self._listener: Listener | None = None

    def start(self) -> None:
        """Begin to listen and to poll."""
        self._polling = asyncio.ensure_future(self._poll())
        if subscribe := subscription_of(self._options):
            loop = asyncio.get_running_loop()
            self._listener = Listener(
                subscribe, lambda message: loop.call_soon_threadsafe(self._wake, message)
            )
            self._listener.start()

    def stop(self) -> None:
        """Respond to all held pulls, and hold no other one."""
        self.waiters.close()
        self.learners.close()
        self._polling.cancel()
        if self._listener:
            self._listener.stop()

    def close(self) -> None:
        """Wait for the threads to end: those that work on a request end after it."""
        self._threads.stop()
        self._poll_thread.stop()
        if self._listener:
            self._listener.join(timeout=1)

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """Serve one request."""
        connection = Connection(scope, receive, send)
        endpoint, _, _ = scope["path"].removeprefix(self._prefix).partition("/")
        is_stream = self._is_stream(connection)
        is_served = scope["path"].startswith(self._prefix) and endpoint in _SERVED
        if not (is_stream or is_served):
            await connection.respond(404, _TEXT, b"The gateway serves graders only.\n")
            return
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await connection.read_body(_longest_body())
        except BodyTooLong:
            await connection.respond(413, _TEXT, b"The request body is too long.\n")
            return
        except TimeoutError:
            await connection.respond(408, _TEXT, b"The request body has not arrived in time.\n")
            return
        watching = asyncio.ensure_future(connection.watch())
        try:
            if endpoint == "get_submission" and scope["method"] == "GET":
                held = (self.waiters, self._first_tries, self._options)
                await Hold(connection, body, self._threads, *held).respond()
            elif is_stream:
                await StatusStream(
                    connection, body, self._threads, self.learners, self._streams
                ).respond()
            elif (response := await self._threads.respond(connection, body)) is not None:
                await self._threads.send(connection, response)
        finally:
            watching.cancel()
            body.close()

    def _is_stream(self, connection: Connection) -> bool:
        """Return whether a page asks for events of a learner's status."""
        scope = connection.scope
        return (
            self._options.LEARNER_EVENTS
            and scope["method"] == "GET"
            and scope["path"].startswith(f"{self._prefix}my/status/")
            and connection.header("accept") == MEDIA_TYPE
        )

    def _wake(self, message: str) -> None:
        """Wake what an announcement is for."""
        kind, _, name = message.partition(" ")
        if f"{kind} " == QUEUE:
            self.waiters.wake(name)
        elif f"{kind} " == LEARNER and name.isdecimal() and (streams := self._streams[int(name)]):
            self.learners.wake(name, streams)

    async def _poll(self) -> None:
        """Look at all queues for which pulls wait, in one statement each time."""
        failures = 0
        while True:
            is_receiving = self._listener is not None and self._listener.is_receiving
            await asyncio.sleep(RARE_POLL_SECONDS if is_receiving else self._options.POLL_SECONDS)
            if not (counts := self.waiters.counts()):
                continue
            try:
                found = await self._poll_thread.call(available_counts, counts)
                if any(found.values()):
                    self.waiters.paused = await self._poll_thread.call(paused_graders)
            except Exception as exc:  # a task that has ended would look at no queue any more
                failures += 1
                if failures == 1:
                    log.warning("The queues cannot be polled: %s", type(exc).__name__)
                await asyncio.sleep(backoff(failures, 0.5, 5.0))
                continue
            failures = 0
            for queue_name, count in found.items():
                self.waiters.offer(queue_name, count)


def _longest_body() -> int:
    """Return more bytes than the body of any request has that the views accept."""
    chosen = options()
    uploads = chosen.MAX_FILES * chosen.MAX_FILE_BYTES
    return BYTES_IN_FORM * max(chosen.MAX_REPLY_BYTES, chosen.MAX_BODY_BYTES) + uploads
