"""Factories of submissions and graders, and a grader that uses Django's test client."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.core.files.storage import storages
from django.test import Client
from opaque_keys.edx.keys import CourseKey, UsageKey

from xqueue_bridge.data import Dispatch, NewSubmission, Target, UploadedFile
from xqueue_bridge.submission_queue import api

COURSE = CourseKey.from_string("course-v1:DemoX+CS101+2026")
PROBLEM = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@loops")
OTHER_PROBLEM = UsageKey.from_string("block-v1:DemoX+CS101+2026+type@problem+block@lists")
GOOD_REPLY = json.dumps({"correct": True, "score": 1, "msg": "<p>All tests passed.</p>"})


def new_submission(
    queue_name: str = "python",
    *,
    user_id: int = 7,
    usage_key: UsageKey = PROBLEM,
    queue_key: str = "key-1",
    body: str = '{"student_response": "print(1)"}',
    dispatch: Dispatch = Dispatch.SCORE_UPDATE,
    files: tuple[UploadedFile, ...] = (),
) -> NewSubmission:
    """Return a submission as the submissions transport passes it on."""
    header = {"lms_callback_url": "http://lms/x", "lms_key": queue_key, "queue_name": queue_name}
    return NewSubmission(
        target=Target(user_id, COURSE, usage_key, dispatch),
        queue_name=queue_name,
        queue_key=queue_key,
        header=json.dumps(header),
        body=body,
        points={"loops_2_1": 1},
        files=files,
    )


@dataclass(frozen=True)
class PulledSubmission:
    """A pulled submission, with its JSON read."""

    header: str
    body: str
    files: dict[str, str]

    @property
    def submission_id(self) -> int:
        return json.loads(self.header)["submission_id"]

    @property
    def pullkey(self) -> str:
        return json.loads(self.header)["submission_key"]


class GraderClient:
    """One grader process; call ``login`` first."""

    def __init__(self, secret: str, name: str = "watcher") -> None:
        self.http = Client(enforce_csrf_checks=True)
        self.name = name
        self.secret = secret

    def login(self, **fields: Any) -> dict[str, Any]:
        form = {"username": self.name, "password": self.secret, **fields}
        form = {name: value for name, value in form.items() if value is not None}
        return self.http.post("/xqueue/login/", form).json()

    def ask(self, endpoint: str, **query: str) -> dict[str, Any]:
        response = self.http.get(f"/xqueue/{endpoint}/", query)
        assert response.status_code == 200, response
        return response.json()

    def pull(self, queue_name: str = "python") -> PulledSubmission | None:
        envelope = self.ask("get_submission", queue_name=queue_name)
        if envelope["return_code"]:
            return None
        content = json.loads(envelope["content"])
        return PulledSubmission(
            content["xqueue_header"], content["xqueue_body"], json.loads(content["xqueue_files"])
        )

    def put(self, header: object, body: object = GOOD_REPLY) -> dict[str, Any]:
        response = self.http.post(
            "/xqueue/put_result/", {"xqueue_header": header, "xqueue_body": body}
        )
        assert response.status_code == 200, response
        return response.json()


class DisconnectedBody(BytesIO):
    """A request's body whose sender disconnects."""

    def read(self, *args: Any) -> bytes:
        raise ConnectionResetError


def upload(name: str = "a.py", content: bytes = b"print(1)") -> UploadedFile:
    """Return a file as a transport passes it on."""
    return UploadedFile(name, BytesIO(content), len(content))


def stored_files() -> list[str]:
    """Return the names of all files in the private storage, sorted."""
    storage = storages["xqueue_bridge"]

    def walk(folder: str) -> list[str]:
        try:
            folders, names = storage.listdir(folder)
        except FileNotFoundError:
            return []
        inner = [name for each in folders for name in walk(f"{folder}/{each}")]
        return [f"{folder}/{name}" for name in names] + inner

    return walk(".")


def make_grader(*queue_names: str, name: str = "watcher") -> GraderClient:
    """Create a grader and return its client, logged in."""
    client = GraderClient(api.create_grader(name, queue_names or ("python",)), name)
    assert client.login() == {"return_code": 0, "content": "Logged in"}
    return client
