"""The -D file: writing it while the body arrives, reading pieces of it."""

from __future__ import annotations

import os

from angaros.model.message import Message
from angaros.spool.locks import SpoolLock

BUFFER = 1 << 18
"""Octets gathered before a write: an ordinary message is one write."""


class BodyWriter:
    """A -D file under construction, open and locked (state S1). Counts what the -H file tells about the body."""

    __slots__ = ("lock", "offset", "size", "linecount", "zerocount", "max_line", "wireformat", "_parts", "_held", "_line")

    def __init__(self, lock: SpoolLock, first_line: bytes, *, wireformat: bool = False) -> None:
        self.lock = lock
        self.offset = len(first_line)
        self.wireformat = wireformat
        self.size = 0
        """Octets of the body."""
        self.linecount = 0
        self.zerocount = 0
        self.max_line = 0
        """Longest line without its newline."""
        self._parts = [first_line]
        self._held = len(first_line)
        self._line = 0

    @property
    def path(self) -> str:
        """The -D file."""
        return self.lock.path

    def write(self, data: bytes) -> None:
        """Add to the body. Raises OSError when the disk is full."""
        if not data:
            return
        self.size += len(data)
        self.zerocount += data.count(0)
        lines = data.split(b"\n")
        self.linecount += len(lines) - 1
        self._measure(lines)
        self._parts.append(data)
        self._held += len(data)
        if self._held >= BUFFER:
            self.flush()

    def flush(self) -> None:
        """Hand what is gathered to the kernel."""
        data = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        view = memoryview(data)
        while view:
            view = view[os.write(self.lock.fd, view) :]

    def head(self, limit: int) -> bytes:
        """The first `limit` octets of the body."""
        self.flush()
        return os.pread(self.lock.fd, limit, self.offset)

    def abort(self) -> None:
        """Give the message up: back to state S0."""
        if self.lock.fd >= 0:
            try:
                os.unlink(self.lock.path)
            except FileNotFoundError:
                pass
            self.lock.release()

    def _measure(self, lines: list[bytes]) -> None:
        first = self._line + len(lines[0])
        if len(lines) == 1:
            self._line = first
            longest = first
        else:
            longest = max(first, max(map(len, lines[1:])))
            self._line = len(lines[-1])
        if longest > self.max_line:
            self.max_line = longest


def body_piece(message: Message, limit: int, *, end: bool = False) -> bytes:
    """At most `limit` octets of the stored body, its first or its last ones. OSError as it came."""
    descriptor = message.body_descriptor
    if descriptor < 0:
        descriptor = os.open(message.body_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        start = message.body_offset
        if end:
            start = max(start, os.fstat(descriptor).st_size - limit)
        return os.pread(descriptor, limit, start)
    finally:
        if descriptor != message.body_descriptor:
            os.close(descriptor)
