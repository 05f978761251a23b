"""Talking with a scanner: where it is, connecting, and a byte channel under one deadline. Exim spec 45."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from angaros.model.interfaces import Stream
    from angaros.model.scope import Scope

MAX_REPLY = 1 << 20
"""Octets of a scanner's whole answer."""


class ScanDefer(Exception):
    """The scanner cannot tell now; `str()` is the reason for the log."""


@dataclass(frozen=True, slots=True)
class Place:
    """A Unix socket, or a host with a port or a range of ports."""

    path: str = ""
    host: str = ""
    ports: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return self.path or f"[{self.host}]:{self.ports[0]}"


def parse_place(text: str) -> Place:
    """`/path` or `host port` or `host port-port`. Raises ValueError."""
    words = text.split()
    if not words:
        raise ValueError("invalid option")
    if words[0].startswith("/"):
        return Place(path=words[0])
    if len(words) < 2:
        raise ValueError(f"invalid option '{text}'")
    low, _, high = words[1].partition("-")
    if not low.isdigit() or not (high or low).isdigit():
        raise ValueError(f"invalid option '{text}'")
    return Place(host=words[0], ports=(int(low), int(high or low)))


class Channel:
    """A connection with a deadline for all of it."""

    def __init__(self, stream: Stream, label: str, deadline: float, scope: Scope) -> None:
        self.stream = stream
        self.label = label
        self._deadline = deadline
        self._clock = scope.services.clock
        self._buffer = b""

    def _left(self) -> float:
        left = self._deadline - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
        return left

    def write(self, data: bytes) -> None:
        """Send. OSError."""
        self.stream.write(data, self._left())

    def say_goodbye(self, data: bytes) -> None:
        """Send what the other side no longer needs: it may be gone already."""
        with suppress(OSError):
            self.write(data)

    def half_close(self) -> None:
        """Nothing more will be sent."""
        self.stream.shutdown_write()

    def read(self) -> bytes:
        """Some octets, b"" at the end. OSError, TimeoutError."""
        if self._buffer:
            data, self._buffer = self._buffer, b""
            return data
        return self.stream.read(timeout=self._left())

    def read_exactly(self, count: int) -> bytes:
        """So many octets; EOFError when the other side closes before."""
        while len(self._buffer) < count:
            data = self.stream.read(timeout=self._left())
            if not data:
                raise EOFError
            self._buffer += data
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def read_all(self) -> bytes:
        """Until the other side closes."""
        parts: list[bytes] = []
        size = 0
        while data := self.read():
            parts.append(data)
            size += len(data)
            if size > MAX_REPLY:
                break
        return b"".join(parts)

    def read_line(self) -> bytes | None:
        """A line without its end; None at the end."""
        while b"\n" not in self._buffer:
            data = self.stream.read(timeout=self._left())
            if not data:
                rest, self._buffer = self._buffer, b""
                return rest or None
            self._buffer += data
            if len(self._buffer) > MAX_REPLY:
                raise OSError(errno.EMSGSIZE, "line too long")
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.rstrip(b"\r")

    def close(self) -> None:
        """End."""
        self.stream.close()


def connect(place: Place, scope: Scope, timeout: float, deadline: float) -> Channel:
    """Connect; `$callout_address` tells where. OSError with the reason."""
    waiter = scope.services.waiter
    if place.path:
        scope.state["callout_address"] = place.path
        return Channel(waiter.connect_unix(place.path, timeout=timeout), place.path, deadline, scope)
    failure = OSError(errno.EADDRNOTAVAIL, "no IP address found")
    for address in _addresses(place.host, scope):
        for port in range(place.ports[0], place.ports[1] + 1):
            label = f"[{address}]:{port}"
            scope.state["callout_address"] = label
            try:
                return Channel(waiter.connect(address, port, timeout=timeout), label, deadline, scope)
            except TimeoutError:
                failure = TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))
            except OSError as error:
                failure = error
    raise failure


def _addresses(host: str, scope: Scope) -> list[str]:
    from angaros.net.hosts import HostQuery, find_by_name

    return [found.address for found in find_by_name(host, scope, HostQuery(local_check=False)).hosts]


def reason(error: OSError) -> str:
    """The system's words."""
    if isinstance(error, TimeoutError):
        return os.strerror(errno.ETIMEDOUT)
    return error.strerror or str(error)
