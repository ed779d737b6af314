"""One HTTP request of ASGI: its body, its response, and whether its client is gone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import IO, Any

Message = MutableMapping[str, Any]
Headers = Iterable[tuple[bytes, bytes]]

#: Bytes of a request body that are kept in memory; more go to a temporary file.
_IN_MEMORY = 2**20


class BodyTooLong(Exception):
    """A request body has more bytes than any endpoint takes."""


class Connection:
    """A request whose response may begin with spaces, which JSON ignores, while it waits."""

    def __init__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.has_begun = False
        #: Is done once the client has closed the connection.
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def is_gone(self) -> bool:
        return self.gone.done()

    def header(self, name: str) -> str | None:
        """Return the first value of a request header."""
        wanted = name.lower().encode()
        values = (value for key, value in self.scope["headers"] if key.lower() == wanted)
        return next((value.decode("latin-1") for value in values), None)

    async def read_body(self, limit: int) -> IO[bytes]:
        """Return the request body, at its beginning; BodyTooLong if it exceeds ``limit``."""
        body: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 (the caller's)
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone.set_result(None)
                break
            body.write(message.get("body", b""))
            more = message.get("more_body", False)
            if body.tell() > limit:
                raise BodyTooLong
        body.seek(0)
        return body

    async def watch(self) -> None:
        """Wait until the client has closed the connection; run it as a task after the body."""
        while not self.is_gone:
            message = await self._receive()
            if message["type"] == "http.disconnect" and not self.is_gone:
                self.gone.set_result(None)

    async def begin(self, status: int, headers: Headers) -> None:
        self.has_begun = True
        start = {"type": "http.response.start", "status": status, "headers": list(headers)}
        await self._send(start)

    async def write(self, content: bytes, *, is_last: bool = False) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": not is_last})

    async def respond(self, status: int, headers: Headers, content: bytes) -> None:
        """Send a whole response."""
        await self.begin(status, headers)
        await self.write(content, is_last=True)
