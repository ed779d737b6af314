"""Graders that cost little: one thread and one connection each, and no HTTP library.

    python -m benchmarks.side_by_side.client '{"port": 8000, ...}'

Every system is driven by this program, in a process of its own. It prints what it measured as JSON.
"""

from __future__ import annotations

import gc
import json
import re
import socket
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

RESULT = json.dumps({"correct": True, "score": 1, "msg": "<p>All tests passed.</p>"})
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_COOKIE = re.compile(r"set-cookie: ([^=\r\n]+)=([^;\r\n]*)", re.IGNORECASE)
_FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
#: Tries of a pull that the server asked to repeat, in a row.
MAX_REPEATS = 100


@dataclass(frozen=True)
class Task:
    """What the graders do."""

    port: int
    queue: str
    username: str
    password: str
    graders: int = 1
    #: Seconds to wait after a pull from an empty queue; None: stop there.
    pause: float | None = None
    #: Pull only.
    idle: bool = False
    #: Seconds after which the graders stop, and a file whose existence also stops them.
    seconds: float = 600.0
    stop_file: str = ""
    #: Cycles of each grader at most.
    cycles: int = 10_000_000


@dataclass
class Measured:
    """What one grader, or all of them, measured."""

    cycles: int = 0
    polls: int = 0
    pull_ms: list[float] = field(default_factory=list)
    put_ms: list[float] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    #: Messages of refused results.
    refused: Counter[str] = field(default_factory=Counter)
    #: Submission id and the time at which a grader had it.
    pulled: list[tuple[int, float]] = field(default_factory=list)


class Connection:
    """A connection to the server that stays open, and its cookies."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.headers = ""
        self._open()

    def request(self, method: str, path: str, body: str = "", more: str = "") -> tuple[str, bytes]:
        """Send a request; return the status and the body of the response."""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{self.headers}{more}"
        message = f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        try:
            self.socket.sendall(message)
            head_bytes, rest = self._head()
        except ConnectionError:  # the server closes connections from time to time
            self._open()
            self.socket.sendall(message)
            head_bytes, rest = self._head()
        length = _LENGTH.search(head_bytes)
        missing = (int(length[1]) if length else 0) - len(rest)
        while missing > 0:
            part = self.socket.recv(65536)
            rest, missing = rest + part, missing - len(part)
        if b"et-" in head_bytes and not self.headers:
            self.cookies.update(_COOKIE.findall(head_bytes.decode("latin-1")))
        return head_bytes[9:12].decode(), rest

    def login(self, task: Task) -> None:
        self.request("GET", "/xqueue/login/")
        form = urlencode({"username": task.username, "password": task.password})
        status, body = self.request("POST", "/xqueue/login/", form, _FORM + self._session())
        if status != "200" or json.loads(body)["return_code"]:
            raise SystemExit(f"the login was refused with status {status}")
        self.headers = self._session()

    def _session(self) -> str:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return f"Cookie: {cookies}\r\nX-CSRFToken: {self.cookies.get('csrftoken', '')}\r\n"

    def _open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def _head(self) -> tuple[bytes, bytes]:
        received = b""
        while b"\r\n\r\n" not in received:
            part = self.socket.recv(65536)
            if not part:
                raise ConnectionResetError
            received += part
        head, _, rest = received.partition(b"\r\n\r\n")
        return head, rest


class Grader(threading.Thread):
    """One grader: pull, post the result, repeat."""

    def __init__(self, task: Task, start_line: threading.Barrier) -> None:
        super().__init__(daemon=True)
        self.task, self.start_line, self.found = task, start_line, Measured()
        self.ended = 0.0

    def run(self) -> None:
        connection = Connection(self.task.port)
        connection.login(self.task)
        self.start_line.wait()
        deadline = time.perf_counter() + self.task.seconds
        while time.perf_counter() < deadline and self.found.cycles < self.task.cycles:
            if self.task.stop_file and Path(self.task.stop_file).exists():
                break
            content = self._pull(connection)
            if self.task.idle:
                continue
            if content is None:
                if self.task.pause is None:
                    break
                time.sleep(self.task.pause)
                continue
            self._put(connection, content)
        self.ended = time.perf_counter()

    def _pull(self, connection: Connection) -> dict[str, Any] | None:
        path = f"/xqueue/get_submission/?queue_name={self.task.queue}"
        for _ in range(MAX_REPEATS):
            began = time.perf_counter()
            status, body = connection.request("GET", path)
            self.found.statuses[status] += 1
            answered = json.loads(body)
            if not answered["return_code"]:
                self.found.pull_ms.append((time.perf_counter() - began) * 1000)
                content: dict[str, Any] = json.loads(answered["content"])
                number = json.loads(content["xqueue_header"])["submission_id"]
                self.found.pulled.append((number, time.time()))
                return content
            if "is empty" in str(answered["content"]):
                self.found.polls += 1
                return None
            self.found.refused[f"pull: {answered['content']}"[:80]] += 1
        return None

    def _put(self, connection: Connection, content: dict[str, Any]) -> None:
        form = urlencode({"xqueue_header": content["xqueue_header"], "xqueue_body": RESULT})
        began = time.perf_counter()
        status, body = connection.request("POST", "/xqueue/put_result/", form, _FORM)
        self.found.put_ms.append((time.perf_counter() - began) * 1000)
        self.found.statuses[status] += 1
        answered = json.loads(body)
        if answered["return_code"]:
            self.found.refused[str(answered["content"])[:80]] += 1
        else:
            self.found.cycles += 1


def main(text: str) -> None:
    task = Task(**json.loads(text))
    start_line = threading.Barrier(task.graders + 1)
    graders = [Grader(task, start_line) for _ in range(task.graders)]
    gc.disable()
    for grader in graders:
        grader.start()
    start_line.wait(timeout=60)
    began, began_at = time.perf_counter(), time.time()
    for grader in graders:
        grader.join()
    seconds = max(grader.ended for grader in graders) - began
    total = Measured()
    for grader in graders:
        for name, value in vars(total).items():
            setattr(total, name, value + getattr(grader.found, name))
    print(json.dumps({"began_at": began_at, "seconds": seconds, **vars(total)}))


if __name__ == "__main__":
    main(sys.argv[1])
