"""The gateway behind nginx and Caddy, with the configuration of the page as it is printed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import requests
from django.contrib.auth.models import User
from django.urls import reverse

from tests.gateway.process import Running, gateway_process
from tests.gateway.proxies import proxy, web_process
from tests.gateway.test_process import WATCHER_TIMEOUT, cookie_of, logged_in, pull
from tests.grader_replies.factories import make_learner
from tests.regrading.factories import submit
from tests.submission_queue.factories import PROBLEM
from xqueue_bridge.submission_queue import api
from xqueue_bridge.submission_queue.models import Submission

pytestmark = [pytest.mark.servers, pytest.mark.django_db(transaction=True)]

STATUS = reverse("xqueue_bridge:learner_status", args=[PROBLEM])


@dataclass
class Site:
    """A proxy before a gateway; graders log in at the gateway."""

    gateway: Running
    proxied: Running
    grader: requests.Session


@pytest.fixture(params=["nginx", "caddy"])
def site(request, transactional_db, settings, tmp_path: Path) -> Iterator[Site]:
    chosen = {"LEARNER_EVENTS": True, "HOLD_SECONDS": 60}
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "GATEWAY": chosen}
    secret = api.create_grader("watcher", ["python"])
    with (
        gateway_process(tmp_path) as gateway,
        web_process() as web,
        proxy(request.param, tmp_path, gateway.port, web) as port,
    ):
        proxied = replace(gateway, port=port, url=f"http://127.0.0.1:{port}")
        yield Site(gateway, proxied, logged_in(gateway, secret))


def test_held_pull_is_passed_on_at_once(site) -> None:
    """C72: the bytes that keep a watcher waiting are not buffered, and the submission is not."""
    pulled: list[float] = []

    def wait() -> None:
        response = pull(site.proxied, site.grader, WATCHER_TIMEOUT)
        assert response.json()["return_code"] == 0
        pulled.append(time.monotonic())

    grader = threading.Thread(target=wait)
    grader.start()
    time.sleep(2.5 * WATCHER_TIMEOUT)
    began = time.monotonic()
    submit(make_learner())
    grader.join(30)
    assert pulled[0] - began < 1.5
    assert Submission.objects.get().deliveries == 1


def test_grader_that_is_gone_holds_no_lease(site) -> None:
    """C72: the proxy closes its connection to the gateway, too."""
    with socket.create_connection(("127.0.0.1", site.proxied.port)) as grader:
        cookies = "; ".join(f"{each.name}={each.value}" for each in site.grader.cookies)
        grader.sendall(
            b"GET /xqueue/get_submission/?queue_name=python HTTP/1.1\r\n"
            b"Host: 127.0.0.1\r\nCookie: " + cookies.encode() + b"\r\n\r\n"
        )
        assert b" 200 " in grader.recv(4096)  # it is held, and has got a space
    time.sleep(0.5)
    submit(make_learner())
    time.sleep(1)
    assert Submission.objects.get().deliveries == 0
    assert pull(site.proxied, site.grader).json()["return_code"] == 0
    assert Submission.objects.get().deliveries == 1


def test_status_is_pushed_and_pages_go_to_the_web_processes(site) -> None:
    ada = User.objects.get(pk=make_learner())
    name, _, value = cookie_of(ada).partition("=")
    cookies = {name: value}
    submit(ada.pk)
    url = f"{site.proxied.url}{STATUS}"
    with requests.get(
        url, headers={"Accept": "text/event-stream"}, cookies=cookies, stream=True, timeout=5
    ) as events:
        assert events.headers["Content-Type"] == "text/event-stream"
        assert next(events.iter_lines()).startswith(b"data: {")  # while the stream is open
    assert requests.get(url, cookies=cookies, timeout=5).text == f"web: {STATUS}"
    assert requests.get(f"{site.proxied.url}/about/", timeout=5).text == "web: /about/"
