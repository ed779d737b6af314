"""The gateway's process: graders with the protocol only, killed graders, and its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.gateway.process import Running, gateway_process
from tests.integration.conftest import eventually, grade_of, submit
from tests.submission_queue.factories import GOOD_REPLY, PROBLEM
from xqueue_bridge.gateway.status_stream import MAX_STREAMS
from xqueue_bridge.grader.client import QueueClient
from xqueue_bridge.grader.results import Result
from xqueue_bridge.grader.worker import Worker
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

#: The read timeout of xqueue-watcher.
WATCHER_TIMEOUT = 1
SUBMISSIONS = 10


@pytest.fixture
def gateway(transactional_db, settings, tmp_path: Path) -> Iterator[Running]:
    settings.XQUEUE_BRIDGE = {"GATEWAY": {"HOLD_SECONDS": 60}}
    with gateway_process(tmp_path) as running:
        yield running


@pytest.fixture
def secret(transactional_db) -> str:
    return api.create_grader("watcher", ["python"])


def logged_in(gateway: Running, secret: str) -> requests.Session:
    session = requests.Session()
    form = {"username": "watcher", "password": secret}
    response = session.post(f"{gateway.url}/xqueue/login/", data=form, timeout=30)
    assert response.json()["return_code"] == 0
    return session


def pull(gateway: Running, session: requests.Session, timeout: float = 60) -> requests.Response:
    url = f"{gateway.url}/xqueue/get_submission/"
    return session.get(url, params={"queue_name": "python"}, timeout=timeout)


def test_grader_with_the_timeout_of_xqueue_watcher_is_held_for_longer(gateway, secret) -> None:
    """C72: each submission is pulled once, by a request that was waiting for it."""
    session, pulled, times = logged_in(gateway, secret), [], []

    def grade() -> None:
        while len(pulled) < SUBMISSIONS:
            began = time.monotonic()
            response = pull(gateway, session, WATCHER_TIMEOUT)
            content = json.loads(response.json()["content"])
            times.append(time.monotonic() - began)
            form = {"xqueue_header": content["xqueue_header"], "xqueue_body": GOOD_REPLY}
            put = session.post(f"{gateway.url}/xqueue/put_result/", data=form, timeout=30)
            assert put.json() == {"return_code": 0, "content": ""}
            pulled.append(json.loads(content["xqueue_header"])["submission_id"])

    grader = threading.Thread(target=grade)
    grader.start()
    learners = []
    for number in range(SUBMISSIONS):
        # The first one is waited for beyond the timeout.
        time.sleep(0.05 if number else 2.5 * WATCHER_TIMEOUT)
        learners.append(submit(f"key {number}"))
    grader.join(60)
    assert len(set(pulled)) == SUBMISSIONS
    assert max(times) > 2 * WATCHER_TIMEOUT
    assert eventually(lambda: [grade_of(each) for each in learners] == [1] * SUBMISSIONS, 60)
    assert set(Submission.objects.values_list("deliveries", flat=True)) == {1}


def test_killed_grader_holds_no_lease(gateway, secret) -> None:
    session = logged_in(gateway, secret)
    cookie = f"xqueue_session_key={session.cookies['xqueue_session_key']}"
    program = (
        "import socket, sys\n"
        "pull = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "pull.sendall(sys.argv[2].encode())\n"
        "print(b' 200 ' in pull.recv(4096), flush=True)\n"
        "pull.recv(4096, socket.MSG_WAITALL)\n"
    )
    command = [sys.executable, "-S", "-c", program, str(gateway.port), request(PULL, cookie)]
    graders = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    for grader in graders:
        assert grader.stdout
        assert grader.stdout.readline() == b"True\n", "it is held"
    for grader in graders:
        grader.send_signal(signal.SIGKILL)
        grader.communicate()
    time.sleep(0.5)
    submit("key")
    time.sleep(1)
    assert Submission.objects.get().deliveries == 0
    assert pull(gateway, session).json()["return_code"] == 0
    assert Submission.objects.get().deliveries == 1


#: Pulls that are held, and streams that are open, while the process is ended.
HELD, STREAMS = 40, 10
PULL = "/xqueue/get_submission/?queue_name=python"


def request(path: str, cookie: str, accept: str = "*/*") -> str:
    headers = f"Host: 127.0.0.1\r\nCookie: {cookie}\r\nAccept: {accept}"
    return f"GET {path} HTTP/1.1\r\n{headers}\r\n\r\n"


def opened(gateway: Running, text: str) -> socket.socket:
    """Send a request, and leave its response to the caller."""
    client = socket.create_connection(("127.0.0.1", gateway.port), timeout=60)
    client.sendall(text.encode())
    return client


def cookie_of(user: User) -> str:
    browser = Client()
    browser.force_login(user)
    name = django_settings.SESSION_COOKIE_NAME
    return f"{name}={browser.cookies[name].value}"


def rest_of(client: socket.socket) -> bytes:
    received = b""
    while part := client.recv(65536):
        received += part
    return received


def test_sigterm_with_many_pulls_and_streams_leaks_no_lease(settings, secret, tmp_path) -> None:
    """Each grader and each browser gets the end of its response before the limit of StopSignals."""
    chosen = {"HOLD_SECONDS": 60, "LEARNER_EVENTS": True}
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "GATEWAY": chosen}
    learners = [submit(f"key {n}", queue_name="c") for n in range(-(-STREAMS // MAX_STREAMS))]
    browsers = [cookie_of(User.objects.get(pk=each)) for each in learners]
    status = reverse("xqueue_bridge:learner_status", args=[PROBLEM])
    with gateway_process(tmp_path) as gateway, ExitStack() as stack:
        session = f"xqueue_session_key={logged_in(gateway, secret).cookies['xqueue_session_key']}"
        pulls = [stack.enter_context(opened(gateway, request(PULL, session))) for _ in range(HELD)]
        streams = [
            stack.enter_context(opened(gateway, request(status, cookie, "text/event-stream")))
            for cookie in (browsers * STREAMS)[:STREAMS]
        ]
        assert all(b" 200 " in client.recv(4096) for client in [*pulls, *streams])
        gateway.process.terminate()
        assert gateway.process.wait(60) == 0  # else StopSignals would have ended it, with 143
        empty = b'{"return_code": 1, "content": "Queue \'python\' is empty"}'
        assert all(empty in rest_of(client) for client in pulls)
        assert all(rest_of(client).endswith(b"0\r\n\r\n") for client in streams)
    submit("key")
    assert set(Submission.objects.values_list("deliveries", flat=True)) == {0}
    assert "Traceback" not in gateway.log.read_text()


def test_the_grader_library_grades_through_the_gateway(gateway, secret) -> None:
    client = QueueClient(gateway.url, "watcher", secret)
    worker = Worker(client, ("python",), lambda submission: Result(score=1))
    running = threading.Thread(target=worker.run)
    running.start()
    time.sleep(1)
    learner = submit("key")
    assert eventually(lambda: grade_of(learner) == 1, 60)
    worker.stop.set()
    submit("wakes the worker, which is held")
    running.join(30)
    assert not running.is_alive()
    assert client.hold_seconds > 0
