"""Two servers for the client library: ours, and a stand-in of the legacy one."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from typing import Any

import pytest
import requests

from tests.doubles import legacy_grader_server
from tests.submission_queue.factories import new_submission, upload
from xqueue_bridge.grader import QueueClient
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import api as submission_queue


class OurServer:
    """Our own server, as a test of the library sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.secret = submission_queue.create_grader("watcher", ["python"])
        self._numbers = itertools.count()

    def send(self, body: str, files: Mapping[str, bytes] | None = None) -> None:
        uploads = tuple(upload(name, content) for name, content in (files or {}).items())
        key = f"key-{next(self._numbers)}"
        submission_queue.enqueue(new_submission(queue_key=key, body=body, files=uploads))

    def replies(self) -> list[dict[str, Any]]:
        bodies = ReceivedReply.objects.order_by("submission_id").values_list("body", flat=True)
        return [json.loads(body) for body in bodies]

    def end_session(self, client: QueueClient) -> None:
        """End the client's session without its knowledge."""
        cookies = client._session.cookies.get_dict()
        requests.get(f"{self.url}/xqueue/logout/", cookies=cookies, timeout=60)


@pytest.fixture(params=["ours", "legacy"])
def server(request):
    """Return the server, with ``url``, ``secret``, ``send``, ``replies`` and ``end_session``."""
    if request.param == "legacy":
        with legacy_grader_server.running() as double:
            yield double
        return
    yield OurServer(request.getfixturevalue("live_server").url)


@pytest.fixture
def client(server) -> QueueClient:
    return QueueClient(server.url, "watcher", server.secret)
