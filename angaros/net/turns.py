"""A bounded number of places for each of many keys, for cores on the loop: who comes late waits its turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from angaros.net.loop import Run


class Turns:
    """At most `limit` at once for a key, first come, first served."""

    __slots__ = ("_busy", "_limit", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._busy: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[tuple[Run, int]]] = {}

    @contextmanager
    def place(self, key: Hashable) -> Iterator[None]:
        """Have a place while the block runs."""
        self._enter(key)
        try:
            yield
        finally:
            self._leave(key)

    def _enter(self, key: Hashable) -> None:
        busy = self._busy.get(key, 0)
        if busy < self._limit:
            self._busy[key] = busy + 1
            return
        from angaros.net.loop import current_run

        run = current_run()
        ticket = (run, run.serial)
        queue = self._waiting.setdefault(key, deque())
        queue.append(ticket)
        try:
            run.park()
        except BaseException:
            if ticket in queue:
                queue.remove(ticket)
            else:  # cancelled when the place was ours already
                self._leave(key)
            raise

    def _leave(self, key: Hashable) -> None:
        """Hand the place to the next one who still wants it."""
        queue = self._waiting.get(key)
        while queue:
            run, serial = queue.popleft()
            if run.serial == serial and not run.dead:
                run.wake(serial)
                return
        self._waiting.pop(key, None)
        self._busy[key] -= 1
        if not self._busy[key]:
            del self._busy[key]
