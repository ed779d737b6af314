"""Test double of a legacy XQueue server, over HTTP on loopback, with the endpoints for graders.

It keeps the habits by which that server differs from ours: a login needs a CSRF token, a request
without a session is redirected, and a result is not compared with an earlier one.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.doubles.serving import serving

NAME, SECRET, QUEUE = "watcher", "s3cret", "python"


@dataclass
class Item:
    """One submission, and what was put for it."""

    body: str
    files: dict[str, bytes]
    pullkey: str = ""
    replies: list[str] = field(default_factory=list)


class LegacyGraderServer:
    """State of the server."""

    secret = SECRET

    def __init__(self) -> None:
        self.url = ""
        self.items: list[Item] = []
        self.sessions: set[str] = set()
        self.lock = threading.Lock()

    def send(self, body: str, files: Mapping[str, bytes] | None = None) -> None:
        """Queue a submission."""
        self.items.append(Item(body, dict(files or {})))

    def replies(self) -> list[dict[str, Any]]:
        """Return the reply of each submission that has one."""
        return [json.loads(item.replies[-1]) for item in self.items if item.replies]

    def end_session(self, client: object) -> None:
        """End every session, as a restart of the server does."""
        self.sessions.clear()

    def login(self, form: Mapping[str, str]) -> tuple[int, str]:
        if not form.get("username") or not form.get("password"):
            return 1, "Insufficient login info"
        if (form["username"], form["password"]) != (NAME, SECRET):
            return 1, "Incorrect login credentials"
        return 0, "Logged in"

    def get_queuelen(self, query: Mapping[str, str]) -> tuple[int, Any]:
        if query.get("queue_name") != QUEUE:
            return 1, f"Valid queue names are: {QUEUE}"
        return 0, sum(not item.pullkey for item in self.items)

    def get_submission(self, query: Mapping[str, str]) -> tuple[int, str]:
        name = query.get("queue_name", "")
        if name != QUEUE:
            return 1, f"Queue '{name}' not found"
        with self.lock:
            for number, item in enumerate(self.items):
                if not item.pullkey:
                    item.pullkey = secrets.token_hex(8)
                    header = {"submission_id": number, "submission_key": item.pullkey}
                    urls = {each: f"{self.url}/files/{number}/{each}" for each in item.files}
                    parts = {
                        "xqueue_header": json.dumps(header),
                        "xqueue_body": item.body,
                        "xqueue_files": json.dumps(urls),
                    }
                    return 0, json.dumps(parts)
        return 1, f"Queue '{name}' is empty"

    def put_result(self, form: Mapping[str, str]) -> tuple[int, str]:
        try:
            header, reply = json.loads(form["xqueue_header"]), json.loads(form["xqueue_body"])
            number, key = int(header["submission_id"]), header["submission_key"]
            valid = isinstance(reply.get("score"), int | float) and "correct" in reply
        except (KeyError, ValueError, TypeError, AttributeError):
            valid = False
        if not valid:
            return 1, "Incorrect reply format"
        if not 0 <= number < len(self.items):
            return 1, "Submission does not exist"
        if key != self.items[number].pullkey:
            return 1, "Incorrect key for submission"
        self.items[number].replies.append(form["xqueue_body"])
        return 0, ""


class _Handler(BaseHTTPRequestHandler):
    double: LegacyGraderServer

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/files/"):
            _, _, number, name = url.path.split("/", 3)
            return self._send(200, self.double.items[int(number)].files[name])
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        return self._dispatch(url.path, query)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        text = self.rfile.read(length).decode()
        form = {name: values[-1] for name, values in parse_qs(text).items()}
        self._dispatch(urlsplit(self.path).path, form)

    def _dispatch(self, path: str, values: Mapping[str, str]) -> None:
        action = path.strip("/").removeprefix("xqueue/")
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        session = cookies["sessionid"].value if "sessionid" in cookies else ""
        if action == "login":
            return self._login(cookies, values)
        if session not in self.double.sessions:
            return self._send(302, b"", {"Location": f"/xqueue/login/?next={path}"})
        return self._envelope(getattr(self.double, action)(values))

    def _login(self, cookies: SimpleCookie, form: Mapping[str, str]) -> None:
        if self.command == "GET":
            headers = {"Set-Cookie": "csrftoken=t0ken; Path=/"}
            return self._envelope((1, "login_required"), headers)
        if self.headers.get("X-CSRFToken") != "t0ken" or "csrftoken" not in cookies:
            return self._send(403, b"CSRF verification failed")
        response = self.double.login(form)
        headers = {}
        if response[0] == 0:
            session = secrets.token_hex(8)
            self.double.sessions.add(session)
            headers["Set-Cookie"] = f"sessionid={session}; Path=/"
        return self._envelope(response, headers)

    def _envelope(
        self, response: tuple[int, Any], headers: Mapping[str, str] | None = None
    ) -> None:
        content = json.dumps({"return_code": response[0], "content": response[1]})
        self._send(200, content.encode(), headers)

    def _send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Keep the test's output quiet."""


@contextmanager
def running() -> Iterator[LegacyGraderServer]:
    """Run a server; its ``url`` is set."""
    double = LegacyGraderServer()
    with serving(_Handler, double) as double.url:
        yield double
