"""Pulls that are held, with the real views and database, over ASGI messages."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from io import BytesIO
from typing import Any

import pytest
from django.core.cache import cache
from django.db import DatabaseError

from tests.gateway.asgi import PATIENCE, Request, eventually, in_thread, with_gateway
from tests.submission_queue.factories import (
    GOOD_REPLY,
    GraderClient,
    make_grader,
    new_submission,
    upload,
)
from xqueue_bridge.gateway import application
from xqueue_bridge.gateway.application import Gateway
from xqueue_bridge.gateway.django_threads import environment
from xqueue_bridge.grader_replies.models import ReceivedReply
from xqueue_bridge.submission_queue import accounts, api, queue
from xqueue_bridge.submission_queue.grader_models import Grader
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)

PULL = "/xqueue/get_submission/"
EMPTY = {"return_code": 1, "content": "Queue 'python' is empty"}


@pytest.fixture
def cookie() -> str:
    """Return the session of a grader that has logged in."""
    return cookie_of(make_grader())


def cookie_of(client: GraderClient) -> str:
    return "; ".join(f"{name}={each.value}" for name, each in client.http.cookies.items())


def pull(gateway: Gateway, cookie: str, **more: Any) -> Request:
    return Request(gateway, PULL, {"queue_name": "python"}, cookie=cookie, **more)


async def is_held(gateway: Gateway, pulls: int = 1) -> None:
    await eventually(lambda: gateway.waiters.counts() == {"python": pulls})


def the_submission() -> Submission:
    return Submission.objects.get()


def test_held_pull_gets_the_next_submission(cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        request = pull(gateway, cookie)
        await is_held(gateway)
        await in_thread(api.enqueue, new_submission(body="answer"))
        response = await request.response()
        envelope = json.loads(response.body)
        assert envelope["return_code"] == 0
        assert json.loads(envelope["content"])["xqueue_body"] == "answer"
        assert response.headers["x-xqueue-held"] == "1"
        assert response.headers["x-xqueue-max-score"] == "1"
        assert response.body.startswith(b"{")

    with_gateway(scenario)
    assert the_submission().deliveries == 1


def test_submission_that_waits_is_pulled_at_once(cookie) -> None:
    api.enqueue(new_submission())

    async def scenario(gateway: Gateway) -> None:
        response = await pull(gateway, cookie).response()
        assert json.loads(response.body)["return_code"] == 0
        assert "x-xqueue-held" not in response.headers

    with_gateway(scenario)


def test_response_that_takes_long_begins_with_spaces(cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        request = pull(gateway, cookie)
        await eventually(lambda: len(request.sent) > 3)
        await in_thread(api.enqueue, new_submission(body="answer"))
        response = await request.response()
        assert response.body.startswith(b"  ")
        assert json.loads(response.body)["return_code"] == 0
        assert "content-length" not in response.headers
        assert response.headers["x-xqueue-held"] == "1"
        assert response.headers["x-xqueue-result-version"] == "1"
        assert response.headers["content-type"] == "application/json"

    with_gateway(scenario, SILENT_SECONDS=0.02)


def test_queue_that_stays_empty_is_reported_when_the_time_is_over(cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        response = await pull(gateway, cookie).response()
        assert json.loads(response.body) == EMPTY
        assert response.body.startswith(b" ")

    with_gateway(scenario, SILENT_SECONDS=0.02, HOLD_SECONDS=1.5)


@pytest.mark.parametrize(
    ("more", "is_held"),
    [
        ({"x_xqueue_hold": "0.05"}, True),
        ({"x_xqueue_hold": "1e9"}, True),
        ({"x_xqueue_hold": "0"}, False),
        ({"x_xqueue_hold": "-1"}, False),
        ({"x_xqueue_hold": "nan"}, False),
        ({"x_xqueue_hold": "long"}, False),
        ({"http_version": "1.0"}, True),
    ],
)
def test_clients_that_get_no_spaces(cookie, more, is_held) -> None:
    """Those that say how long they wait, and HTTP/1.0, which has no chunks."""

    async def scenario(gateway: Gateway) -> None:
        response = await pull(gateway, cookie, **more).response()
        assert response.body == json.dumps(EMPTY).encode()
        assert ("x-xqueue-held" in response.headers) is is_held

    with_gateway(scenario, SILENT_SECONDS=0.02, HOLD_SECONDS=0.1)


def test_grader_that_is_gone_holds_no_lease(cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        request = pull(gateway, cookie)
        await is_held(gateway)
        request.disconnect()
        await request.task
        assert gateway.waiters.counts() == {}
        await in_thread(api.enqueue, new_submission())
        await asyncio.sleep(0.1)
        assert request.sent == []

    with_gateway(scenario)
    assert the_submission().deliveries == 0


def test_submission_for_a_grader_that_goes_during_its_pull_is_given_back(
    cookie, monkeypatch
) -> None:
    requests: list[Request] = []
    real_pull, loops = queue.pull, []

    def pull_and_go(queue_name: str, grader_id: int | None) -> object:
        pulled = real_pull(queue_name, grader_id)
        if pulled is not None:
            loops[0].call_soon_threadsafe(requests[0].disconnect)
        return pulled

    monkeypatch.setattr(queue, "pull", pull_and_go)

    async def scenario(gateway: Gateway) -> None:
        loops.append(asyncio.get_running_loop())
        requests.append(pull(gateway, cookie))
        await is_held(gateway)
        await in_thread(api.enqueue, new_submission(queue_key="first"))
        await requests[0].task
        assert requests[0].sent == []

    with_gateway(scenario)
    monkeypatch.undo()
    assert the_submission().deliveries == 0
    api.enqueue(new_submission(queue_key="second"))
    pulled = queue.pull("python", Grader.objects.get().pk)
    assert Submission.objects.get(pk=pulled.submission_id).queue_key == "first"
    assert pulled.delivery == 1


def test_wake_of_a_grader_that_is_gone_passes_to_the_next_one(cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        gone = pull(gateway, cookie)
        await is_held(gateway)
        other = pull(gateway, cookie)
        await is_held(gateway, 2)
        gone.disconnect()
        gateway.waiters.wake("python")
        await gone.task
        await is_held(gateway)  # woken for nothing, the other one waits again
        await in_thread(api.enqueue, new_submission())
        assert json.loads((await other.response()).body)["return_code"] == 0

    with_gateway(scenario)


@pytest.mark.parametrize(("silent", "status"), [(0.02, 200), (1000, 302)])
def test_session_is_checked_again_before_a_submission_is_leased(cookie, silent, status) -> None:
    """A response that has begun says that the queue is empty; the next pull is redirected."""

    async def scenario(gateway: Gateway) -> None:
        request = pull(gateway, cookie)
        await is_held(gateway)
        if status == 200:
            await eventually(lambda: len(request.sent) > 1)
        await in_thread(revoke)
        await in_thread(api.enqueue, new_submission())
        response = await request.response()
        assert response.status == status
        if status == 200:
            assert json.loads(response.body) == EMPTY

    def revoke() -> None:
        accounts.issue_secret(Grader.objects.get())
        accounts._memory.clear()  # as after MEMORY_SECONDS
        cache.clear()  # as after GRADER_CACHE_SECONDS

    with_gateway(scenario, SILENT_SECONDS=silent)
    assert the_submission().deliveries == 0


def test_request_without_a_session_is_not_held() -> None:
    async def scenario(gateway: Gateway) -> None:
        response = await pull(gateway, cookie="").response()
        assert response.status == 302
        assert response.headers["location"] == f"/xqueue/login/?next={PULL.replace('/', '%2F')}"

    with_gateway(scenario)


def test_held_pulls_end_when_the_gateway_stops(cookie) -> None:
    async def scenario(gateway: Gateway) -> None:
        requests = [pull(gateway, cookie) for _ in range(3)]
        await is_held(gateway, 3)
        gateway.stop()
        for request in requests:
            assert json.loads((await request.response()).body) == EMPTY
        assert (await pull(gateway, cookie).response()).status == 503

    with_gateway(scenario)


def test_pull_that_is_cancelled_when_the_gateway_stops_leaves_no_lease(cookie, monkeypatch) -> None:
    """The server cancels what has not ended in time, while a thread executes the view."""
    pulled, is_cancelled = threading.Event(), threading.Event()
    real_pull = queue.pull

    def slow_pull(queue_name: str, grader_id: int | None) -> object:
        found = real_pull(queue_name, grader_id)
        pulled.set()
        assert is_cancelled.wait(PATIENCE)
        return found

    monkeypatch.setattr(queue, "pull", slow_pull)
    api.enqueue(new_submission())

    async def scenario(gateway: Gateway) -> None:
        request = pull(gateway, cookie)
        await eventually(pulled.is_set)
        request.task.cancel()
        await asyncio.wait([request.task])
        is_cancelled.set()

    with_gateway(scenario)
    assert the_submission().deliveries == 0


def test_pulls_that_wait_cost_one_statement_for_all(cookie, monkeypatch) -> None:
    """Thirty pulls try once each; polls after that are one call for all of them."""
    tries, polls = [], []
    real_pull, real_counts = queue.pull, application.available_counts
    monkeypatch.setattr(queue, "pull", lambda *args: tries.append(1) or real_pull(*args))
    monkeypatch.setattr(
        application, "available_counts", lambda counts: polls.append(counts) or real_counts(counts)
    )

    async def scenario(gateway: Gateway) -> None:
        requests = [pull(gateway, cookie) for _ in range(30)]
        await is_held(gateway, 30)
        tried = len(tries)
        polls.clear()
        await eventually(lambda: len(polls) >= 5)
        assert len(tries) == tried == 30
        assert polls[-1] == {"python": 30}
        for number in range(3):
            await in_thread(api.enqueue, new_submission(queue_key=str(number)))
        await eventually(lambda: sum(each.task.done() for each in requests) == 3)
        gateway.stop()
        envelopes = [json.loads((await each.response()).body) for each in requests]
        assert [each for each in envelopes if each["return_code"]] == [EMPTY] * 27

    with_gateway(scenario)
    assert list(Submission.objects.values_list("deliveries", flat=True)) == [1] * 3


def test_database_that_fails_ends_no_hold(cookie, monkeypatch, caplog) -> None:
    outage, real_counts = [True], application.available_counts

    def counts(limits: dict[str, int]) -> dict[str, int]:
        if outage:
            raise DatabaseError("secret detail")
        return real_counts(limits)

    monkeypatch.setattr(application, "available_counts", counts)

    async def scenario(gateway: Gateway) -> None:
        request = pull(gateway, cookie)
        await eventually(lambda: "cannot be polled" in caplog.text)
        outage.clear()
        await in_thread(api.enqueue, new_submission())
        assert json.loads((await request.response()).body)["return_code"] == 0

    with_gateway(scenario)
    assert "DatabaseError" in caplog.text
    assert "secret detail" not in caplog.text


def test_result_is_stored_and_applied_after_the_response(cookie, caplog) -> None:
    caplog.set_level(logging.INFO)
    api.enqueue(new_submission())
    pulled = queue.pull("python", Grader.objects.get().pk)
    header = json.dumps({"submission_id": pulled.submission_id, "submission_key": pulled.pullkey})

    async def scenario(gateway: Gateway) -> None:
        form = {"xqueue_header": header, "xqueue_body": GOOD_REPLY}
        response = await Request(
            gateway, "/xqueue/put_result/", form=form, cookie=cookie
        ).response()
        assert json.loads(response.body) == {"return_code": 0, "content": ""}

    with_gateway(scenario)
    assert ReceivedReply.objects.get().attempts == 1


def test_file_of_an_answer_is_downloaded(cookie) -> None:
    api.enqueue(new_submission(files=(upload(content=b"print(1)" * 100_000),)))

    async def scenario(gateway: Gateway) -> None:
        content = json.loads(json.loads((await pull(gateway, cookie).response()).body)["content"])
        (url,) = json.loads(content["xqueue_files"]).values()
        response = await Request(gateway, url.removeprefix("http://testserver")).response()
        assert response.status == 200
        assert response.body == b"print(1)" * 100_000
        assert len(response.sent) > 3

    with_gateway(scenario)


@pytest.mark.parametrize("path", ["/", "/admin/", "/xqueue/queues/", "/xqueue/health/", "/xqueue"])
def test_other_pages_are_not_served(path) -> None:
    async def scenario(gateway: Gateway) -> None:
        assert (await Request(gateway, path).response()).status == 404

    with_gateway(scenario)


def test_body_that_is_too_long_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(application, "_longest_body", lambda: 100)

    async def scenario(gateway: Gateway) -> None:
        form = {"username": "a" * 200}
        response = await Request(gateway, "/xqueue/login/", form=form).response()
        assert (response.status, response.body) == (413, b"The request body is too long.\n")

    with_gateway(scenario)


def test_environment_has_each_header_once() -> None:
    """A header with an underscore would replace the one that a trusted proxy has set."""
    headers = [
        (b"x-forwarded-for", b"192.0.2.1"),
        (b"x_forwarded_for", b"192.0.2.2"),
        (b"X-Forwarded-For", b"192.0.2.3"),
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"content-length", b"17"),
    ]
    scope = {"method": "GET", "path": "/\u00e9", "query_string": b"", "http_version": "1.1"}
    environ = environment({**scope, "scheme": "http", "headers": headers}, BytesIO(b"abc"))
    assert environ["HTTP_X_FORWARDED_FOR"] == "192.0.2.1,192.0.2.3"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"
    assert environ["CONTENT_LENGTH"] == "3"
    assert environ["PATH_INFO"].encode("latin-1") == "/\u00e9".encode()
