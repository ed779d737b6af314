"""Watchers with the behaviour of xqueue-watcher, thousands of them in one process.

    python -m benchmarks.gateway.watchers '{"port": 8030, ...}'

Each has a connection of its own, a read timeout of one second after which it pulls again at once,
and a pause of one second after an empty queue. It prints what it measured as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.side_by_side.client import _FORM, RESULT, Connection
from benchmarks.side_by_side.client import Task as Account

#: xqueue-watcher's REQUESTS_TIMEOUT and POLL_INTERVAL.
TIMEOUT, POLL_SECONDS = 1.0, 1.0
#: Seconds within which all watchers begin.
RAMP_SECONDS = 10.0


@dataclass(frozen=True)
class Task:
    """What the watchers do."""

    port: int
    username: str
    password: str
    stop_file: str
    queue: str = "benchmark"
    watchers: int = 1


@dataclass
class Watchers:
    """All watchers, and what they measured."""

    task: Task
    headers: str = ""
    pulled: list[tuple[int, float]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    #: Since when each connection waits for the next part of its response.
    reading: dict[asyncio.StreamWriter, float] = field(default_factory=dict)
    is_stopped: bool = False

    async def run(self) -> None:
        account = Account(self.task.port, self.task.queue, self.task.username, self.task.password)
        login = Connection(self.task.port)
        login.login(account)
        self.headers = login.headers
        pause = RAMP_SECONDS / self.task.watchers if self.task.watchers > 100 else 0
        running = []
        for _ in range(self.task.watchers):
            running.append(asyncio.ensure_future(self._watch()))
            await asyncio.sleep(pause)
        while not Path(self.task.stop_file).exists():
            await self._end_silent_ones()
        self.is_stopped = True
        for writer in list(self.reading):
            writer.transport.abort()

    async def _end_silent_ones(self) -> None:
        """Close connections without a byte for TIMEOUT, as ``requests`` does.

        Not if this process itself had no processor meanwhile: bytes may have arrived.
        """
        began = time.monotonic()
        await asyncio.sleep(0.1)
        now = time.monotonic()
        for writer, since in list(self.reading.items()):
            if now - since > TIMEOUT and now - began < 0.15:
                self.counts["timeouts"] += 1
                writer.transport.abort()

    async def _watch(self) -> None:
        """Pull, put the result, repeat."""
        pull = f"GET /xqueue/get_submission/?queue_name={self.task.queue} HTTP/1.1\r\n"
        reader: asyncio.StreamReader | None = None
        writer: asyncio.StreamWriter | None = None
        while not self.is_stopped:
            try:
                if reader is None or writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.task.port)
                envelope = await self._request(reader, writer, pull)
                if envelope["return_code"]:
                    self.counts["empty"] += 1
                    await asyncio.sleep(POLL_SECONDS)
                    continue
                header = json.loads(envelope["content"])["xqueue_header"]
                self.pulled.append((json.loads(header)["submission_id"], time.time()))
                form = urlencode({"xqueue_header": header, "xqueue_body": RESULT})
                put = await self._request(
                    reader, writer, "POST /xqueue/put_result/ HTTP/1.1\r\n" + _FORM, form
                )
                self.counts["refused" if put["return_code"] else "accepted"] += 1
            except (OSError, asyncio.IncompleteReadError):
                self.counts["closed"] += 1
                if writer is not None:
                    writer.close()
                writer = None

    async def _part(self, writer: asyncio.StreamWriter, reading: Awaitable[bytes]) -> bytes:
        self.reading[writer] = time.monotonic()
        try:
            return await reading
        finally:
            self.reading.pop(writer, None)

    async def _request(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        head: str,
        body: str = "",
    ) -> dict[str, Any]:
        lines = f"{head}Host: localhost\r\n{self.headers}Content-Length: {len(body)}\r\n\r\n{body}"
        writer.write(lines.encode())
        received = await self._part(writer, reader.readuntil(b"\r\n\r\n"))
        status, headers = received[9:12].decode(), received.lower()
        self.counts[f"status {status}"] += 1
        content = b""
        if b"transfer-encoding: chunked" in headers:
            while size := int(await self._part(writer, reader.readuntil(b"\r\n")), 16):
                content += (await self._part(writer, reader.readexactly(size + 2)))[:-2]
            await self._part(writer, reader.readexactly(2))
        else:
            length = int(headers.partition(b"content-length: ")[2].split(b"\r\n")[0])
            content = await self._part(writer, reader.readexactly(length))
        if status != "200":
            raise OSError(status)
        envelope: dict[str, Any] = json.loads(content)
        return envelope


def main(text: str) -> None:
    watchers = Watchers(Task(**json.loads(text)))
    with suppress(KeyboardInterrupt):
        asyncio.run(watchers.run())
    print(json.dumps({"pulled": watchers.pulled, "counts": watchers.counts}))


if __name__ == "__main__":
    main(sys.argv[1])
