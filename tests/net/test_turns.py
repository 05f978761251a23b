"""Places for cores on the loop."""

from __future__ import annotations

import asyncio

from angaros.net.loop import LoopWaiter
from angaros.net.turns import Turns


def test_no_more_than_the_limit_and_all_in_order() -> None:
    loop = asyncio.new_event_loop()
    waiter, turns = LoopWaiter(loop), Turns(2)
    seen: list[int] = []
    inside = [0, 0]

    def one(number: int) -> None:
        with turns.place("key"):
            inside[0] += 1
            inside[1] = max(inside)
            waiter.sleep(0)
            seen.append(number)
            inside[0] -= 1

    loop.run_until_complete(waiter.run(lambda: waiter.gather([lambda n=n: one(n) for n in range(9)])))  # type: ignore[misc]
    loop.close()
    assert seen == list(range(9)) and inside == [0, 2]
    assert not turns._busy and not turns._waiting


def test_who_is_cancelled_gives_up_the_place_or_the_wish() -> None:
    loop = asyncio.new_event_loop()
    waiter, turns = LoopWaiter(loop), Turns(1)

    def hold() -> None:
        with turns.place(1):
            waiter.sleep(60)

    async def story() -> None:
        runs = [waiter.start(hold) for _ in range(3)]
        await asyncio.sleep(0)
        runs[1].cancel()  # waits
        runs[0].cancel()  # holds: the place goes to the third
        for _ in range(5):
            await asyncio.sleep(0)
        assert runs[0].dead and runs[1].dead and not runs[2].dead
        assert turns._busy == {1: 1}
        runs[2].cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not turns._busy and not turns._waiting

    loop.run_until_complete(story())
    loop.close()
