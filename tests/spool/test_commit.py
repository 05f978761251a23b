"""Group commit: many callers, few waits; a fault of one is no fault of the others."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from angaros.net.loop import LoopWaiter
from angaros.spool.commit import Batches, Commit, GroupCommit, Request


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def _commit(group: GroupCommit, directory: Path, number: int) -> str:
    fd = os.open(directory / f"hdr.{number}", os.O_CREAT | os.O_WRONLY)
    try:
        renames = [(str(directory / f"hdr.{number}"), str(directory / f"{number}-H"))]
        group.commit(Commit([fd] if number != 3 else [9999], renames, str(directory)))
        return "done"
    except OSError as error:
        return os.strerror(error.errno or 0)
    finally:
        os.close(fd)


def test_all_are_renamed_but_the_one_with_the_fault(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    waiter = LoopWaiter(loop)
    group = GroupCommit(waiter)
    group._syncfs_after = float("inf")  # syncfs takes no descriptor that could be wrong
    calls = [lambda n=n: _commit(group, tmp_path, n) for n in range(12)]
    found = loop.run_until_complete(waiter.run(lambda: waiter.gather(calls)))  # type: ignore[misc]
    waiter.close()
    assert [number for number, text in enumerate(found) if text != "done"] == [3] and found[3] == "Bad file descriptor"
    assert sorted(os.listdir(tmp_path)) == sorted(["hdr.3", *(f"{n}-H" for n in range(12) if n != 3)])


def test_who_comes_during_a_batch_is_in_the_next_one(loop: asyncio.AbstractEventLoop) -> None:
    waiter, go_on, sizes = LoopWaiter(loop), threading.Event(), list[int]()

    def perform(batch: list[Request]) -> None:
        sizes.append(len(batch))
        go_on.wait(10)

    batches = Batches(waiter, perform)

    async def story() -> None:
        runs = [waiter.start(batches.join, Request([], "")) for _ in range(6)]
        while not sizes:
            await asyncio.sleep(0)
        go_on.set()
        while not all(run.dead for run in runs):
            await asyncio.sleep(0)

    loop.run_until_complete(story())
    waiter.close()
    assert sizes == [1, 5]


def test_a_leader_that_is_cancelled_leaves_no_work_undone(loop: asyncio.AbstractEventLoop) -> None:
    waiter, go_on, seen = LoopWaiter(loop), threading.Event(), list[str]()

    def perform(batch: list[Request]) -> None:
        go_on.wait(10)
        seen.extend(request.directory for request in batch)

    batches = Batches(waiter, perform)

    async def story() -> None:
        runs = [waiter.start(batches.join, Request([], name)) for name in ("leader", "first", "second")]
        await asyncio.sleep(0)
        runs[0].cancel()
        go_on.set()
        while not all(run.dead for run in runs):
            await asyncio.sleep(0)
        assert runs[0].error is not None and runs[1].error is None and runs[2].error is None

    loop.run_until_complete(story())
    waiter.close()
    assert {"first", "second"} <= set(seen)


def test_an_unexpected_error_ends_the_batch_and_no_more(loop: asyncio.AbstractEventLoop) -> None:
    waiter, wrong = LoopWaiter(loop), [True, False]

    def perform(batch: list[Request]) -> None:
        if wrong.pop(0):
            raise ValueError("odd")

    batches = Batches(waiter, perform)
    with pytest.raises(OSError, match="ValueError: odd"):
        loop.run_until_complete(waiter.run(batches.join, Request([], "")))
    loop.run_until_complete(waiter.run(batches.join, Request([], "")))
    waiter.close()
