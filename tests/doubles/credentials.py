"""Test double of the Credentials service and the LMS's token endpoint, over HTTP on loopback.

A grade is validated by REST framework fields of the real service's types and sizes. The last one
to arrive overwrites the others, as there; ``stale_writes`` counts when that one was older.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from rest_framework import serializers

from tests.doubles.serving import serving

CLIENT_ID, CLIENT_SECRET = "lms-service", "let-the-service-in"


class UserGradeSerializer(serializers.Serializer):
    """Validates a posted grade."""

    username = serializers.CharField(max_length=150)
    course_run = serializers.CharField(max_length=255)
    letter_grade = serializers.CharField(max_length=255, allow_blank=True, required=False)
    percent_grade = serializers.DecimalField(max_digits=5, decimal_places=4)
    verified = serializers.BooleanField(default=True)
    lms_last_updated_at = serializers.DateTimeField(required=False, allow_null=True)


@dataclass
class Post:
    """A request that posts a grade, and the status of its response."""

    message: dict[str, Any]
    authorization: str
    status: int | None = None


@dataclass
class Fault:
    """A fault injected into one request.

    ``after_work``: the grade is stored nevertheless. ``status`` None: the connection is dropped.
    """

    status: int | None = None
    retry_after: str | None = None
    seconds: float = 0
    after_work: bool = False
    body: str = "{}"


DROPPED = Fault()


@dataclass
class Response:
    """An HTTP response; ``status`` None drops the connection."""

    status: int | None
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)


class Credentials:
    """State of the service; ``grades`` is its table, by username and course run."""

    def __init__(self) -> None:
        self.root = ""
        self.grades: dict[tuple[str, str], dict[str, Any]] = {}
        self.posts: list[Post] = []
        #: How many grades were overwritten by one that is older in the LMS.
        self.stale_writes = 0
        #: Faults of the next requests; ``always`` is the fault of each request after those.
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        #: Returns the seconds to wait before a request is processed.
        self.pause: Callable[[], float] = lambda: 0.0
        self.token_faults: list[Fault] = []
        self.token_requests: list[dict[str, str]] = []
        self.token_seconds: float = 3600
        #: None: every course run is in the catalog.
        self.course_runs: set[str] | None = None
        #: Ends all waits when the test ends.
        self.closing = threading.Event()
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def settings(self) -> dict[str, Any]:
        """Return the value of XQUEUE_BRIDGE["CREDENTIALS"] for this service."""
        return {
            "URL": f"{self.root}/api/v2",
            "TOKEN_URL": f"{self.root}/oauth2/access_token",
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": CLIENT_SECRET,
            "TIMEOUT": 20,
        }

    @property
    def statuses(self) -> list[int | None]:
        """Return the statuses of the responses so far, in order."""
        return [post.status for post in self.posts]

    def revoke_tokens(self) -> None:
        """Revoke every token."""
        self._tokens.clear()

    def grade(self, username: str, course_run: object) -> dict[str, Any] | None:
        """Return the stored grade, or None."""
        return self.grades.get((username, str(course_run)))

    def give_token(self, form: dict[str, str]) -> Response:
        """Respond as the LMS's token endpoint."""
        with self._lock:
            self.token_requests.append(form)
            fault = self.token_faults.pop(0) if self.token_faults else None
            if fault:
                self.closing.wait(fault.seconds)
                return _response_of(fault)
            known = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
            if form.get("grant_type") != "client_credentials":
                return Response(400, json.dumps({"error": "unsupported_grant_type"}))
            if {name: form.get(name) for name in known} != known:
                return Response(401, json.dumps({"error": "invalid_client"}))
            token = f"header.token{len(self.token_requests)}.signature"
            self._tokens[token] = time.monotonic() + self.token_seconds
            body = {"access_token": token, "token_type": "JWT", "expires_in": self.token_seconds}
            return Response(200, json.dumps(body))

    def take_grade(self, message: dict[str, Any], authorization: str) -> Response:
        """Respond as the endpoint for grades."""
        post = Post(message, authorization)
        with self._lock:
            self.posts.append(post)
            fault = self.faults.pop(0) if self.faults else self.always
        self.closing.wait(self.pause())
        if fault and not fault.after_work:
            self.closing.wait(fault.seconds)
        with self._lock:
            response = self._work(post) if fault is None or fault.after_work else None
        if fault and fault.after_work:
            self.closing.wait(fault.seconds)
        if fault:
            response = _response_of(fault)
        assert response is not None
        post.status = response.status
        return response

    def _work(self, post: Post) -> Response:
        scheme, _, token = post.authorization.partition(" ")
        if scheme != "JWT" or self._tokens.get(token, 0) < time.monotonic():
            return Response(401, json.dumps({"detail": "Invalid token."}))
        message = dict(post.message)
        if message.get("letter_grade", "") is None:
            message["letter_grade"] = ""
        serializer = UserGradeSerializer(data=message)
        if not serializer.is_valid():
            return Response(400, json.dumps(serializer.errors))
        grade = dict(serializer.validated_data)
        if self.course_runs is not None and grade["course_run"] not in self.course_runs:
            return Response(400, json.dumps({"course_run": ["No such course run."]}))
        key = grade["username"], grade["course_run"]
        if _date(grade) < _date(self.grades.get(key)):
            self.stale_writes += 1
        self.grades[key] = grade
        return Response(201, json.dumps(serializer.data, default=str))


def _date(grade: dict[str, Any] | None) -> float:
    moment: datetime | None = (grade or {}).get("lms_last_updated_at")
    return moment.timestamp() if moment else 0.0


def _response_of(fault: Fault) -> Response:
    headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
    return Response(fault.status, fault.body, headers)


class _Handler(BaseHTTPRequestHandler):
    double: ClassVar[Credentials]

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/oauth2/access_token":
            self._respond(self.double.give_token(dict(parse_qsl(raw))))
        elif self.path == "/api/v2/grades/":
            authorization = self.headers.get("Authorization", "")
            self._respond(self.double.take_grade(json.loads(raw), authorization))
        else:
            self._respond(Response(HTTPStatus.NOT_FOUND))

    def log_message(self, format: str, *args: Any) -> None:
        """Write no access log."""

    def _respond(self, response: Response) -> None:
        if response.status is None:
            self.close_connection = True
            return
        body = response.body.encode()
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running() -> Iterator[Credentials]:
    """Run a service on a free port of loopback."""
    double = Credentials()
    with serving(_Handler, double) as double.root:
        try:
            yield double
        finally:
            double.closing.set()
