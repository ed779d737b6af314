"""Test doubles of the known pull graders, each with the requests of that client.

Written from the clients' HTTP traffic. ``cycle()`` polls the queue once and returns the reply that
it posted, or None if the queue was empty.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import requests

Grade = Callable[[dict[str, str]], dict[str, Any]]


def all_correct(submission: dict[str, str]) -> dict[str, Any]:
    """Return a reply that grades every submission as correct."""
    return {"correct": True, "score": 1, "msg": "<p>ok</p>"}


class PullGrader:
    """Base of the graders: server URL, name, secret, queue, and a grading function."""

    #: The real clients wait for seconds only; a busy test machine needs more.
    timeout = 60

    def __init__(
        self, url: str, name: str, secret: str, queue_name: str, grade: Grade = all_correct
    ) -> None:
        self.url = url
        self.name = name
        self.secret = secret
        self.queue_name = queue_name
        self.grade = grade
        self.session = requests.Session()
        self.requests: list[tuple[str, str, int]] = []

    def cycle(self) -> dict[str, Any] | None:
        raise NotImplementedError

    def call(self, method: str, endpoint: str, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", self.timeout)
        response = self.session.request(method, f"{self.url}/xqueue/{endpoint}", **kwargs)
        self.requests.append((method, endpoint, response.status_code))
        return response

    @property
    def credentials(self) -> dict[str, str]:
        return {"username": self.name, "password": self.secret}

    @property
    def query(self) -> dict[str, str]:
        return {"queue_name": self.queue_name}


class StockWatcher(PullGrader):
    """xqueue-watcher of July 2026: CSRF handshake, one login after 301, 302, 401 or 403."""

    login_statuses = (301, 302, 401, 403)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Its HTTP_BASIC_AUTH is meant for a proxy in front of the queue.
        self.session.auth = ("proxy", "password")

    def login(self) -> bool:
        self.session.cookies.clear()
        self.session.headers.pop("X-CSRFToken", None)
        headers = {"Referer": f"{self.url}/xqueue/login/"}
        if self.call("GET", "login/").status_code == 200:
            headers["X-CSRFToken"] = self.session.cookies.get("csrftoken", "")
        response = self.call("POST", "login/", data=self.credentials, headers=headers)
        if response.status_code != 200:
            return False
        self.session.headers["Referer"] = self.url
        self.session.headers["X-CSRFToken"] = self.session.cookies.get("csrftoken", "")
        return response.json()["return_code"] == 0

    def request(self, method: str, endpoint: str, **kwargs: Any) -> tuple[bool, Any]:
        for attempt in (1, 2):
            response = self.call(method, endpoint, allow_redirects=False, **kwargs)
            if response.status_code == 200:
                envelope = response.json()
                return envelope["return_code"] == 0, envelope["content"]
            if attempt == 2 or response.status_code not in self.login_statuses:
                return False, f"status {response.status_code}"
            self.login()
        raise AssertionError("both attempts return")

    def cycle(self) -> dict[str, Any] | None:
        got, content = self.request("GET", "get_submission/", params=self.query)
        if not got:
            return None
        submission = json.loads(content)
        assert "xqueue_files" in submission
        reply = self.grade(submission)
        form = {"xqueue_header": submission["xqueue_header"], "xqueue_body": json.dumps(reply)}
        posted, text = self.request("POST", "put_result/", data=form)
        assert posted, text
        return reply


class OldWatcher(StockWatcher):
    """xqueue-watcher before 2026: no handshake, and only a redirect makes it log in again."""

    login_statuses = (301, 302)

    def login(self) -> bool:
        response = self.call("POST", "login/", data=self.credentials)
        return response.status_code == 200 and response.json()["return_code"] == 0


class StanfordGrader(PullGrader):
    """Logs in before every poll, requests the queue's length first, downloads every file."""

    def cycle(self) -> dict[str, Any] | None:
        self.session = requests.Session()
        self.session.auth = ("proxy", "password")
        self.call("POST", "login/", data=self.credentials).raise_for_status()
        length = self.call("GET", "get_queuelen/", params=self.query).json()
        if int(length["content"]) == 0:
            return None
        submission = json.loads(
            self.call("GET", "get_submission/", params=self.query).json()["content"]
        )
        files = json.loads(submission["xqueue_files"])
        submission["downloaded"] = {
            name: requests.get(url, timeout=self.timeout).text for name, url in files.items()
        }
        reply = self.grade(submission)
        form = {"xqueue_header": submission["xqueue_header"], "xqueue_body": json.dumps(reply)}
        assert self.call("POST", "put_result/", data=form).json()["return_code"] == 0
        return reply


class TutorCommandLine(PullGrader):
    """Requires JSON responses and the content "Logged in"; a person types the grade."""

    def cycle(self) -> dict[str, Any] | None:
        if self.call("POST", "login/", data=self.credentials).json()["content"] != "Logged in":
            raise AssertionError("not logged in")
        if not self.call("GET", "get_queuelen/", params=self.query).json()["content"]:
            return None
        shown = self.call("GET", "get_submission/", params=self.query).json()
        submission = json.loads(shown["content"])
        for address in json.loads(submission["xqueue_files"]).values():
            assert address.startswith("http"), "it would put its own host before this"
        header = json.loads(submission["xqueue_header"])
        reply = {"score": 0.9, "correct": True, "msg": "typed"}
        form = {"xqueue_header": json.dumps(header), "xqueue_body": json.dumps(reply)}
        assert self.call("POST", "put_result/", data=form).json()["return_code"] == 0
        return reply


class BuxGrader(PullGrader):
    """Follows redirects and compares texts, "login_required" among them."""

    def envelope(self, method: str, endpoint: str, **kwargs: Any) -> dict[str, Any]:
        response = self.call(method, endpoint, **kwargs)
        assert response.status_code == 200, "an error that it cannot read"
        return response.json()

    def cycle(self) -> dict[str, Any] | None:
        response = self.envelope("GET", "get_submission/", params=self.query)
        if response["content"] == "login_required":
            login = self.envelope("POST", "login/", data=self.credentials)
            assert login["content"] != "Incorrect login credentials"
            response = self.envelope("GET", "get_submission/", params=self.query)
        if response["return_code"]:
            assert response["content"] == f"Queue '{self.queue_name}' is empty", response
            return None
        submission = json.loads(response["content"])
        reply = self.grade(submission)
        form = {"xqueue_header": submission["xqueue_header"], "xqueue_body": json.dumps(reply)}
        assert self.envelope("POST", "put_result/", data=form)["return_code"] == 0
        return reply


class RubyGrader(PullGrader):
    """Parses the valid queue names by a regular expression; sends ``correct`` as a string."""

    def cycle(self) -> dict[str, Any] | None:
        self.call("POST", "login/", data=self.credentials)
        wrong = self.call("GET", "get_queuelen/", params={"queue_name": "?"}).json()["content"]
        match = re.match(r"Valid queue names are: (.*)", wrong)
        assert match is not None
        assert self.queue_name in match[1].split(", ")
        response = self.call("GET", "get_submission/", params=self.query).json()
        if response["return_code"]:
            return None
        submission = json.loads(response["content"])
        graded = self.grade(submission)
        reply = {**graded, "correct": "True" if graded["correct"] else "False"}
        form = {"xqueue_header": submission["xqueue_header"], "xqueue_body": json.dumps(reply)}
        assert self.call("POST", "put_result/", data=form).json()["return_code"] == 0
        return reply


class NodeGrader(PullGrader):
    """Sends the submission id as a JSON string; logs out at the end."""

    def cycle(self) -> dict[str, Any] | None:
        self.call("POST", "login/", data=self.credentials)
        response = self.call("GET", "get_submission", params=self.query).json()
        if response["return_code"]:
            return None
        submission = json.loads(response["content"])
        header = json.loads(submission["xqueue_header"])
        reply = self.grade(submission)
        spliced = (
            f'{{"submission_id": "{header["submission_id"]}",'
            f' "submission_key": "{header["submission_key"]}"}}'
        )
        form = {"xqueue_header": spliced, "xqueue_body": json.dumps(reply)}
        assert self.call("POST", "put_result", data=form).json()["return_code"] == 0
        self.call("GET", "logout/")
        return reply


EVERY_GRADER = (
    StockWatcher,
    OldWatcher,
    StanfordGrader,
    TutorCommandLine,
    BuxGrader,
    RubyGrader,
    NodeGrader,
)
