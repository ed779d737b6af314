"""The XQueue protocol as a pull grader speaks it: log in, pull, download, put a result."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import requests

from xqueue_bridge.protocol.fields import read_json
from xqueue_bridge.protocol.reply_warnings import (
    CODE_HEADER,
    FILES_HEADER,
    HELD_HEADER,
    HOLD_HEADER,
    MAX_SCORE_HEADER,
    NO_FILE,
    RESULT_HEADER,
    RESULT_VERSION,
    WARNINGS_HEADER,
    ReplyWarning,
    read_warnings,
)

#: Seconds to connect and to read.
TIMEOUT = (3.05, 10)
MAX_FILE_BYTES = 10 * 2**20
#: What a request raises: exceptions of requests are OSErrors; an address that it cannot parse, a
#: ValueError.
_UNREACHABLE = (OSError, ValueError)
#: Statuses with which servers answer a request without a session.
NO_SESSION = (301, 302, 401, 403)
#: Response headers with which the bridge names the field at fault, and the code.
PROBLEM_HEADER = "X-XQueue-Problem"


class XQueueError(Exception):
    """A request failed. The message holds no secret and nothing of a learner's answer."""


class QueueUnavailable(XQueueError):
    """The server could not be reached or answered outside the protocol; a retry may help."""


class LoginRefused(XQueueError):
    """The server does not accept this grader name and secret."""


class RequestRefused(XQueueError):
    """The server understood the request and refused it; the message is the server's.

    ``code`` is one of ``protocol.codes.Code`` if the server is an xqueue_bridge, else "".
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Submission:
    """One learner's answer, leased to this grader.

    ``header`` is sent back unchanged with the result. ``response`` is what the learner entered,
    ``payload`` the author's ``grader_payload`` as JSON if it is JSON, else as text.
    ``takes_tests``: the server reads tests and staff note as data. ``max_score``: the highest
    score that counts; None if the server does not say.
    """

    header: str = field(repr=False)
    body: str = field(repr=False)
    file_urls: Mapping[str, str] = field(repr=False, default_factory=dict)
    client: QueueClient | None = field(repr=False, default=None, compare=False)
    takes_tests: bool = field(repr=False, default=False, compare=False)
    max_score: float | None = field(default=None, compare=False)

    @property
    def id(self) -> str:
        """The submission's id, for logs; the header itself holds a key."""
        try:
            return str(read_json(self.header)["submission_id"])
        except (ValueError, KeyError, TypeError):
            return "?"

    @property
    def response(self) -> str:
        """What the learner entered; "" for files, and if the body is not a problem's."""
        entered = self._members.get("student_response")
        return "" if entered is None else str(entered)

    @property
    def payload(self) -> Any:
        """The author's ``grader_payload``: a JSON value if it is JSON, else text."""
        return _json_or_text(self._members.get("grader_payload", ""))

    @property
    def student(self) -> Mapping[str, Any]:
        """``student_info``: anonymous_student_id, submission_time, random_seed."""
        info = _json_or_text(self._members.get("student_info", "{}"))
        return info if isinstance(info, dict) else {}

    def files(self) -> dict[str, bytes]:
        """Download the learner's files; QueueUnavailable if one cannot be fetched."""
        if self.file_urls and self.client is None:
            raise QueueUnavailable("the submission has no client to download its files with")
        return {name: self.client.download(url) for name, url in self.file_urls.items()}  # type: ignore[union-attr]

    @property
    def _members(self) -> Mapping[str, Any]:
        members = _json_or_text(self.body)
        return members if isinstance(members, dict) else {}


class QueueClient:
    """One session with an XQueue server; logs in when needed, and again when it ends."""

    def __init__(self, url: str, name: str, secret: str) -> None:
        self.url = url.rstrip("/").removesuffix("/xqueue") + "/xqueue/"
        self._form = {"username": name, "password": secret}
        self._session = requests.Session()
        self._session.trust_env = False  # a password of ~/.netrc is for another purpose
        #: With what the URLs of files begin, once logged in; "" if the server does not say.
        self.files_url = ""
        #: Seconds for which a gateway may hold a pull; less than the TIMEOUT.
        self.hold_seconds = 0.0
        #: Whether the server held the last pull until there was work or its time was over.
        self.was_held = False

    def login(self) -> None:
        """Log in, with the CSRF handshake that some servers require."""
        self._session.cookies.clear()
        self._session.headers.pop("X-CSRFToken", None)
        self._request("GET", "login/")
        self._copy_csrf_token()
        response = self._request("POST", "login/", data=self._form)
        code, content = _envelope(response) if response.status_code == 200 else (1, "")
        if code != 0:
            detail = f": {content}" if content else ""
            raise LoginRefused(f"login of {self._form['username']!r} was refused{detail}")
        self.files_url = response.headers.get(FILES_HEADER, "")
        self._copy_csrf_token()

    def queue_length(self, queue_name: str) -> int:
        """Return how many submissions can be pulled now."""
        code, content = self._call("GET", "get_queuelen/", params={"queue_name": queue_name})
        if code != 0:
            raise RequestRefused(str(content))
        try:
            return int(content)
        except (ValueError, TypeError, OverflowError):
            raise QueueUnavailable("get_queuelen answered in an unknown form") from None

    def pull(self, queue_name: str) -> Submission | None:
        """Return the next submission of a queue, or None if the queue is empty."""
        response = self._call_raw(
            "GET",
            "get_submission/",
            params={"queue_name": queue_name},
            headers={HOLD_HEADER: f"{self.hold_seconds:g}"},
        )
        self.was_held = HELD_HEADER in response.headers
        code, content = _envelope(response)
        takes_tests = response.headers.get(RESULT_HEADER) == RESULT_VERSION
        if code != 0:
            if "is empty" in str(content) or "Please try again" in str(content):
                return None
            raise RequestRefused(str(content))
        try:
            parts = read_json(content)
            files = read_json(parts.get("xqueue_files") or "{}")
            header, body = parts["xqueue_header"], parts["xqueue_body"]
            max_score = _points(response.headers.get(MAX_SCORE_HEADER))
            return Submission(header, body, dict(files), self, takes_tests, max_score)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise QueueUnavailable("get_submission answered in an unknown form") from None

    def put_result(self, header: str, reply: Mapping[str, object]) -> list[ReplyWarning]:
        """Send a reply; the same reply sent twice counts once. Return the server's warnings."""
        form = {"xqueue_header": header, "xqueue_body": json.dumps(reply)}
        response = self._call_raw("POST", "put_result/", data=form)
        code, content = _envelope(response)
        if code != 0:
            problem = response.headers.get(PROBLEM_HEADER, "")
            text = f"{content} ({problem})" if problem else str(content)
            raise RequestRefused(text, response.headers.get(CODE_HEADER, ""))
        return read_warnings(response.headers.get(WARNINGS_HEADER, ""))

    def download(self, url: str) -> bytes:
        """Return one file of an answer. Its URL needs no session, and none is sent."""
        try:
            with requests.get(url, timeout=TIMEOUT, stream=True) as response:
                response.raise_for_status()
                content = _read(response, MAX_FILE_BYTES)
        except _UNREACHABLE as exc:
            # The exception's text quotes the URL, which gives access to the file.
            raise QueueUnavailable(f"a file cannot be fetched: {type(exc).__name__}") from None
        if len(content) > MAX_FILE_BYTES:
            raise QueueUnavailable(f"a file has more than {MAX_FILE_BYTES} bytes")
        return content

    def file_link_error(self) -> str:
        """Fetch a false file link, and return what is wrong with the response; "" if nothing is.

        Redirects are followed, as a download does. XQueue Bridge refuses the link with status 404
        and a text of its own.
        """
        try:
            with requests.get(f"{self.files_url}-/", timeout=TIMEOUT, stream=True) as response:
                text = _read(response, len(NO_FILE))
        except _UNREACHABLE as exc:
            return f"there is no response ({type(exc).__name__})"
        if response.status_code == 404 and text == NO_FILE.encode():
            return ""
        status = response.status_code
        if response.history:
            parts = urlsplit(response.url)  # without its query, which can hold a secret
            target = f"{parts.scheme}://{parts.hostname}{parts.path}"
            return f"there is a redirect to {target}, which responds with status {status}"
        return f"another server or a proxy responds, with status {status}"

    def _call(self, method: str, path: str, **content: object) -> tuple[int, Any]:
        return _envelope(self._call_raw(method, path, **content))

    def _call_raw(self, method: str, path: str, **content: object) -> requests.Response:
        """Send a request; without a session, log in and send it once more."""
        response = self._request(method, path, **content)
        if response.status_code in NO_SESSION:
            self.login()
            response = self._request(method, path, **content)
        if response.status_code != 200:
            raise QueueUnavailable(f"{path} answered with status {response.status_code}")
        return response

    def _request(self, method: str, path: str, **content: Any) -> requests.Response:
        try:
            return self._session.request(
                method, self.url + path, timeout=TIMEOUT, allow_redirects=False, **content
            )
        except _UNREACHABLE as exc:
            raise QueueUnavailable(f"{path} cannot be reached: {type(exc).__name__}") from None

    def _copy_csrf_token(self) -> None:
        token = self._session.cookies.get("csrftoken")
        if token:
            self._session.headers.update({"X-CSRFToken": token, "Referer": self.url + "login/"})


def _read(response: requests.Response, limit: int) -> bytes:
    """Return the body of a response; of one with more than ``limit`` bytes, some more than that."""
    content = bytearray()
    for part in response.iter_content(2**16):
        content += part
        if len(content) > limit:
            break
    return bytes(content)


def _envelope(response: requests.Response) -> tuple[int, Any]:
    try:
        envelope = read_json(response.content)
        return int(envelope["return_code"]), envelope["content"]
    except (ValueError, KeyError, TypeError, OverflowError):
        raise QueueUnavailable("the server answered in an unknown form") from None


def _points(text: str | None) -> float | None:
    """Return the number of a header; None if there is none."""
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _json_or_text(value: object) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return read_json(value)
    except ValueError:
        return value
