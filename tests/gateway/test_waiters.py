"""Which pulls are woken, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from xqueue_bridge.gateway.waiters import Waiters


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 10))


def test_the_pulls_that_have_waited_for_longest_are_woken() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        first, second, third = (waiters.join("python", since=1e9) for _ in range(3))
        other = waiters.join("other", since=1e9)
        waiters.wake("python", 2)
        assert [each.done() for each in (first, second, third, other)] == [True, True, False, False]
        assert waiters.counts() == {"python": 1, "other": 1}

    run(scenario())


def test_work_that_comes_between_a_pull_and_its_wait_is_not_missed() -> None:
    async def scenario() -> None:
        waiters, time = Waiters(), asyncio.get_running_loop().time
        before = time()
        waiters.wake("python")
        await asyncio.sleep(0.001)
        assert waiters.join("python", since=before).done()
        assert not waiters.join("python", since=time()).done()
        assert not waiters.join("other", since=before).done()

    run(scenario())


def test_a_pull_that_has_left_is_not_woken() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        gone, next_one = (waiters.join("python", since=1e9) for _ in range(2))
        waiters.leave("python", gone)
        waiters.wake("python")
        assert not gone.done()
        assert next_one.done()
        waiters.leave("python", next_one)
        waiters.leave("python", next_one)
        assert waiters.counts() == {}

    run(scenario())


def test_all_are_woken_at_the_end_and_no_other_one_waits() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        waiting = [waiters.join(name, since=1e9) for name in ("python", "other", "python")]
        waiters.close()
        assert all(each.done() for each in waiting)
        assert waiters.join("python", since=1e9).done()
        assert waiters.counts() == {}

    run(scenario())


def test_pulls_that_try_at_present_count_for_what_a_look_has_found() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        waiting = [waiters.join("python", since=1e9) for _ in range(3)]
        with waiters.trying("python"):
            waiters.offer("python", 1)
            assert not any(each.done() for each in waiting)
            waiters.offer("python", 2)
            assert [each.done() for each in waiting] == [True, False, False]
        waiters.offer("python", 0)
        assert waiters.counts() == {"python": 2}
        waiters.offer("python", 1)
        assert waiters.counts() == {"python": 1}

    run(scenario())


def test_paused_graders_are_passed_over_until_the_end() -> None:
    async def scenario() -> None:
        waiters = Waiters()
        paused, first, second = (waiters.join("python", 1e9, grader_id) for grader_id in (1, 2, 2))
        elsewhere = waiters.join("other", 1e9, 1)
        waiters.paused = {"python": {1}}
        waiters.wake("python")
        waiters.wake("other")
        assert [each.done() for each in (paused, first, second)] == [False, True, False]
        assert elsewhere.done()
        waiters.close()
        assert paused.done()
        assert second.done()

    run(scenario())
