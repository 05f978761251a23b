"""Threads that do what really blocks, for cores on the loop.

Leaner than a ThreadPoolExecutor: no futures and no conditions, because each step in which two threads want the interpreter at
once costs the loop a switch. One queue in, one `call_soon_threadsafe` out.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Done = Callable[[Any, BaseException | None], None]
"""Takes result and error, on the loop."""


class Hands:
    """Up to `limit` threads, made as they are needed."""

    __slots__ = ("_busy", "_jobs", "_limit", "_loop", "_name", "_threads")

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int, name: str) -> None:
        self._loop = loop
        self._limit = limit
        self._name = name
        self._jobs: SimpleQueue[tuple[Callable[[], Any], Done] | None] = SimpleQueue()
        self._threads = 0
        self._busy = 0
        """Jobs given and not yet answered; known to the loop's thread only."""

    def do(self, call: Callable[[], Any], done: Done) -> None:
        """`call()` in a thread, then `done` on the loop. To be called on the loop."""
        self._busy += 1
        if self._busy > self._threads and self._threads < self._limit:
            self._threads += 1
            threading.Thread(target=self._work, name=self._name, daemon=True).start()
        self._jobs.put((call, done))

    def close(self) -> None:
        """Let the threads end when they have done what was given."""
        for _ in range(self._threads):
            self._jobs.put(None)

    def _finished(self, done: Done, value: Any, error: BaseException | None) -> None:
        self._busy -= 1
        done(value, error)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            call, done = job
            value: Any = None
            error: BaseException | None = None
            try:
                value = call()
            except BaseException as raised:
                error = raised
            try:
                self._loop.call_soon_threadsafe(self._finished, done, value, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            del job, call, done, value, error
