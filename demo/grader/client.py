"""The XQueue protocol, as a pull grader speaks it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

TIMEOUT = (3.05, 10)
MAX_FILE_BYTES = 10 * 2**20
NO_SESSION = (301, 302, 401, 403)


class XQueueError(Exception):
    """The queue did not answer as the protocol says; trying again later may help."""


class LoginRefused(XQueueError):
    """The queue does not know this name and secret."""


class RequestRefused(XQueueError):
    """The queue understood, and says no; the message is its own."""


@dataclass(frozen=True)
class Pulled:
    """One submission, on lease to us. ``header`` goes back with the reply as it came."""

    header: str = field(repr=False)
    body: str = field(repr=False)
    files: Mapping[str, str] = field(repr=False)

    @property
    def submission_id(self) -> Any:
        """What to call it in a log: the header also holds the key."""
        return json.loads(self.header)["submission_id"]


class XQueueClient:
    """One session with an XQueue; logs in when it has to, and again when it is asked to."""

    def __init__(self, url: str, name: str, secret: str) -> None:
        self.url = url.rstrip("/") + "/xqueue/"
        self._form = {"username": name, "password": secret}
        self._session = requests.Session()

    def login(self) -> None:
        """Log in, with the handshake that Django's CSRF protection wants where it is on."""
        self._session.cookies.clear()
        self._session.headers.pop("X-CSRFToken", None)
        self._ask("GET", "login/")
        self._show_token()
        answer = self._ask("POST", "login/", data=self._form)
        if answer.status_code != 200 or self._envelope(answer)[0] != 0:
            raise LoginRefused("the queue does not accept this name and secret")
        self._show_token()

    def get_submission(self, queue_name: str) -> Pulled | None:
        """Return the next submission of a queue, or None where there is none."""
        code, content = self._call("GET", "get_submission/", params={"queue_name": queue_name})
        if code != 0:
            if "is empty" in str(content):
                return None
            raise RequestRefused(str(content))
        try:
            parts = json.loads(content)
            files = json.loads(parts["xqueue_files"] or "{}")
            return Pulled(parts["xqueue_header"], parts["xqueue_body"], dict(files))
        except (ValueError, KeyError, TypeError):
            raise XQueueError("get_submission answered in an unknown form") from None

    def put_result(self, header: str, reply: Mapping[str, Any]) -> None:
        """Hand in a reply. Doing so twice is harmless."""
        form = {"xqueue_header": header, "xqueue_body": json.dumps(reply)}
        code, content = self._call("POST", "put_result/", data=form)
        if code != 0:
            raise RequestRefused(str(content))

    def download(self, url: str) -> bytes:
        """Return one file of an answer. Its URL needs no session: none is shown to it."""
        try:
            with requests.get(url, timeout=TIMEOUT, stream=True) as answer:
                answer.raise_for_status()
                content = answer.raw.read(MAX_FILE_BYTES + 1, decode_content=True)
        except (requests.RequestException, OSError) as exc:
            # Not the error's text: it holds the URL, and who has that has the file.
            raise XQueueError(f"a file could not be fetched: {type(exc).__name__}") from None
        if len(content) > MAX_FILE_BYTES:
            raise XQueueError("a file is larger than we fetch")
        return content

    def _call(self, method: str, path: str, **content: Any) -> tuple[Any, Any]:
        """Ask once; if there is no session, log in and ask once more."""
        answer = self._ask(method, path, **content)
        if answer.status_code in NO_SESSION:
            self.login()
            answer = self._ask(method, path, **content)
        if answer.status_code != 200:
            raise XQueueError(f"{path} answered with status {answer.status_code}")
        return self._envelope(answer)

    def _ask(self, method: str, path: str, **content: Any) -> requests.Response:
        try:
            return self._session.request(
                method, self.url + path, timeout=TIMEOUT, allow_redirects=False, **content
            )
        except requests.RequestException as exc:
            raise XQueueError(f"{path} cannot be reached: {type(exc).__name__}") from None

    def _show_token(self) -> None:
        token = self._session.cookies.get("csrftoken")
        if token:
            self._session.headers.update({"X-CSRFToken": token, "Referer": self.url + "login/"})

    @staticmethod
    def _envelope(answer: requests.Response) -> tuple[Any, Any]:
        try:
            envelope = answer.json()
            return envelope["return_code"], envelope["content"]
        except (ValueError, KeyError, TypeError):
            raise XQueueError("the queue answered in an unknown form") from None
