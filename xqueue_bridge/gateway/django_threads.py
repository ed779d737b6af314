"""Django's views, run in a bounded number of threads that keep their database connections.

Django's own handler for ASGI starts a thread for each request, whose database connection cannot be
used again. So requests pass through its WSGI handler, as on any other web server.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import IO, Any, TypeVar

from django.core.handlers.wsgi import WSGIHandler
from django.db import close_old_connections

from xqueue_bridge.data import PulledSubmission
from xqueue_bridge.gateway.connection import Connection, Headers, Message
from xqueue_bridge.submission_queue.queue import give_back

Result = TypeVar("Result")

#: Headers without the prefix HTTP_ in WSGI; the length is that of the body that was read.
_NAMES = {"content-type": "CONTENT_TYPE", "content-length": None, "transfer-encoding": None}


@dataclass(eq=False)
class ViewResponse:
    """A response of a Django view. ``close`` it in a thread after it was sent."""

    status: int
    headers: Headers
    content: bytes
    django_response: Any = field(repr=False)
    #: The content of a response that Django streams.
    parts: Iterator[bytes] | None = None
    is_closed: bool = False

    @property
    def empty_queue(self) -> str:
        """The name of the queue that a pull has found empty, else ""."""
        return getattr(self.django_response, "empty_queue", "")

    @property
    def grader_id(self) -> int | None:
        """The grader account that has pulled."""
        return getattr(self.django_response, "grader_id", None)

    @property
    def pulled(self) -> PulledSubmission | None:
        """What a pull has leased."""
        return getattr(self.django_response, "pulled", None)


class DjangoThreads:
    """Runs requests and functions that use the database."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="xqueue gateway")
        self._handler = WSGIHandler()
        #: Responses of pulls that nothing was sent of; their leases end with the process.
        self.unsent: set[ViewResponse] = set()

    async def respond(self, connection: Connection, body: IO[bytes]) -> ViewResponse | None:
        """Return the response of the request's view; None if its client was gone before."""
        return await self._run(self._respond, connection, body)

    async def call(self, work: Callable[..., Result], *args: object) -> Result:
        """Run a function that uses the database."""
        return await self._run(_with_connections, work, *args)

    async def send(self, connection: Connection, response: ViewResponse) -> None:
        """Send a response, then close it, which runs the jobs that it has collected."""
        try:
            await connection.begin(response.status, response.headers)
            if response.parts is not None:
                while not connection.is_gone and (part := await self._run(_next, response.parts)):
                    await connection.write(part)
            await connection.write(response.content, is_last=True)
        finally:
            await self.close(response)

    async def close(self, response: ViewResponse) -> None:
        """Close a response whose content was sent."""
        if not response.is_closed:
            response.is_closed = True
            await self._run(response.django_response.close)

    def stop(self) -> None:
        """Wait for the threads, then end the leases of pulls that were cancelled meanwhile."""
        self._pool.shutdown(cancel_futures=True)
        while self.unsent:
            _with_connections(give_back, self.unsent.pop().pulled)

    async def _run(self, work: Callable[..., Result], *args: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *args)

    def _respond(self, connection: Connection, body: IO[bytes]) -> ViewResponse | None:
        if connection.is_gone:
            return None
        started: list[tuple[int, Headers]] = []

        def start_response(status: str, headers: Iterable[tuple[str, str]], *args: object) -> Any:
            raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
            started.append((int(status.split()[0]), raw))

        made = self._handler(environment(connection.scope, body), start_response)
        ((status, headers),) = started
        if made.streaming:
            return ViewResponse(status, headers, b"", made, iter(made))
        response = ViewResponse(status, headers, b"".join(made), made)
        if response.pulled is not None:
            self.unsent.add(response)
        if not getattr(made, "jobs", None):
            response.is_closed = True
            made.close()
        return response


def environment(scope: Message, body: IO[bytes]) -> dict[str, Any]:
    """Return the WSGI environment of a request."""
    client, server = scope.get("client") or ("", 0), scope.get("server") or ("", 0)
    length = body.seek(0, 2)
    body.seek(0)
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": _latin_1(scope.get("root_path", "")),
        "PATH_INFO": _latin_1(scope["path"]),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "CONTENT_LENGTH": str(length),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if "_" in name:
            continue  # would replace the header with a hyphen, which a proxy may have set
        key = _NAMES.get(name, f"HTTP_{name.upper().replace('-', '_')}")
        if key is not None:
            joint = "; " if name == "cookie" else ","
            environ[key] = f"{environ[key]}{joint}{value}" if key in environ else value
    return environ


def _next(parts: Iterator[bytes]) -> bytes:
    return next((part for part in parts if part), b"")


def _with_connections(work: Callable[..., Result], *args: object) -> Result:
    close_old_connections()
    try:
        return work(*args)
    finally:
        close_old_connections()


def _latin_1(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")
