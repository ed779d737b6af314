"""Test double of a legacy XQueue server, over HTTP on loopback, with the endpoints for the LMS.

Forms are parsed by Django, as in the real server. The endpoints for graders are missing:
``answer`` posts a grader's reply to the LMS.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any, ClassVar

import requests
from django.core.files.uploadhandler import MemoryFileUploadHandler
from django.http import QueryDict
from django.http.multipartparser import MultiPartParser

from tests.doubles.serving import serving

USERNAME, PASSWORD = "lms", "let-me-in"
SESSION = "sessionid=known"


@dataclass
class Request:
    """A request that was received; ``files`` keeps files of equal names."""

    method: str
    action: str
    content_type: str
    authorization: str | None
    form: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, str, bytes]] = field(default_factory=list)


@dataclass
class Response:
    """A response to send once instead of the real one."""

    body: str = ""
    status: int = HTTPStatus.OK
    location: str | None = None
    delay: threading.Event | None = None


class XQueueServer:
    """State of the server; ``items`` are the accepted submissions, in order of arrival."""

    def __init__(self) -> None:
        self.url = ""
        self.queues = {"demo", "matlab"}
        self.items: list[Request] = []
        self.requests: list[Request] = []
        #: Responses to the next requests to "submit" or "login", instead of the real ones.
        self.instead: dict[str, list[Response]] = {"submit": [], "login": []}
        #: User and password of a proxy in front of the server.
        self.basic_auth: tuple[str, str] | None = None
        #: False: a login responds "Logged in" but opens no session.
        self.sessions_work = True

    @property
    def calls(self) -> list[str]:
        """Return the requests so far, such as ``["POST submit", "GET login"]``."""
        return [f"{request.method} {request.action}" for request in self.requests]

    @property
    def auth(self) -> dict[str, str]:
        """Return the account of the LMS, for XQUEUE_INTERFACE."""
        return {"username": USERNAME, "password": PASSWORD}

    def answer(self, item: Request, reply: str, *, via: str | None = None) -> requests.Response:
        """Post a grader's reply with the header of ``item`` to the LMS, as the real server does.

        ``via``: scheme and host at which the LMS listens, if its callback URLs name another one.
        """
        url = json.loads(item.form["xqueue_header"])["lms_callback_url"]
        if via is not None:
            url = via + url[url.index("/courses/") :]
        form = {"xqueue_header": item.form["xqueue_header"], "xqueue_body": reply}
        return requests.post(url, data=form, timeout=60)

    def respond(self, request: Request, cookie: str) -> Response:
        """Return the response of the real server, or the one that a test has set."""
        self.requests.append(request)
        if self.basic_auth and request.authorization != _basic(*self.basic_auth):
            return Response("Unauthorized", HTTPStatus.UNAUTHORIZED)
        if self.instead.get(request.action):
            return self.instead[request.action].pop(0)
        if request.action == "login":
            return self._login(request)
        if request.action != "submit":
            return Response("no such page", HTTPStatus.NOT_FOUND)
        if cookie != SESSION:
            return Response("", HTTPStatus.FOUND, location="/xqueue/login/?next=/xqueue/submit/")
        return self._submit(request)

    def _login(self, request: Request) -> Response:
        if request.method == "GET":
            return envelope(1, "login_required")
        if not request.form.get("username") or not request.form.get("password"):
            return envelope(1, "Insufficient login info")
        if request.form != self.auth:
            return envelope(1, "Incorrect login credentials")
        return envelope(0, "Logged in")

    def _submit(self, request: Request) -> Response:
        if request.method != "POST":
            return envelope(1, "Queue requests should use HTTP POST")
        try:
            header = json.loads(request.form["xqueue_header"])
        except (KeyError, ValueError):
            header = None
        wanted = {"lms_callback_url", "lms_key", "queue_name"}
        complete = isinstance(header, dict) and wanted <= header.keys()
        if not complete or "xqueue_body" not in request.form:
            return envelope(1, "Queue request has invalid format")
        queue_name = str(header["queue_name"])
        if queue_name not in self.queues:
            return envelope(1, f"Queue '{queue_name}' not found")
        self.items.append(request)
        return envelope(0, str(len(self.items)))


def envelope(return_code: Any, content: Any) -> Response:
    """Return a response in the protocol's envelope."""
    return Response(json.dumps({"return_code": return_code, "content": content}))


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


class _Handler(BaseHTTPRequestHandler):
    double: ClassVar[XQueueServer]

    def do_GET(self) -> None:
        self._respond(self._request())

    def do_POST(self) -> None:
        request = self._request()
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if request.content_type.startswith("multipart/form-data"):
            request.form, request.files = self._multipart(raw)
        else:
            request.form = QueryDict(raw, encoding="utf-8").dict()
        self._respond(request)

    def log_message(self, format: str, *args: Any) -> None:
        """Write no access log."""

    def _request(self) -> Request:
        return Request(
            method=self.command,
            action=self.path.partition("?")[0].removeprefix("/xqueue/").strip("/"),
            content_type=self.headers.get("Content-Type", ""),
            authorization=self.headers.get("Authorization"),
        )

    def _multipart(self, raw: bytes) -> tuple[dict[str, str], list[tuple[str, str, bytes]]]:
        meta = {"CONTENT_TYPE": self.headers["Content-Type"], "CONTENT_LENGTH": len(raw)}
        handler = MemoryFileUploadHandler()
        form, files = MultiPartParser(meta, BytesIO(raw), [handler]).parse()
        return form.dict(), [
            (field_name, file.name, file.read())
            for field_name, several in files.lists()
            for file in several
        ]

    def _respond(self, request: Request) -> None:
        response = self.double.respond(request, self.headers.get("Cookie", ""))
        if response.delay is not None:
            response.delay.wait(5)
        body = response.body.encode()
        self.send_response(response.status)
        if response.location is not None:
            self.send_header("Location", response.location)
        if request.method == "POST" and "Logged in" in response.body and self.double.sessions_work:
            self.send_header("Set-Cookie", f"{SESSION}; Path=/; HttpOnly")
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running() -> Iterator[XQueueServer]:
    """Run a server on a free port of loopback."""
    double = XQueueServer()
    with serving(_Handler, double) as double.url:
        yield double
