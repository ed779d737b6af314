"""A legacy XQueue server on loopback, as the LMS that submits to it sees it.

Real HTTP; forms are read by Django's own parsers, as the real server does. What the graders'
side needs (pulling, leases) is left out: ``answer`` stands for a grader that has replied.
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
    """One request as it came in; ``files`` keeps files of equal names."""

    method: str
    action: str
    content_type: str
    authorization: str | None
    form: dict[str, str] = field(default_factory=dict)
    files: list[tuple[str, str, bytes]] = field(default_factory=list)


@dataclass
class Answer:
    """What to say instead of the right thing, once."""

    body: str = ""
    status: int = HTTPStatus.OK
    location: str | None = None
    delay: threading.Event | None = None


class XQueueServer:
    """The server; ``items`` are the submissions that it has accepted, in order of arrival."""

    def __init__(self) -> None:
        self.url = ""
        self.queues = {"demo", "matlab"}
        self.items: list[Request] = []
        self.requests: list[Request] = []
        #: Answers to the next requests to "submit" or "login", instead of the real one.
        self.instead: dict[str, list[Answer]] = {"submit": [], "login": []}
        #: The user and password of a proxy in front of the server.
        self.basic_auth: tuple[str, str] | None = None
        #: False: a login answers "Logged in" but opens no session.
        self.sessions_work = True

    @property
    def calls(self) -> list[str]:
        """What has been asked for, such as ``["POST submit", "GET login"]``."""
        return [f"{request.method} {request.action}" for request in self.requests]

    @property
    def auth(self) -> dict[str, str]:
        """The account of the LMS."""
        return {"username": USERNAME, "password": PASSWORD}

    def answer(self, item: Request, reply: str, *, via: str | None = None) -> requests.Response:
        """Post a grader's reply to the LMS, as the real server does: the LMS's own header back.

        ``via``: scheme and host that the LMS really listens at, when its callback URLs name
        one that does not exist.
        """
        url = json.loads(item.form["xqueue_header"])["lms_callback_url"]
        if via is not None:
            url = via + url[url.index("/courses/") :]
        form = {"xqueue_header": item.form["xqueue_header"], "xqueue_body": reply}
        return requests.post(url, data=form, timeout=60)

    def respond(self, request: Request, cookie: str) -> Answer:
        """Return what the real server would say, or what a test has put in its place."""
        self.requests.append(request)
        if self.basic_auth and request.authorization != _basic(*self.basic_auth):
            return Answer("Unauthorized", HTTPStatus.UNAUTHORIZED)
        if self.instead.get(request.action):
            return self.instead[request.action].pop(0)
        if request.action == "login":
            return self._login(request)
        if request.action != "submit":
            return Answer("no such page", HTTPStatus.NOT_FOUND)
        if cookie != SESSION:
            return Answer("", HTTPStatus.FOUND, location="/xqueue/login/?next=/xqueue/submit/")
        return self._submit(request)

    def _login(self, request: Request) -> Answer:
        if request.method == "GET":
            return envelope(1, "login_required")
        if not request.form.get("username") or not request.form.get("password"):
            return envelope(1, "Insufficient login info")
        if request.form != self.auth:
            return envelope(1, "Incorrect login credentials")
        return envelope(0, "Logged in")

    def _submit(self, request: Request) -> Answer:
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


def envelope(return_code: Any, content: Any) -> Answer:
    """Return the protocol's reply."""
    return Answer(json.dumps({"return_code": return_code, "content": content}))


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
        """Say nothing: this is a test."""

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
        answer = self.double.respond(request, self.headers.get("Cookie", ""))
        if answer.delay is not None:
            answer.delay.wait(5)
        body = answer.body.encode()
        self.send_response(answer.status)
        if answer.location is not None:
            self.send_header("Location", answer.location)
        if request.method == "POST" and "Logged in" in answer.body and self.double.sessions_work:
            self.send_header("Set-Cookie", f"{SESSION}; Path=/; HttpOnly")
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running() -> Iterator[XQueueServer]:
    """Run a server of its own on a free port of loopback."""
    double = XQueueServer()
    with serving(_Handler, double) as double.url:
        yield double
