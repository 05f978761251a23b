"""Two small files beside a message: -J, the addresses done in this attempt, and the message's own log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from angaros.logs.times import tod_log

if TYPE_CHECKING:
    from angaros.model.interfaces import Clock


class Journal:
    """-J: one address a line (state S5). What is in it is done, whatever happens afterwards.

    `add` hands the line to the kernel, which keeps it when this program dies; `sync` keeps it through a power failure (worth
    its time only when more deliveries follow and the first ones cannot be taken back).
    """

    __slots__ = ("path", "_fd", "_opener")

    def __init__(self, path: str, opener: Callable[[str], int]) -> None:
        self.path = path
        self._opener = opener
        self._fd = -1

    def add(self, keys: Iterable[str]) -> None:
        """Record addresses (their `unique` keys) as done. Raises OSError."""
        if self._fd < 0:
            self._fd = self._opener(self.path)
        data = "".join(f"{key}\n" for key in keys).encode("latin-1")
        while data:
            data = data[os.write(self._fd, data) :]

    def sync(self) -> None:
        """Put it on disk. Blocks: call it through the waiter's `in_thread`."""
        if self._fd >= 0:
            os.fdatasync(self._fd)

    @property
    def used(self) -> bool:
        """Whether anything was recorded."""
        return self._fd >= 0

    def close(self) -> None:
        """Close; the file stays for `Store.update` or `Store.remove`."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @staticmethod
    def read(path: str) -> set[str] | None:
        """Addresses in a journal; None when there is no file. A last line that a crash cut short does not count."""
        try:
            with open(path, "rb", buffering=0) as file:
                data = file.read()
        except FileNotFoundError:
            return None
        return set(data.decode("latin-1").split("\n")[:-1]) - {""}


class MessageLog:
    """msglog/<id>. Lines wait in memory until something takes longer than a moment: most messages never need the file."""

    __slots__ = ("path", "_opener", "_clock", "_with_zone", "_millisec", "_lines", "_made")

    def __init__(
        self, path: str, opener: Callable[[str], int] | None, clock: Clock, *, with_zone: bool = False, millisec: bool = False
    ) -> None:
        self.path = path
        self._opener = opener
        self._clock = clock
        self._with_zone = with_zone
        self._millisec = millisec
        self._lines: list[str] = []
        self._made = False

    def append(self, text: str, *, now: bool = False, stamped: bool = True) -> None:
        """Add a line; the time stamp is put before it. `now`: write at once."""
        if self._opener is None:
            return
        stamp = tod_log(self._clock.now(), with_zone=self._with_zone, millisec=self._millisec) + " " if stamped else ""
        self._lines.append(f"{stamp}{text}\n")
        if now:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if not self._lines or self._opener is None:
            return
        data = "".join(self._lines).encode("latin-1", "replace")
        self._lines.clear()
        fd = self._opener(self.path)
        self._made = True
        try:
            os.write(fd, data)
        finally:
            os.close(fd)

    def discard(self) -> None:
        """Forget what waits and remove the file if this object made it."""
        self._lines.clear()
        if self._made:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
