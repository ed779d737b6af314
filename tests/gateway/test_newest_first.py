"""Which of the pulls that wait for a thread is next."""

from __future__ import annotations

import asyncio

from xqueue_bridge.gateway.newest_first import NewestFirst


def test_the_newest_one_is_next_and_the_limit_holds() -> None:
    async def scenario() -> None:
        tries, order, running = NewestFirst(2), [], []

        async def pull(number: int) -> None:
            async with tries.entry():
                running.append(number)
                assert len(running) <= 2
                order.append(number)
                await asyncio.sleep(0)
                running.remove(number)

        await asyncio.gather(*(pull(number) for number in range(6)))
        assert order == [0, 1, 5, 4, 3, 2]
        await pull(6)
        assert order[-1] == 6

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_pull_that_was_cancelled_is_left_out() -> None:
    async def scenario() -> None:
        tries, order = NewestFirst(1), []

        async def pull(number: int) -> None:
            async with tries.entry():
                order.append(number)
                await asyncio.sleep(0.01)

        tasks = [asyncio.ensure_future(pull(number)) for number in range(3)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert order == [0, 1]
        await pull(3)
        assert order == [0, 1, 3]

    asyncio.run(asyncio.wait_for(scenario(), 10))
