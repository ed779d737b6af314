"""A submission that the woken pull does not get: the next held pull gets it, without a poll."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from tests.gateway.asgi import Request, eventually, in_thread, with_gateway
from tests.gateway.test_hold import EMPTY, cookie_of, is_held, pull
from tests.submission_queue.factories import make_grader, new_submission
from xqueue_bridge.gateway import application
from xqueue_bridge.gateway.application import Gateway
from xqueue_bridge.submission_queue import accounts, api, queue
from xqueue_bridge.submission_queue.grader_models import Grader, GraderPause
from xqueue_bridge.submission_queue.models import Submission

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _with_announcements(monkeypatch) -> None:
    """Poll as often on PostgreSQL, where the gateway has a listener."""
    monkeypatch.setattr(application, "RARE_POLL_SECONDS", 0.02)


@pytest.fixture
def no_poll(monkeypatch) -> dict[str, float]:
    """Return options with which no poll finds a submission within a test."""
    monkeypatch.setattr(application, "RARE_POLL_SECONDS", 1000.0)
    return {"POLL_SECONDS": 1000.0}


@pytest.fixture
def first() -> str:
    return cookie_of(make_grader(name="first"))


@pytest.fixture
def second() -> str:
    return cookie_of(make_grader(name="second"))


@pytest.fixture
def tries(monkeypatch) -> list[int | None]:
    """Return the grader ids of the pulls, which grows."""
    found: list[int | None] = []
    real_pull = queue.pull

    def counted(queue_name: str, grader_id: int | None) -> object:
        found.append(grader_id)
        return real_pull(queue_name, grader_id)

    monkeypatch.setattr(queue, "pull", counted)
    return found


def id_of(name: str) -> int:
    return int(Grader.objects.get(name=name).pk)


async def held(gateway: Gateway, *cookies: str) -> list[Request]:
    """Send a pull with each of the cookies, in this order, and wait until all are held."""
    requests: list[Request] = []
    for cookie in cookies:
        requests.append(pull(gateway, cookie))
        await is_held(gateway, len(requests))
    return requests


async def wake(gateway: Gateway) -> None:
    """Store a submission, and announce it."""
    await in_thread(api.enqueue, new_submission())
    gateway.waiters.wake("python")


async def got_it(request: Request) -> bool:
    return json.loads((await request.response()).body)["return_code"] == 0


def revoke() -> None:
    accounts.issue_secret(Grader.objects.get(name="first"))
    accounts._memory.clear()  # as after MEMORY_SECONDS
    cache.clear()  # as after GRADER_CACHE_SECONDS


def test_session_that_has_ended(first, second, no_poll) -> None:
    async def scenario(gateway: Gateway) -> None:
        refused, other = await held(gateway, first, second)
        await in_thread(revoke)
        await wake(gateway)
        assert (await refused.response()).status == 302
        assert await got_it(other)

    with_gateway(scenario, **no_poll)


def test_grader_that_goes_before_its_pull_has_a_thread(first, second, no_poll) -> None:
    may_go_on = threading.Event()

    async def scenario(gateway: Gateway) -> None:
        gone, other = await held(gateway, first, second)
        busy = asyncio.ensure_future(gateway._threads.call(may_go_on.wait, 30))
        await wake(gateway)
        await eventually(lambda: gateway.waiters._trying["python"] == 1)
        gone.disconnect()
        await asyncio.sleep(0.05)
        may_go_on.set()
        assert await got_it(other)
        await busy
        assert gone.sent == []

    with_gateway(scenario, THREADS=1, **no_poll)
    assert Submission.objects.get().deliveries == 1


def test_grader_that_goes_during_its_pull(first, second, no_poll, monkeypatch) -> None:
    """The submission is given back, and delivered to the next one as if for the first time."""
    real_pull, going = queue.pull, []

    def pull_and_go(queue_name: str, grader_id: int | None) -> object:
        pulled = real_pull(queue_name, grader_id)
        if pulled is not None and going:
            going.pop()()
        return pulled

    monkeypatch.setattr(queue, "pull", pull_and_go)

    async def scenario(gateway: Gateway) -> None:
        loop = asyncio.get_running_loop()
        gone, other = await held(gateway, first, second)
        going.append(lambda: loop.call_soon_threadsafe(gone.disconnect))
        await wake(gateway)
        assert await got_it(other)
        await gone.task
        assert gone.sent == []

    with_gateway(scenario, **no_poll)
    assert Submission.objects.get().deliveries == 1


def test_paused_grader_is_not_woken_again_and_again(first, second, tries) -> None:
    """A look that finds work reads who is paused, and wakes another grader."""
    ids = [id_of("first")]

    async def scenario(gateway: Gateway) -> None:
        paused = await held(gateway, first, first, first)
        await in_thread(pause, "first")
        await in_thread(api.enqueue, new_submission())
        await eventually(lambda: gateway.waiters.paused == {"python": {ids[0]}})
        tries.clear()
        await asyncio.sleep(0.3)  # about 15 looks
        assert len(tries) <= 1  # one may have been woken before the pause was read
        assert await got_it(pull(gateway, second))
        await in_thread(api.enqueue, new_submission(queue_key="2"))
        assert await got_it(pull(gateway, second))
        await in_thread(resume)
        await in_thread(api.enqueue, new_submission(queue_key="3"))
        await eventually(lambda: any(each.task.done() for each in paused))

    with_gateway(scenario)


def pause(name: str) -> None:
    now = timezone.now()
    GraderPause.objects.create(
        grader_id=id_of(name),
        queue_name="python",
        since=now,
        paused_until=now + timedelta(hours=1),
    )


def resume() -> None:
    api.resume(list(GraderPause.objects.values_list("pk", flat=True)))


def test_submission_passes_a_paused_grader_that_has_waited_for_longer(first, second, tries) -> None:
    ids = {"first": id_of("first")}

    async def scenario(gateway: Gateway) -> None:
        await in_thread(pause, "first")
        *_, other = await held(gateway, first, first, first, first, second)
        tries.clear()
        await in_thread(api.enqueue, new_submission())
        assert await got_it(other)
        assert tries.count(ids["first"]) <= 1
        gateway.stop()

    with_gateway(scenario)


def test_grader_that_may_not_pull_is_not_held(first) -> None:
    """It would be woken for each submission, and get none."""
    Grader.objects.update(may_pull=False)
    accounts._memory.clear()
    cache.clear()

    async def scenario(gateway: Gateway) -> None:
        response = await pull(gateway, first).response()
        assert json.loads(response.body) == EMPTY
        assert "x-xqueue-held" not in response.headers

    with_gateway(scenario)


def test_wake_before_a_first_try_is_no_reason_for_a_second_one(
    first, second, no_poll, monkeypatch
) -> None:
    """When thousands connect at once, most of them wait for their first try."""
    real_pull, tries, may_go_on = queue.pull, [], threading.Event()
    ids = {"second": id_of("second")}

    def slow_pull(queue_name: str, grader_id: int | None) -> object:
        tries.append(grader_id)
        may_go_on.wait(30)
        return real_pull(queue_name, grader_id)

    monkeypatch.setattr(queue, "pull", slow_pull)

    async def scenario(gateway: Gateway) -> None:
        pull(gateway, first)
        await eventually(lambda: len(tries) == 1)
        pull(gateway, second)
        await asyncio.sleep(0.05)
        gateway.waiters.wake("python")
        await asyncio.sleep(0.05)
        may_go_on.set()
        await is_held(gateway, 2)
        assert tries.count(ids["second"]) == 1
        gateway.stop()

    with_gateway(scenario, THREADS=2, **no_poll)


def test_request_body_that_does_not_arrive(first, monkeypatch) -> None:
    monkeypatch.setattr(application, "BODY_SECONDS", 0.05)

    async def scenario(gateway: Gateway) -> None:
        form = {"username": "first"}
        request = Request(gateway, "/xqueue/login/", form=form, is_complete=False)
        response = await request.response()
        assert (response.status, response.body[:20]) == (408, b"The request body has")

    with_gateway(scenario)
