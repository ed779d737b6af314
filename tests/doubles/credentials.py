"""Credentials and the LMS's token endpoint on loopback, as a service that sends grades sees them.

Real HTTP. A grade is checked by REST framework fields of the real receiver's kinds and sizes, and
the last one to arrive wins, as there: only ``stale_writes`` tells that an older one did.
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
    """What may be posted."""

    username = serializers.CharField(max_length=150)
    course_run = serializers.CharField(max_length=255)
    letter_grade = serializers.CharField(max_length=255, allow_blank=True, required=False)
    percent_grade = serializers.DecimalField(max_digits=5, decimal_places=4)
    verified = serializers.BooleanField(default=True)
    lms_last_updated_at = serializers.DateTimeField(required=False, allow_null=True)


@dataclass
class Post:
    """One request for a grade that came in, and the status that it was answered with."""

    message: dict[str, Any]
    authorization: str
    status: int | None = None


@dataclass
class Fault:
    """What happens to a request instead of the right thing.

    ``after_work``: the grade is stored all the same. ``status`` None: the connection is dropped.
    """

    status: int | None = None
    retry_after: str | None = None
    seconds: float = 0
    after_work: bool = False
    body: str = "{}"


DROPPED = Fault()


@dataclass
class Answer:
    """What goes back over the wire; ``status`` None drops the connection."""

    status: int | None
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)


class Credentials:
    """The service; ``grades`` is its table, by username and course run."""

    def __init__(self) -> None:
        self.root = ""
        self.grades: dict[tuple[str, str], dict[str, Any]] = {}
        self.posts: list[Post] = []
        #: Grades that were overwritten by one that is older in the LMS.
        self.stale_writes = 0
        #: Faults of the next requests; with ``always``, of each that finds the list empty.
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        #: Asked for the seconds that a request takes before it is worked on.
        self.pause: Callable[[], float] = lambda: 0.0
        self.token_faults: list[Fault] = []
        self.token_requests: list[dict[str, str]] = []
        self.token_seconds: float = 3600
        #: None: every course run is in the catalog.
        self.course_runs: set[str] | None = None
        #: Ends all waiting, at the end of the test.
        self.closing = threading.Event()
        self._tokens: dict[str, float] = {}
        self._lock = threading.Lock()

    @property
    def settings(self) -> dict[str, Any]:
        """What XQUEUE_BRIDGE["CREDENTIALS"] must say to reach this one."""
        return {
            "URL": f"{self.root}/api/v2",
            "TOKEN_URL": f"{self.root}/oauth2/access_token",
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": CLIENT_SECRET,
            "TIMEOUT": 20,
        }

    @property
    def statuses(self) -> list[int | None]:
        """The answers so far, in order."""
        return [post.status for post in self.posts]

    def revoke_tokens(self) -> None:
        """End every token now."""
        self._tokens.clear()

    def grade(self, username: str, course_run: object) -> dict[str, Any] | None:
        """Return the grade that the service shows."""
        return self.grades.get((username, str(course_run)))

    def give_token(self, form: dict[str, str]) -> Answer:
        """The LMS's token endpoint."""
        with self._lock:
            self.token_requests.append(form)
            fault = self.token_faults.pop(0) if self.token_faults else None
            if fault:
                self.closing.wait(fault.seconds)
                return _answer_of(fault)
            known = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
            if form.get("grant_type") != "client_credentials":
                return Answer(400, json.dumps({"error": "unsupported_grant_type"}))
            if {name: form.get(name) for name in known} != known:
                return Answer(401, json.dumps({"error": "invalid_client"}))
            token = f"header.token{len(self.token_requests)}.signature"
            self._tokens[token] = time.monotonic() + self.token_seconds
            body = {"access_token": token, "token_type": "JWT", "expires_in": self.token_seconds}
            return Answer(200, json.dumps(body))

    def take_grade(self, message: dict[str, Any], authorization: str) -> Answer:
        """The endpoint for grades."""
        post = Post(message, authorization)
        with self._lock:
            self.posts.append(post)
            fault = self.faults.pop(0) if self.faults else self.always
        self.closing.wait(self.pause())
        if fault and not fault.after_work:
            self.closing.wait(fault.seconds)
        with self._lock:
            answer = self._work(post) if fault is None or fault.after_work else None
        if fault and fault.after_work:
            self.closing.wait(fault.seconds)
        if fault:
            answer = _answer_of(fault)
        assert answer is not None
        post.status = answer.status
        return answer

    def _work(self, post: Post) -> Answer:
        scheme, _, token = post.authorization.partition(" ")
        if scheme != "JWT" or self._tokens.get(token, 0) < time.monotonic():
            return Answer(401, json.dumps({"detail": "Invalid token."}))
        message = dict(post.message)
        if message.get("letter_grade", "") is None:
            message["letter_grade"] = ""
        serializer = UserGradeSerializer(data=message)
        if not serializer.is_valid():
            return Answer(400, json.dumps(serializer.errors))
        grade = dict(serializer.validated_data)
        if self.course_runs is not None and grade["course_run"] not in self.course_runs:
            return Answer(400, json.dumps({"course_run": ["No such course run."]}))
        place = grade["username"], grade["course_run"]
        if _date(grade) < _date(self.grades.get(place)):
            self.stale_writes += 1
        self.grades[place] = grade
        return Answer(201, json.dumps(serializer.data, default=str))


def _date(grade: dict[str, Any] | None) -> float:
    moment: datetime | None = (grade or {}).get("lms_last_updated_at")
    return moment.timestamp() if moment else 0.0


def _answer_of(fault: Fault) -> Answer:
    headers = {"Retry-After": fault.retry_after} if fault.retry_after is not None else {}
    return Answer(fault.status, fault.body, headers)


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
            self._respond(Answer(HTTPStatus.NOT_FOUND))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: this is a test."""

    def _respond(self, answer: Answer) -> None:
        if answer.status is None:
            self.close_connection = True
            return
        body = answer.body.encode()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def running() -> Iterator[Credentials]:
    """Run a service of its own on a free port of loopback."""
    double = Credentials()
    with serving(_Handler, double) as double.root:
        try:
            yield double
        finally:
            double.closing.set()
