"""Threads for what really blocks."""

from __future__ import annotations

import asyncio
import threading

import pytest

from angaros.net.loop import LoopWaiter


def test_results_errors_and_no_more_threads_than_the_limit() -> None:
    loop = asyncio.new_event_loop()
    waiter = LoopWaiter(loop, threads=2)
    names = set[str]()

    def work(number: int) -> int:
        names.add(str(threading.get_ident()))
        if number == 4:
            raise KeyError(number)
        return number * number

    def core() -> list[int]:
        calls = [lambda n=n: waiter.in_thread(lambda: work(n)) for n in range(8) if n != 4]
        return waiter.gather(calls)  # type: ignore[arg-type]

    assert loop.run_until_complete(waiter.run(core)) == [0, 1, 4, 9, 25, 36, 49]
    with pytest.raises(KeyError):
        loop.run_until_complete(waiter.run(lambda: waiter.in_thread(lambda: work(4))))
    waiter.close()
    loop.close()
    assert 1 <= len(names) <= 2
