"""A client that speaks ASGI with the gateway in this process, on the test's database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlencode

from django.db import connections

from xqueue_bridge.gateway.application import Gateway
from xqueue_bridge.option_groups import GatewayOptions

T = TypeVar("T")
#: Seconds after which a scenario that hangs fails.
PATIENCE = 60


class Request:
    """One request, and what the gateway has sent of its response."""

    def __init__(
        self,
        gateway: Gateway,
        path: str,
        query: dict[str, str] | None = None,
        *,
        form: dict[str, str] | None = None,
        is_complete: bool = True,
        http_version: str = "1.1",
        **headers: str,
    ) -> None:
        body = urlencode(form).encode() if form is not None else b""
        if form is not None:
            headers["content_type"] = "application/x-www-form-urlencoded"
        self._events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._events.put_nowait(
            {"type": "http.request", "body": body, "more_body": not is_complete}
        )
        self.sent: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "method": "GET" if form is None else "POST",
            "path": path,
            "query_string": urlencode(query or {}).encode(),
            "http_version": http_version,
            "scheme": "http",
            "client": ("127.0.0.1", 50000),
            "server": ("testserver", 80),
            "headers": [
                (name.replace("_", "-").encode(), value.encode())
                for name, value in {"host": "testserver", **headers}.items()
            ],
        }
        self.task = asyncio.ensure_future(gateway(scope, self._events.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def disconnect(self) -> None:
        self._events.put_nowait({"type": "http.disconnect"})

    async def response(self) -> Request:
        await self.task
        return self

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.sent[1:])


async def eventually(condition: Callable[[], bool]) -> None:
    for _ in range(PATIENCE * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it has not happened")


async def in_thread(work: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run a function that uses the database, and close its connections."""

    def run() -> T:
        try:
            return work(*args, **kwargs)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return await asyncio.get_running_loop().run_in_executor(pool, run)


def with_gateway(scenario: Callable[[Gateway], Awaitable[None]], **options: Any) -> None:
    """Run a scenario with a gateway that polls often."""

    async def run() -> None:
        # A busy machine may be slow: no spaces but where a test is about them.
        defaults = {"POLL_SECONDS": 0.02, "SILENT_SECONDS": 1000.0}
        gateway = Gateway(GatewayOptions(**{**defaults, **options}))
        gateway.start()
        try:
            await asyncio.wait_for(scenario(gateway), PATIENCE)
        finally:
            gateway.stop()
            await in_thread(gateway.close)

    asyncio.run(run())
