"""`control = debug`: debugging output of one connection in a file beside the logs (Exim spec 44.22)."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

LINES_LIMIT = 100_000
"""Lines that a pretrigger buffer may hold, whatever size was asked for."""


class DebugLog:
    """An open debug log, or a buffer that becomes one when triggered."""

    def __init__(self, path: str, open_file: Callable[[str], int], pretrigger: int = 0) -> None:
        """`pretrigger`: octets kept in memory until `trigger`; 0 writes at once."""
        self.path = path
        self._open_file = open_file
        self._fd = -1
        self._waiting: deque[bytes] | None = deque(maxlen=LINES_LIMIT) if pretrigger > 0 else None
        self._room = pretrigger
        self._held = 0

    def write(self, text: str) -> None:
        """Add output; the oldest goes when the buffer is full. A file that cannot be written is given up."""
        stamp = time.strftime("%H:%M:%S")
        data = "".join(f"{stamp} {os.getpid()} {line}\n" for line in text.removesuffix("\n").split("\n"))
        octets = data.encode("latin-1", "replace")
        if self._waiting is not None:
            self._waiting.append(octets)
            self._held += len(octets)
            while self._held > self._room and len(self._waiting) > 1:
                self._held -= len(self._waiting.popleft())
            return
        self._append(octets)

    def _append(self, data: bytes) -> None:
        with suppress(OSError):
            if self._fd < 0:
                self._fd = self._open_file(self.path)
            os.write(self._fd, data)

    def trigger(self) -> None:
        """Write what the buffer holds; from now on output goes to the file."""
        waiting, self._waiting = self._waiting, None
        if waiting:
            self._append(b"".join(waiting))

    def close(self) -> None:
        """End it; a buffer that was not triggered is dropped."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def remove(self) -> None:
        """End it and remove the file."""
        self.close()
        with suppress(OSError):
            os.unlink(self.path)
