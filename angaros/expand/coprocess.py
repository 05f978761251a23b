"""Another process that runs code for us: Perl subroutines, Python functions.

Frames both ways: one letter, four octets of length (big-endian), text. Strings inside a frame are counted the same way.

Laws:
- One call at a time in one process; while it waits (a sub asks us to expand something that needs the DNS), another caller gets
  another process. Idle ones are kept, a few.
- A process that dies fails the call that it was in; the next call starts a new one.
- It has our uid, never more. What it prints goes to our standard output by way of a frame.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from angaros.expand.nodes import fail
from angaros.model.errors import ExpansionError

if TYPE_CHECKING:
    from angaros.model.interfaces import CommandStream
    from angaros.model.scope import Scope

MAX_IDLE = 4
"""Processes kept for later calls."""
MAX_FRAME = 64 << 20
"""Longest frame in octets."""


def pack(strings: Sequence[str]) -> bytes:
    """Counted strings."""
    return b"".join(len(text).to_bytes(4, "big") + text.encode("latin-1") for text in strings)


class Dead(Exception):
    """The process has ended."""


class Coprocess:
    """One running process."""

    __slots__ = ("_stream", "_timeout")

    def __init__(self, stream: CommandStream, timeout: float | None = None) -> None:
        self._stream = stream
        self._timeout = timeout
        """Seconds to wait for it at a time; None: for ever."""

    def send(self, kind: str, payload: bytes) -> None:
        """Write one frame. Raises Dead."""
        try:
            self._stream.write(kind.encode("ascii") + len(payload).to_bytes(4, "big") + payload, self._timeout)
        except (OSError, ValueError) as error:
            raise Dead(str(error)) from None

    def receive(self) -> tuple[str, str]:
        """The next frame. Raises Dead."""
        head = self._exactly(5)
        length = int.from_bytes(head[1:], "big")
        if length > MAX_FRAME:
            raise Dead("frame too long")
        return chr(head[0]), self._exactly(length).decode("latin-1")

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self._stream.read(count - len(data), self._timeout)
            except TimeoutError:
                raise Dead("no answer") from None
            except (OSError, ValueError) as error:
                raise Dead(str(error)) from None
            if not more:
                raise Dead("its process has ended")
            data += more
        return data

    def close(self) -> None:
        """End it."""
        self._stream.kill()
        self._stream.close()


Starter = Callable[["Scope"], Coprocess]


class Pool:
    """The processes of one language; hangs on `services.extra`."""

    __slots__ = ("_idle", "_start", "name")

    def __init__(self, name: str, start: Starter) -> None:
        self.name = name
        self._start = start
        self._idle: list[Coprocess] = []

    def warm(self, scope: Scope) -> None:
        """Start one now (`perl_at_start`)."""
        self._idle.append(self._start(scope))

    def call(self, words: Sequence[str], scope: Scope) -> tuple[str, str]:
        """Call a function: the kind of the last frame, and its text. Raises ExpansionError when the process dies."""
        process = self._idle.pop() if self._idle else self._start(scope)
        try:
            process.send("C", pack(words))
            kind, text = self.converse(process, scope)
        except Dead as error:
            process.close()
            raise fail(f"{self.name} process died: {error}") from None
        except BaseException:
            process.close()
            raise
        if len(self._idle) < MAX_IDLE:
            self._idle.append(process)
        else:
            process.close()
        return kind, text

    def converse(self, process: Coprocess, scope: Scope) -> tuple[str, str]:
        """Serve the process until it has a result."""
        while True:
            kind, text = process.receive()
            if kind == "X":
                try:
                    process.send("R", scope.expand(text).encode("latin-1"))
                except ExpansionError as error:
                    process.send("E", str(error).encode("latin-1", "replace"))
            elif kind == "D":
                scope.services.log.debug("any", text)
            elif kind == "L":
                scope.services.log.write(text.rstrip("\n"), message_id=scope.message.id if scope.message is not None else "")
            elif kind == "W":
                scope.services.log.write(text.rstrip("\n"), panic=True)
            elif kind == "O":
                sys.stdout.buffer.write(text.encode("latin-1"))
                sys.stdout.flush()
            else:
                return kind, text
