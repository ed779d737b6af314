"""The status of a learner's answers, pushed by the gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from tests.gateway.asgi import Request, eventually, in_thread, with_gateway
from tests.grader_replies.factories import make_learner
from tests.regrading.factories import grade, submit
from tests.submission_queue.factories import PROBLEM
from xqueue_bridge.gateway import status_stream
from xqueue_bridge.gateway.application import Gateway
from xqueue_bridge.gateway.status_stream import MAX_STREAMS
from xqueue_bridge.submission_queue.models import Submission
from xqueue_bridge.worker import announce

pytestmark = pytest.mark.django_db(transaction=True)

URL = reverse("xqueue_bridge:learner_status", args=[PROBLEM])


@pytest.fixture(autouse=True)
def _without_course_grades(settings) -> None:
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "GATEWAY": {"LEARNER_EVENTS": True}}


@pytest.fixture
def ada() -> User:
    return User.objects.get(pk=make_learner("ada"))


@pytest.fixture
def cookie(ada) -> str:
    """Return the session of a learner with an answer that waits."""
    client = Client()
    client.force_login(ada)
    name = django_settings.SESSION_COOKIE_NAME
    submit(ada.pk)
    return f"{name}={client.cookies[name].value}"


def stream(gateway: Gateway, cookie: str, accept: str = "text/event-stream") -> Request:
    return Request(gateway, URL, accept=accept, cookie=cookie)


def events(request: Request) -> list[dict[str, Any]]:
    parts = request.body.decode().split("\n\n")
    return [json.loads(each.removeprefix("data: ")) for each in parts if each.startswith("data: ")]


def run(scenario: Callable[[Gateway], Awaitable[None]], **options: Any) -> None:
    with_gateway(scenario, **{"LEARNER_EVENTS": True, **options})


def test_learner_gets_the_grade_when_it_is_announced(ada, cookie) -> None:
    """The view's cache has the former status at the first look after it, and not at the second."""
    number = Submission.objects.get().pk

    async def scenario(gateway: Gateway) -> None:
        request = stream(gateway, cookie)
        await eventually(lambda: len(events(request)) == 1)
        await in_thread(grade, number, 1)
        began = time.monotonic()
        gateway._wake(f"learner {ada.pk}")
        response = await request.response()
        assert time.monotonic() - began < status_stream.LONGEST_WAIT
        texts = [each["announcement"] for each in events(response)]
        assert [len(texts), texts[-1]] == [2, "1 of 1 points."]
        assert events(response)[-1]["refresh_seconds"] is None
        assert response.headers["content-type"] == "text/event-stream"
        assert not gateway._streams

    run(scenario)


def test_browser_that_is_gone_ends_its_stream(cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        request = stream(gateway, cookie)
        await eventually(lambda: bool(gateway.learners.counts()))
        request.disconnect()
        await request.task
        assert gateway.learners.counts() == {}
        assert not gateway._streams

    run(scenario)


def test_streams_of_a_learner_are_limited_and_end_with_the_gateway(ada, cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        open_ones = [stream(gateway, cookie) for _ in range(MAX_STREAMS)]
        await eventually(lambda: gateway.learners.counts() == {str(ada.pk): MAX_STREAMS})
        assert (await stream(gateway, cookie).response()).status == 429
        gateway.stop()
        for request in open_ones:
            assert len(events(await request.response())) == 1

    run(scenario)


def test_session_is_checked_at_each_look(ada, cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        request = stream(gateway, cookie)
        await eventually(lambda: bool(gateway.learners.counts()))
        await in_thread(Session.objects.all().delete)
        gateway._wake(f"learner {ada.pk}")
        assert len(events(await request.response())) == 1
        assert (await stream(gateway, cookie).response()).status == 403

    run(scenario)


def test_request_without_a_user_is_refused() -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await stream(gateway, "").response()).status == 403

    run(scenario)


@pytest.mark.parametrize(
    ("accept", "enabled"), [("application/json", True), ("text/event-stream", False)]
)
def test_only_streams_are_served_and_only_if_switched_on(cookie, accept, enabled) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await stream(gateway, cookie, accept).response()).status == 404

    run(scenario, LEARNER_EVENTS=enabled)


def test_web_process_sends_no_events(ada) -> None:
    """A browser's EventSource closes at another type than text/event-stream."""
    client = Client()
    client.force_login(ada)
    response = client.get(URL, headers={"accept": "text/event-stream"})
    assert response["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("chosen", "is_announced"), [({}, False), ({"LEARNER_EVENTS": True}, True), (None, False)]
)
def test_grade_is_announced_if_streams_are_switched_on(settings, monkeypatch, chosen, is_announced):
    sent: list[str] = []
    monkeypatch.setattr(announce, "announce", sent.append)
    settings.XQUEUE_BRIDGE = {"COURSE_STRUCTURE_BACKEND": None, "GATEWAY": chosen}
    user_id = make_learner("grace")
    grade(submit(user_id), 1)
    assert (f"learner {user_id}" in sent) is is_announced


@pytest.mark.parametrize("message", ["", "learner", "learner x", "learner 5", "other 5", "queue"])
def test_other_announcements_are_ignored(message) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway._wake(message)
        assert gateway.learners.counts() == {}

    run(scenario)
